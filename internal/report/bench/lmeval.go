package bench

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// lmEval maps lm_eval's results file: /results/<task>/<metric>,<filter>.
func lmEval(t metric.Table, d jsondoc.Document, file string) []Result {
	if !d.Has("/results") || !slices.ContainsFunc([]string{"/versions", "/n-shot", "/configs", "/higher_is_better", "/group_subtasks"}, d.Has) {
		return nil
	}
	r := Result{Format: FormatLMEvalJSON, File: file, Line: d.Line(""), Date: scalar(d, "/date").text}
	limit := cmp.Or(scalar(d, "/config/limit").text, map[bool]string{true: "None"}[d.Has("/config/limit")])
	for _, pointer := range d.Pointers() {
		rest, ok := strings.CutPrefix(pointer, "/results/")
		task, key, two := strings.Cut(rest, "/")
		name, filter, named := strings.Cut(key, ",")
		if !ok || !two || !named || strings.HasSuffix(name, "_stderr") {
			continue
		}
		s := Score{
			Task: jsondoc.Unescape(task), Filter: jsondoc.Unescape(filter), Metric: jsondoc.Unescape(name),
			Samples: d.Small("/n-samples/" + task + "/effective"), Limited: limit, Line: d.Line(pointer),
		}
		if s.Value, ok = d.Number(pointer); !ok || !finite(s.Value) {
			r.spoil(s.Line, "%s of %s is not a number", s.Metric, s.Task)
			continue
		}
		higher := "/higher_is_better/" + task + "/" + name
		s.LowerIs = d.Has(higher) && !d.True(higher)
		r.Accuracy = added(r.Accuracy, inPercent(s))
	}
	if len(r.Accuracy) == 0 {
		r.spoil(r.Line, "the accuracy run has no result")
	}
	accuracySamples(t, &r)
	return []Result{r}
}

// inPercent turns shares into percent. lm_eval prints both kinds alike; what is not between 0 and 1, or known to be
// something else, stays as it is.
func inPercent(s Score) Score {
	s.Unit = "1"
	if s.Value >= 0 && s.Value <= 1 && !notShare.MatchString(s.Metric) {
		s.Unit, s.Value = "%", math.Round(s.Value*1e12)/1e10 // without the dust of binary fractions
	}
	return s
}

var notShare = regexp.MustCompile("perplexity|bits_per_byte|bpb|loss|ppl")

// accuracySamples adds one sample per task: of the filter and the metric that stand first in preferred order, the last
// run of several.
func accuracySamples(t metric.Table, r *Result) {
	if len(r.Accuracy) > maxResults {
		r.spoil(r.Line, "more than %d scores", maxResults)
	}
	filters, names := []string{"none", "strict-match", "flexible-extract"}, []string{"acc", "exact_match"}
	rank := func(s Score) int { return 3*slices.Index(filters, s.Filter) + slices.Index(names, s.Metric) } // -1 = any other
	best := map[string]Score{}
	for _, s := range r.Accuracy {
		if have, ok := best[s.Task]; s.Unit == "%" && !s.LowerIs && (!ok || rank(s) >= rank(have)) {
			best[s.Task] = s
		}
	}
	asTold := func(a, b Score) int { return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Task, b.Task)) }
	for _, s := range slices.SortedFunc(maps.Values(best), asTold) {
		if m, ok := t.Resolve(metric.Accuracy(s.Task)); ok {
			r.Add(m, s.Value, s.Line)
		}
	}
}

// scoreTable reads the table that lm_eval prints:
//
//	|Tasks|Version|     Filter     |n-shot|  Metric   |   |Value |   |Stderr|
//	|-----|------:|----------------|-----:|-----------|---|-----:|---|-----:|
//	|gsm8k|      3|flexible-extract|     5|exact_match|↑  |0.9454|±  |0.0063|
//
// All tables of a log are one result.
type scoreTable struct {
	metrics metric.Table
	file    string
	columns []string // of the open table
	task    string
	limit   string // of the samples of each task, by the line before the tables of a run; "" = there is no such line
	grouped bool   // a row of that run is of several tasks
	before  int    // scores of runs before it
	result  *Result
}

// limited finds the limit in the line that lm_eval prints before its tables.
var limited = regexp.MustCompile(`gen_kwargs: .*, limit: ([0-9.]+|None), num_fewshot: `)

// Line takes a row of a table.
func (s *scoreTable) Line(text []byte, number int) {
	if m := limited.FindSubmatch(text); m != nil {
		s.runEnds()
		s.limit = string(m[1])
	}
	if bytes.IndexByte(text, '|') < 0 {
		return
	}
	cells := tableCells(starts(text)[0])
	if cells == nil {
		s.columns = nil
		return
	}
	if first := strings.ToLower(cells[0]); first == "tasks" || first == "groups" {
		s.columns, s.task, s.grouped = cells, "", s.grouped || first == "groups"
		return
	}
	row := map[string]string{} // of columns without a name the first, which says what is better
	for i, name := range slices.Backward(s.columns) {
		if i < len(cells) {
			row[strings.ToLower(name)] = cells[i]
		}
	}
	if strings.Trim(row["value"], "-:") != "" {
		s.score(row, cells[0], number)
	}
}

// score takes the row of a score.
func (s *scoreTable) score(row map[string]string, first string, number int) {
	if s.result == nil {
		s.result = &Result{Format: FormatLMEvalText, File: s.file, Line: number}
	}
	if task := strings.TrimLeft(first, "- "); task != "" {
		s.task, s.grouped = task, s.grouped || task != first
	}
	score := Score{Task: s.task, Filter: row["filter"], Metric: row["metric"], Limited: s.limit, LowerIs: strings.Contains(row[""], "↓"), Line: number}
	if score.Value, _ = parseNumber(row["value"]); !finite(score.Value) {
		s.result.spoil(number, "%s of %s is %q, not a number", score.Metric, score.Task, row["value"])
		return
	}
	s.result.Accuracy = added(s.result.Accuracy, inPercent(score))
}

// End is the result, if there was a table.
func (s *scoreTable) End() []Result {
	if s.result == nil {
		return nil
	}
	s.runEnds()
	accuracySamples(s.metrics, s.result)
	return []Result{*s.result}
}

// runEnds gives the scores of a run their number of samples, unless the limit is that of each task of a group.
func (s *scoreTable) runEnds() {
	n, _ := parseNumber(s.limit)
	for ; s.result != nil && s.before < len(s.result.Accuracy); s.before++ {
		if !s.grouped && n >= 1 {
			s.result.Accuracy[s.before].Samples = int(min(n, math.MaxInt32))
		}
	}
	s.grouped = false
}

// tableCells splits a row of a Markdown table; nil = not a row.
func tableCells(line []byte) []string {
	line = bytes.TrimSpace(line)
	if len(line) < 2 || line[0] != '|' || line[len(line)-1] != '|' {
		return nil
	}
	parts := strings.Split(strings.ToValidUTF8(string(line[1:len(line)-1]), "\uFFFD"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
