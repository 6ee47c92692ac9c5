package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The database of TensorRT-LLM's perf-sanity pipeline: one document per server
// and client. Field names say their type: l_ int, d_ float, s_ string, b_ bool,
// ts_ milliseconds. A test name is "<server>-<client>", and the client by default
// con<C>_iter<I>_isl<ISL>_osl<OSL>.

// foreign turns one document into a part of a record. Only what is not a
// document at all is an error.
func (im *importer) foreign(doc map[string]any) error {
	name := text(doc, "s_test_case_name")
	if name == "" {
		return errors.New("neither a record of ci-disagg nor of upstream's database (it has no s_test_case_name)")
	}
	im.Read++
	if flag(doc, "b_is_baseline") {
		im.skip("a baseline row, not a run (b_is_baseline)")
		return nil
	}
	at, ok := created(doc)
	if !ok {
		im.skip("no usable ts_created or @timestamp")
		return nil
	}
	server, point := splitName(name, doc)
	rec := baseline.Record{
		Kind: baseline.KindRun, Case: im.caseID(name, server, doc), Time: at, Source: "opensearch",
		Run:     runOf(doc),
		Build:   rundir.Build{Mode: baseline.ModePR, Branch: text(doc, "s_branch"), Commit: text(doc, "s_commit"), URL: first(text(doc, "s_job_url"), text(doc, "s_build_url")), Change: text(doc, "s_trigger_mr_id")},
		GPU:     text(doc, "s_gpu_type"),
		Cluster: first(text(doc, "s_cluster"), text(doc, "s_cluster_name")),
		Match:   baseline.SelectMatch(properties(doc), im.matchKeys()),
		Valid:   true,
		Act:     &baseline.Act{By: im.opt.Stamp.By, At: im.opt.Stamp.At, Why: im.opt.Stamp.Why},
	}
	if flag(doc, "b_is_post_merge") {
		rec.Build.Mode = baseline.ModeNightly
	}
	if !flag(doc, "b_is_valid") {
		rec.Valid, rec.Problems = false, []string{"its database does not call it valid (b_is_valid)"}
	}
	if host := text(doc, "s_host_node_name"); host != "" {
		rec.Repetitions = []baseline.Repetition{{Nodes: []string{host}}}
	}
	rec.Measurements = im.metrics(doc, point)
	if flag(doc, "b_is_regression") {
		knownBad(&rec)
	}
	im.group(rec)
	return nil
}

// knownBad keeps the verdict of the other database, without the level it was measured against: the rule upstream leaves
// such a run out of its baseline, as that database's own query does, and bws goes on with the regression as an open
// one if it sees it too.
func knownBad(rec *baseline.Record) {
	rec.Verdict = verdict.Regression
	for i := range rec.Measurements {
		rec.Measurements[i].Verdict = verdict.Regression
	}
}

// group joins the documents of one job and case, one per point, into one record.
func (im *importer) group(rec baseline.Record) {
	key := strings.Join([]string{rec.Case, baseline.MatchKey(rec.Match), rec.Branch(), rec.Build.Mode, rec.Build.Change, rec.Run}, "\x00")
	have, ok := im.groups[key]
	if !ok {
		im.groups[key] = &rec
		return
	}
	if rec.Time.Before(have.Time) {
		have.Time = rec.Time
	}
	have.Valid = have.Valid && rec.Valid
	have.Verdict = max(have.Verdict, rec.Verdict) // a regression, or nothing
	if !have.Valid && len(have.Problems) == 0 {
		have.Problems = rec.Problems
	}
	for _, m := range rec.Measurements {
		i := slices.IndexFunc(have.Measurements, func(h baseline.Measurement) bool { return h.Point == m.Point && h.Metric == m.Metric })
		if i < 0 {
			have.Measurements = append(have.Measurements, m)
			continue
		}
		h := &have.Measurements[i]
		h.Verdict = max(h.Verdict, m.Verdict)
		if slices.Equal(h.Values, m.Values) {
			im.skip("the same value of the same job twice")
		} else { // measured again in the same job: a repetition
			h.Values = append(h.Values, m.Values...)
		}
	}
}

func (im *importer) matchKeys() []string {
	if len(im.opt.Match) == 0 {
		return []string{"gpu_type"}
	}
	return im.opt.Match
}

// metrics are the fields that the table of metrics knows under upstream's names.
func (im *importer) metrics(doc map[string]any, point string) []baseline.Measurement {
	var out []baseline.Measurement
	for field, raw := range doc {
		name, ok := strings.CutPrefix(field, "d_")
		if !ok || strings.HasPrefix(name, "baseline_") || strings.HasPrefix(name, "threshold_") || strings.HasPrefix(name, "gpu_hours_") {
			continue
		}
		def, ok := im.opt.Metrics.Upstream(name)
		if !ok {
			im.skip("the field %s is not a known metric", field)
			continue
		}
		v, ok := number(raw)
		if !ok || v <= 0 {
			im.skip("the field %s has no finite number above 0", field)
			continue
		}
		out = append(out, baseline.Measurement{Point: point, Metric: def.Name, Unit: def.Unit, Values: []float64{v}})
	}
	return out
}

// caseID is the case id for a test name. Names alone do not say the file of an
// aggregated case; a mapping does.
func (im *importer) caseID(name, server string, doc map[string]any) string {
	for _, key := range []string{name, server} {
		if id, ok := im.opt.Cases[key]; ok {
			return id
		}
	}
	if im.opt.Case != "" {
		return strings.ReplaceAll(im.opt.Case, "{server}", server)
	}
	prefix := "aggr_upload-"
	if strings.Contains(text(doc, "s_runtime"), "disagg") {
		prefix = "disagg_upload-"
	}
	return "perf/test_perf_sanity.py::test_e2e[" + prefix + server + "]"
}

// splitName divides a test name into server and client.
func splitName(name string, doc map[string]any) (server, point string) {
	if m := regexp.MustCompile(`^(.+)-(con\d+(?:_.*)?)$`).FindStringSubmatch(name); m != nil {
		return m[1], m[2] // shortPoints takes the rest off where the concurrency says it all
	}
	if c := text(doc, "l_concurrency"); c != "" && c != "0" {
		return name, "con" + c
	}
	return name, ""
}

// runOf identifies the job that wrote the document.
func runOf(doc map[string]any) string {
	job, build := text(doc, "s_job_id"), text(doc, "s_build_id")
	if job == "" && build == "" {
		return text(doc, "_id")
	}
	return strings.Trim(job+"-"+build, "-")
}

// properties are the fields that describe a configuration, under the names that
// plans use.
func properties(doc map[string]any) map[string]string {
	rename := map[string]string{"model_name": "model", "benchmark_mode": "mode"}
	out := map[string]string{}
	for field := range doc {
		for _, prefix := range []string{"s_", "l_", "b_"} {
			if name, ok := strings.CutPrefix(field, prefix); ok {
				out[first(rename[name], name)] = text(doc, field)
			}
		}
	}
	return out
}

// created is the time of a document: ts_created in milliseconds, else
// @timestamp in one of the forms that are in use.
func created(doc map[string]any) (time.Time, bool) {
	for _, field := range []string{"ts_created", "@timestamp"} {
		if v, ok := number(doc[field]); ok && v > 1e9 {
			if v > 1e11 { // milliseconds
				v /= 1000
			}
			sec, frac := math.Modf(v)
			return time.Unix(int64(sec), int64(math.Round(frac*1e6))*1000).UTC(), true
		}
		s, _ := doc[field].(string)
		for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "Jan 2, 2006 @ 15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02"} {
			if at, err := time.Parse(form, s); err == nil {
				return at.UTC(), true
			}
		}
	}
	return time.Time{}, false
}

// number reads a finite number, of JSON or of YAML.
func number(v any) (float64, bool) {
	var f float64
	switch v := v.(type) {
	case json.Number:
		f, _ = v.Float64()
		if v == "" {
			return 0, false
		}
	case float64:
		f = v
	case int:
		f = float64(v)
	case int64:
		f = float64(v)
	default:
		return 0, false
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// text is a field as text; "" for none and for null.
func text(doc map[string]any, field string) string {
	switch v := doc[field].(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case int, int64, float64:
		return fmt.Sprint(v)
	default:
		return ""
	}
}

func flag(doc map[string]any, field string) bool {
	v := doc[field]
	return v == true || v == "true" || v == "True"
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// shortPoints names points con<C>, as measurements of our own do, unless one
// record has several clients of that concurrency.
func shortPoints(ms []baseline.Measurement) {
	full := map[string]string{} // con<C> → the one full name that has it
	for _, m := range ms {
		short, _, _ := strings.Cut(m.Point, "_")
		if other, ok := full[short]; ok && other != m.Point {
			full[short] = "" // several
			continue
		}
		if _, ok := full[short]; !ok {
			full[short] = m.Point
		}
	}
	for i, m := range ms {
		if short, _, _ := strings.Cut(m.Point, "_"); full[short] == m.Point {
			ms[i].Point = short
		}
	}
}
