package compare_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const throughput = "output_token_throughput"

// run is a nightly run of a case.
type run struct {
	caseID, cluster, branch, commit, image, point string
	night                                         int
	values                                        []float64
}

func (r run) record() baseline.Record {
	at := time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC).AddDate(0, 0, r.night)
	out := baseline.Record{
		Kind: baseline.KindRun, Case: r.caseID, Match: map[string]string{"gpu_type": "H200", "cluster": r.cluster}, Time: at,
		Source: baseline.SourceOwn, Run: fmt.Sprintf("nightly-%s-%d", r.cluster, r.night), Cluster: r.cluster, Container: r.image,
		Build: rundir.Build{Mode: baseline.ModeNightly, Branch: r.branch, Commit: r.commit}, Valid: true,
		Measurements: []baseline.Measurement{{Point: r.point, Metric: throughput, Unit: "tok/s", Values: r.values}},
	}
	return out.Normal()
}

// nights are n runs of a case around a level, a commit each.
func nights(n int, r run, level float64) []baseline.Record {
	source := rand.New(rand.NewPCG(3, uint64(level)))
	var out []baseline.Record
	for range n {
		r.commit = fmt.Sprintf("%07x%02d", 0xabc0000+r.night, len(r.cluster))
		r.values = []float64{level * (1 + 0.01*source.NormFloat64())}
		out = append(out, r.record())
		r.night++
	}
	return out
}

// history is a store of two cases, one of them also on another cluster and a branch.
func history(t *testing.T) string {
	t.Helper()
	url := "dir:" + t.TempDir() + "/store"
	store, err := baseline.Open(t.Context(), url, true)
	require.NoError(t, err)
	one := run{caseID: "deepseek-r1", cluster: "h200", point: "con8", image: "img:1"}
	records := nights(20, one, 1000)
	one.night, one.image = 20, "img:2"
	records = append(records, nights(20, one, 900)...)
	records = append(records, nights(40, run{caseID: "llama-8b", cluster: "h200", point: "con8"}, 500)...)
	records = append(records, nights(40, run{caseID: "deepseek-r1", cluster: "b200", point: "con8"}, 2000)...)
	records = append(records, nights(10, run{caseID: "llama-8b", cluster: "h200", branch: "feature/x", point: "con8"}, 520)...)
	_, err = store.Save(t.Context(), records...)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	return url
}

func finder(t *testing.T, url string) *compare.Finder {
	t.Helper()
	return &compare.Finder{Store: url, Window: "90d", Dir: t.TempDir()}
}

func options() compare.Options {
	return compare.Options{Setup: judging.Setup{Metrics: metric.Default()}}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	url := history(t)
	tests := []struct {
		name, a, b string
		worst      verdict.Word
		caseID     string
		ratio      float64
		rows       int
		unfair     string
		only       string
	}{
		{name: "days across a step", a: "date:2026-01-01..2026-01-20", b: "2026-01-21..2026-02-09", worst: verdict.Regression, caseID: "deepseek-r1", ratio: 0.9, rows: 3, unfair: "image: img:1 against img:2"},
		{name: "one night against another", a: "date:2026-01-19,cluster:h200", b: "date:2026-01-25,cluster:h200", worst: verdict.Regression, caseID: "deepseek-r1", ratio: 0.9, rows: 2},
		{name: "two nights without a change", a: "date:2026-01-03,cluster:h200", b: "date:2026-01-04,cluster:h200", worst: verdict.Inconclusive, rows: 2},
		{name: "commits", a: "commit:abc000304", b: "abc001904", worst: verdict.Regression, caseID: "deepseek-r1", ratio: 0.9, rows: 3},
		{name: "clusters", a: "cluster:h200", b: "b200", worst: verdict.Improvement, caseID: "deepseek-r1", ratio: 2.2, rows: 1, only: "llama-8b con8"},
		{name: "branches", a: "main", b: "feature/x", worst: verdict.Improvement, caseID: "llama-8b", ratio: 1.04, rows: 1, only: "deepseek-r1 con8"},
		{name: "runs", a: "run:nightly-h200-3", b: "nightly-h200-30", worst: verdict.Regression, caseID: "deepseek-r1", ratio: 0.9, rows: 2},
		{name: "a store against itself", a: url, b: url, worst: verdict.Pass, rows: 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, err := finder(t, url).Compare(t.Context(), tt.a, tt.b, options())
			require.NoError(t, err)
			require.Len(t, doc.Rows, tt.rows)
			row := doc.Rows[0]
			require.Equal(t, tt.worst, row.Verdict, "%+v", row)
			require.LessOrEqual(t, row.Interval[0], row.Ratio)
			require.GreaterOrEqual(t, row.Interval[1], row.Ratio)
			if tt.caseID != "" {
				require.Equal(t, tt.caseID, row.Case)
				require.InDelta(t, tt.ratio, row.Ratio, 0.04)
			}
			if tt.unfair != "" {
				require.Contains(t, row.Unfair, tt.unfair)
				require.Equal(t, tt.unfair, doc.Unfair[0].What)
			}
			if tt.only != "" {
				require.Equal(t, []string{tt.only}, doc.OnlyA)
			}
		})
	}
}

// TestWhatIsNotFair: each difference that may explain what was found is said, but not the one that is asked about.
func TestWhatIsNotFair(t *testing.T) {
	t.Parallel()
	url := history(t)
	doc, err := finder(t, url).Compare(t.Context(), "cluster:h200", "cluster:b200", options())
	require.NoError(t, err)
	require.Empty(t, doc.Rows[0].Unfair, "the clusters are what is compared")
	doc, err = finder(t, url).Compare(t.Context(), "run:nightly-h200-3", "run:nightly-b200-4", options())
	require.NoError(t, err)
	require.Equal(t, []string{"cluster: h200 against b200"}, doc.Rows[0].Unfair)

	store, err := baseline.Open(t.Context(), url, false)
	require.NoError(t, err)
	other := run{caseID: "deepseek-r1", cluster: "h200", point: "con16", night: 50, image: "img:2", values: []float64{1700}}.record()
	other.Run, other.Build.Mode, other.Build.Change = "pr-1", baseline.ModePR, "1"
	_, err = store.Save(t.Context(), other.Normal())
	require.NoError(t, err)
	require.NoError(t, store.Close())
	doc, err = finder(t, url).Compare(t.Context(), "run:nightly-h200-30,cluster:h200", "run:pr-1", options())
	require.NoError(t, err)
	require.Equal(t, []string{"concurrency: con8 against con16", "mode: nightly against pr"}, doc.Rows[0].Unfair)
}

func TestNamesThatAreWrong(t *testing.T) {
	t.Parallel()
	url := history(t)
	dir := t.TempDir()
	require.NoError(t, rundir.WriteFile(filepath.Join(dir, "run-1", "run.json"), []byte("{}"), rundir.FileMode))
	tests := []struct{ name, a, want string }{
		{"a branch", "branch:featur/x", `has no run of branch "featur/x"; did you mean "feature/x"? (the last 90d were looked at; --since looks further back)`},
		{"a run id", "run:nightly-h20-3", `did you mean "nightly-h200-3"?`},
		{"a cluster", "cluster:h100", `did you mean "h200"?`},
		{"a bare word", "nigtly-h200-7", `"nigtly-h200-7" is no run directory here, and no run, commit, branch or cluster of`},
		{"a kind", "brnch:main", `brnch is nothing that runs are told by; did you mean "branch"?`},
		{"a day", "date:2026-13-01", `date "2026-13-01": give a day such as 2026-01-31`},
		{"days the wrong way round", "date:2026-01-05..2026-01-01", "the earlier first"},
		{"a day without runs", "date:2027-01-01", "has no run of date"},
		{"a commit", "commit:fffffff", `has no run of commit "fffffff"`},
		{"nothing", "", "an empty name is no run"},
		{"nothing after the kind", "branch:", "names nothing after branch"},
		{"a run directory", "./run-2", `is not a run directory: it has no run.json; did you mean "run-1"?`},
		{"a run without a report", "run-1", "has no report yet: 'ci-disagg report run-1' makes one"},
		{"a store", "dir:/no/such/store", "/no/such/store"},
		{"a password", "postgres://me:secret@host/db", "a password on a command line can be read by everyone"},
		{"two things that exclude each other", "branch:feature/x,cluster:b200", "has no run that all of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := finder(t, url)
			f.Dir = dir
			_, err := f.Compare(t.Context(), tt.a, "main", options())
			require.ErrorContains(t, err, "side A: ")
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
	o := options()
	o.Case = "depseek-r1"
	_, err := finder(t, url).Compare(t.Context(), "main", "main", o)
	require.ErrorContains(t, err, `--case "depseek-r1": no case of either side; did you mean "deepseek-r1"?`)
	o = options()
	o.Metric = "output_token_throughputs"
	_, err = finder(t, url).Compare(t.Context(), "main", "main", o)
	require.ErrorContains(t, err, `did you mean "output_token_throughput"?`)
	_, err = finder(t, "").Compare(t.Context(), "main", "main", options())
	require.ErrorContains(t, err, "there is no store to look for it in: give --store")
}

// TestRunDirectories: two run directories need no store.
func TestRunDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, image string, value float64, past int) {
		root := rundir.Dir(filepath.Join(dir, name))
		unit, gate := "tok/s", true
		var series []verdict.Run
		for i := range past {
			series = append(series, verdict.Run{ID: fmt.Sprint(i), Values: []float64{1000 + float64(i%5)}})
		}
		c := report.CaseReport{ID: "llama-8b", Slug: "llama-8b", Outcome: rundir.OutcomePassed, Planned: report.Planned{Match: map[string]string{"gpu_type": "H200"}}}
		c.Metrics = []verdict.Row{{Case: c.ID, Point: "con8", Metric: throughput, Unit: unit, Gate: gate, Values: []float64{value}, Series: append(series, verdict.Run{Values: []float64{value}})}}
		doc := report.Report{Schema: report.ReportSchema, RunID: name, Cases: []report.CaseReport{c}}
		require.NoError(t, rundir.WriteJSON(root.RunFile(), rundir.Run{ID: name}))
		require.NoError(t, rundir.WriteJSON(filepath.Join(root.Report(), rundir.ReportVerdict), doc))
		plan := rundir.Plan{Schema: rundir.Schema, Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Container: &rundir.Container{Image: image}}}}
		require.NoError(t, rundir.WriteJSON(root.CaseDir(c.Slug).PlanFile(), plan))
	}
	write("monday", "img:1", 1000, 20)
	write("tuesday", "img:2", 950, 20)
	write("alone", "img:2", 950, 0)
	f := &compare.Finder{Dir: dir}
	doc, err := f.Compare(t.Context(), "monday", filepath.Join(dir, "tuesday"), options())
	require.NoError(t, err)
	require.Equal(t, verdict.Regression, doc.Rows[0].Verdict)
	require.InDelta(t, 0.95, doc.Rows[0].Ratio, 0.002)
	require.Equal(t, []string{"image: img:1 against img:2"}, doc.Rows[0].Unfair, "%v", doc.Warnings)
	doc, err = f.Compare(t.Context(), "monday", "alone", options())
	require.NoError(t, err)
	require.Equal(t, verdict.Collecting, doc.Rows[0].Verdict, "nothing tells the noise of the second one")

	f = &compare.Finder{Dir: t.TempDir(), RunsDir: dir}
	doc, err = f.Compare(t.Context(), "run:monday", "tuesday", options())
	require.NoError(t, err)
	require.Equal(t, "run monday", doc.A.Name)
}
