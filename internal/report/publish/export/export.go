// Package export writes what a run measured for databases: as a bulk request of OpenSearch with the field names of
// upstream, and as OpenMetrics. It reads verdict.json and nothing else.
package export

import (
	"crypto/md5" // an id as upstream makes it, no protection
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/cost"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Export formats.
const (
	FormatOpenMetrics = "openmetrics"
	FormatBulk        = "opensearch-bulk"
)

// Formats lists the export formats.
func Formats() []string { return []string{FormatOpenMetrics, FormatBulk} }

// maxVerdict bounds verdict.json, in bytes.
const maxVerdict = 1 << 30

// Read reads verdict.json. It refuses a newer schema.
func Read(path string) (report.Report, error) {
	var d report.Report
	tree, err := rundir.OpenTree(filepath.Dir(path))
	if err != nil {
		return d, err
	}
	defer func() { _ = tree.Close() }()
	data, err := tree.ReadFile(path, maxVerdict)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	if d.Schema > report.ReportSchema {
		return d, fmt.Errorf("%s: schema %d is newer than this ci-disagg understands (%d)", path, d.Schema, report.ReportSchema)
	}
	return d, nil
}

// Write writes what was measured in one of the formats, under the field names
// of upstream's performance database: l_ int, d_ float, s_ string, b_ bool, ts_
// milliseconds since 1970.
func Write(w io.Writer, format string, d report.Report, table metric.Table) error {
	switch format {
	case FormatOpenMetrics:
		return exportOpenMetrics(w, d, table)
	case FormatBulk:
		return exportBulk(w, d, table)
	default:
		return fmt.Errorf("unknown format %q: one of %s", format, strings.Join(Formats(), ", "))
	}
}

// measurement is what a case measured at one point.
type measurement struct {
	fields map[string]any // l_, s_, b_, ts_
	rows   []verdict.Row  // with a value
	spent  *cost.Spent    // by the case, on one of its points alone, so that a sum over all is right
}

// measurements groups what was measured by case and point, in the order of the
// document. An accuracy gate whose score is there by itself adds nothing.
func measurements(d report.Report) []measurement {
	var out []measurement
	for _, c := range d.Cases {
		at := map[string]int{}
		for _, r := range c.OfHistory() {
			if r.Value == nil {
				continue
			}
			i, ok := at[r.Point]
			if !ok {
				i = len(out)
				at[r.Point] = i
				out = append(out, measurement{fields: caseFields(d, c, r.Point)})
				if len(at) == 1 {
					out[i].spent = &c.Spent
				}
			}
			out[i].rows = append(out[i].rows, r)
			if r.Verdict == verdict.Regression && r.Decides() {
				out[i].fields["b_is_regression"] = true
			}
		}
	}
	return out
}

// caseFields describe where a measurement comes from.
func caseFields(d report.Report, c report.CaseReport, point string) map[string]any {
	f := map[string]any{
		"s_run_id": d.RunID, "s_stage_name": d.Stage, "s_case_id": c.ID,
		"b_is_valid":      len(c.Problems) == 0 && c.Proven(),
		"b_is_post_merge": d.Build.Mode == string(verdict.Nightly), "b_is_baseline": false, "b_is_regression": false,
	}
	set := func(name, value string) {
		if value != "" {
			f[name] = value
		}
	}
	set("s_cluster", d.Cluster)
	set("s_branch", d.Build.Branch)
	set("s_commit", d.Build.Commit)
	set("s_trigger_mr_id", d.Build.Change)
	set("s_build_url", d.Build.URL)
	for name, value := range c.Match {
		field, typed := matchField(name, value)
		f[field] = typed
	}
	at := d.Started
	for _, a := range c.Attempts {
		if a.Counts {
			set("s_job_id", a.JobID)
			if a.Started != nil {
				at = a.Started
			}
			break
		}
	}
	if at != nil {
		f["ts_created"] = at.UnixMilli()
	}
	set("s_runtime", runtimeName(c))
	name := serverName(c.ID)
	if p := pointOf(c.Points, point); p != nil {
		f["l_concurrency"] = int64(p.Concurrency)
		if p.InputLen > 0 {
			f["l_isl"] = int64(p.InputLen)
		}
		if p.OutputLen > 0 {
			f["l_osl"] = int64(p.OutputLen)
		}
		if p.Name != "" {
			point = p.Name
		}
	}
	if point != "" {
		name += "-" + point
	}
	f["s_test_case_name"] = name
	return f
}

// addHours tells where the GPU-hours of a case went.
func addHours(fields map[string]any, s cost.Spent) {
	for name, hours := range map[string]float64{
		"allocated": s.Allocated, "computed": s.Computed, "useful": s.Useful, "repeated": s.Repeated, "failed": s.Failed,
		"infrastructure": s.Infrastructure, "cancelled": s.Cancelled, "idle": s.IdleHours(),
	} {
		fields["d_gpu_hours_"+name] = hours
	}
}

// pointOf is the planned point of a row.
func pointOf(points []rundir.Point, name string) *rundir.Point {
	for i, p := range points {
		if p.Name == name || "con"+strconv.Itoa(p.Concurrency) == name {
			return &points[i]
		}
	}
	return nil
}

// serverName is the server's part of upstream's test name: of a disaggregated
// case <mode>-<config>, of an aggregated one the server's name in its file.
func serverName(id string) string {
	kind, rest, ok := strings.Cut(rundir.ShortID(id), "-")
	if !ok {
		return rundir.ShortID(id)
	}
	if strings.HasPrefix(kind, "aggr") {
		if _, server, ok := strings.Cut(rest, "-"); ok {
			return server
		}
	}
	return rest
}

// runtimeName is upstream's word for the kind of case; it has none for those of a configured pipeline.
func runtimeName(c report.CaseReport) string {
	switch c.Mode {
	case rundir.ModeCustom:
		return ""
	case rundir.ModeAggregated:
		return "aggr_server"
	default:
		return "multi_node_disagg_server"
	}
}

// matchField is a property of a plan as a field, with the type its text shows.
func matchField(name, value string) (string, any) {
	switch name {
	case "model":
		name = "model_name"
	case "mode":
		name = "benchmark_mode"
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return "l_" + name, n
	}
	if value == "true" || value == "false" {
		return "b_" + name, value == "true"
	}
	return "s_" + name, value
}

// metricField is the name of a metric without its prefix: upstream's where it
// has one, else ours.
func metricField(name string, table metric.Table) string {
	if m, ok := table.Lookup(name); ok && m.Upstream != "" {
		return m.Upstream
	}
	return name
}

// exportBulk writes the body of an OpenSearch _bulk request: post it to
// <index>/_bulk. The id is the MD5 of the sorted document, as upstream's writer
// makes it, so a second post changes nothing.
func exportBulk(w io.Writer, d report.Report, table metric.Table) error {
	for _, m := range measurements(d) {
		doc := m.fields
		for _, r := range m.rows {
			field := metricField(r.Metric, table)
			doc["d_"+field] = *r.Value
			if r.Baseline != nil {
				doc["d_baseline_"+field] = *r.Baseline
			}
		}
		if m.spent != nil {
			addHours(doc, *m.spent)
		}
		body, err := json.Marshal(doc) // sorts the keys
		if err != nil {
			return err
		}
		sum := md5.Sum(body)
		if _, err := fmt.Fprintf(w, "{\"index\":{\"_id\":%q}}\n%s\n", hex.EncodeToString(sum[:]), body); err != nil {
			return err
		}
	}
	return nil
}

// exportOpenMetrics writes OpenMetrics 1.0 that is Prometheus' text format too.
// Labels are the fields that identify a series; what differs from run to run
// stands on ci_disagg_run_info, or every run would be a series of its own.
// Samples carry no time, because the textfile collector and the Pushgateway
// refuse those that do: when the run began is a gauge as well.
func exportOpenMetrics(w io.Writer, d report.Report, table metric.Table) error {
	all := families{}
	for _, m := range measurements(d) {
		labels := seriesOf(m.fields)
		for _, r := range m.rows {
			field := labelName(metricField(r.Metric, table))
			all.add("d_"+field, fmt.Sprintf("%s in %s, %s is better", r.Metric, r.Unit, r.Better), labels, *r.Value)
			if r.Baseline != nil {
				all.add("d_baseline_"+field, "baseline of "+r.Metric+" in "+r.Unit, labels, *r.Baseline)
			}
		}
		all.add("b_is_valid", "1 if what was measured is valid", labels, truth(m.fields["b_is_valid"]))
		all.add("b_is_regression", "1 if a gating metric is an open regression", labels, truth(m.fields["b_is_regression"]))
	}
	where := map[string]any{"s_stage_name": d.Stage, "s_cluster": d.Cluster, "s_branch": d.Build.Branch}
	for _, c := range d.Cases {
		labels := maps.Clone(where)
		labels["s_case_id"] = c.ID
		all.add("ci_disagg_case_exit_code", "exit code that the case alone would give", labels, float64(c.ExitCode))
		all.hours(c, labels)
	}
	all.add("ci_disagg_exit_code", "exit code of the run", where, float64(d.ExitCode))
	if d.Started != nil {
		all.add("ci_disagg_start_time_seconds", "when the run began, in seconds since 1970", where, float64(d.Started.Unix()))
	}
	info := maps.Clone(where)
	info["s_run_id"], info["s_commit"], info["s_build_url"], info["s_trigger_mr_id"] = d.RunID, d.Build.Commit, d.Build.URL, d.Build.Change
	all.add("ci_disagg_run_info", "what this run is", info, 1)
	return all.write(w)
}

// seriesOf is the fields that stay the same from run to run.
func seriesOf(fields map[string]any) map[string]any {
	out := maps.Clone(fields)
	for _, name := range []string{
		"s_run_id", "s_job_id", "s_commit", "s_build_url", "s_trigger_mr_id", "ts_created", "b_is_valid", "b_is_regression", "b_is_baseline",
	} {
		delete(out, name)
	}
	return out
}

// truth is a flag as a number.
func truth(flag any) float64 {
	if flag == true {
		return 1
	}
	return 0
}

// family is the samples of one metric name.
type family struct {
	help    string
	samples []string
	known   map[string]bool // series, of which there is one sample each
}

// families are gauges by name.
type families map[string]*family

// add puts one sample to its family. Empty labels are left out, as OpenMetrics
// takes them to be.
func (all families) add(name, help string, labels map[string]any, value float64) {
	f, ok := all[name]
	if !ok {
		f = &family{help: help, known: map[string]bool{}}
		all[name] = f
	}
	var pairs []string
	for _, n := range slices.Sorted(maps.Keys(labels)) {
		if text := fmt.Sprint(labels[n]); text != "" {
			pairs = append(pairs, fmt.Sprintf(`%s="%s"`, labelName(n), openMetricsText(text)))
		}
	}
	series := fmt.Sprintf("%s{%s}", name, strings.Join(pairs, ","))
	if !f.known[series] { // else names that differ in what OpenMetrics does not allow
		f.known[series] = true
		f.samples = append(f.samples, series+" "+strconv.FormatFloat(value, 'g', -1, 64))
	}
}

// hours are the GPU-hours of a case by cause; a sum over causes and roles is what was allocated.
func (all families) hours(c report.CaseReport, labels map[string]any) {
	for _, x := range c.Spent.Shares() {
		with := maps.Clone(labels)
		with["cause"] = x.Name
		if x.Idle {
			with["cause"], with["role"] = "idle", x.Name
		}
		all.add("ci_disagg_gpu_hours", "GPU-hours of the case's jobs by cause; idle ones by role", with, x.Hours)
	}
}

// write prints the families in order of their names.
func (all families) write(w io.Writer) error {
	for _, n := range slices.Sorted(maps.Keys(all)) {
		if _, err := fmt.Fprintf(w, "# TYPE %s gauge\n# HELP %s %s\n%s\n", n, n, openMetricsText(strings.ReplaceAll(all[n].help, `"`, "'")), strings.Join(all[n].samples, "\n")); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "# EOF\n")
	return err
}

// labelName is s as a name that OpenMetrics allows.
func labelName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}

// openMetricsText escapes a label's value or a help text.
func openMetricsText(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if !strings.ContainsAny(s, "\\\"\n") {
		return s // as nearly all are; to make a replacer costs more than everything else here
	}
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}
