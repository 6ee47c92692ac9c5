package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// fromRunDir reads what the report of a run says was measured. The runs before it that
// its report shows tell the noise, so that no store is needed.
func fromRunDir(given string, dir rundir.Dir) (Side, error) {
	tree, err := dir.Tree()
	if err != nil {
		return Side{}, err
	}
	defer func() { _ = tree.Close() }()
	const most = 1 << 30
	path := filepath.Join(dir.Report(), rundir.ReportVerdict)
	data, err := tree.ReadFile(path, most)
	if errors.Is(err, fs.ErrNotExist) {
		return Side{}, fmt.Errorf("run %s has no report yet: 'ci-disagg report %s' makes one of what is there", given, given)
	}
	if err != nil {
		return Side{}, err
	}
	var doc report.Report
	if err := json.Unmarshal(data, &doc); err != nil {
		return Side{}, fmt.Errorf("%s: %w", path, err)
	}
	if doc.Schema > report.ReportSchema {
		return Side{}, fmt.Errorf("%s: schema %d is newer than this ci-disagg understands (%d)", path, doc.Schema, report.ReportSchema)
	}
	side := Side{Given: given, Name: "run " + doc.RunID, From: string(dir), before: map[string][][]float64{}, kinds: []string{kindRun}}
	for _, c := range doc.Cases {
		r := recordOf(doc, c)
		var plan rundir.Plan
		if err := tree.ReadJSON(dir.CaseDir(c.Slug).PlanFile(), &plan); err != nil && !errors.Is(err, fs.ErrNotExist) {
			side.Warnings = append(side.Warnings, fmt.Sprintf("the image of %s is not known: %v", c.ID, err))
		}
		r.Container = imageOf(plan)
		switch {
		case c.AB != nil && len(r.Measurements) == 0:
			side.Warnings = append(side.Warnings, c.ID+" was measured in pairs: its report says what the two builds differ by")
		case !r.Valid:
			side.Warnings = append(side.Warnings, fmt.Sprintf("%s of run %s is left out: %s", c.ID, doc.RunID, c.Message))
		default:
			side.Runs = append(side.Runs, r)
			side.addBefore(r, c)
		}
	}
	if len(side.Runs) == 0 {
		return side, fmt.Errorf("run %s measured nothing that can be compared: %s", given, doc.Headline)
	}
	return side, nil
}

// recordOf is a case of a report as a store would keep it.
func recordOf(doc report.Report, c report.CaseReport) baseline.Record {
	r := baseline.Record{
		Kind: baseline.KindRun, Case: c.ID, Match: baseline.NormalMatch(c.Match), Run: doc.RunID, Build: doc.Build, Cluster: doc.Cluster,
		GPU: c.Match["gpu_type"], Problems: c.Problems, Verdict: c.Verdict, Beside: baseline.Beside{CaseMode: c.Mode},
	}
	r.Time = timeOr(doc.Started)
	for _, a := range c.Attempts {
		if a.Counts {
			r.Repetitions = append(r.Repetitions, baseline.Repetition{JobID: a.JobID, Nodes: a.Nodes})
		}
	}
	for _, row := range c.OfHistory() {
		if len(row.Values) > 0 && row.Unit != "" {
			r.Measurements = append(r.Measurements, baseline.Measurement{Point: row.Point, Metric: row.Metric, Unit: row.Unit, Values: row.Values})
		}
	}
	r.Valid = len(r.Problems) == 0 && len(r.Measurements) > 0 && c.Proven()
	return r
}

func timeOr(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}

// addBefore notes the earlier runs that the report shows of each series.
func (s *Side) addBefore(r baseline.Record, c report.CaseReport) {
	head := headOf(r)
	for _, row := range c.Metrics {
		for i, run := range row.Series {
			if i < len(row.Series)-1 {
				key := keyOf(head, row.Point, row.Metric)
				s.before[key] = append(s.before[key], run.Values)
			}
		}
	}
}

// imageOf is the image that a plan's roles run in, "" = none.
func imageOf(p rundir.Plan) string {
	for _, b := range p.Builds {
		if b.Container != nil {
			return b.Container.Image
		}
	}
	return ""
}
