package bench

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Score is what an accuracy run measured on one task with one filter.
type Score struct {
	Task    string  // gsm8k, …
	Filter  string  // flexible-extract, strict-match, none, …
	Metric  string  // exact_match, acc, …
	Value   float64 // in Unit
	StdErr  float64 // in Unit; NaN = not given
	Unit    string  // % for shares, 1 for anything else (perplexity)
	Samples int     // that the run evaluated; 0 = not given
	LowerIs bool    // a lower value is better
	File    string
	Line    int
}

// isLMEval recognises lm_eval's results file.
func isLMEval(d document) bool {
	if !d.nodes["/results"] {
		return false
	}
	for _, other := range []string{"/versions", "/n-shot", "/configs", "/higher_is_better", "/group_subtasks"} {
		if d.nodes[other] {
			return true
		}
	}
	return false
}

// lmEval maps lm_eval's results file: /results/<task>/<metric>,<filter>.
func (rd Reader) lmEval(d document, file string) Result {
	r := Result{Format: FormatLMEvalJSON, File: file, Line: d.line}
	for _, pointer := range d.pointers() {
		rest, ok := strings.CutPrefix(pointer, "/results/")
		task, key, two := strings.Cut(rest, "/")
		name, filter, named := strings.Cut(key, ",")
		if !ok || !two || !named || strings.HasSuffix(name, "_stderr") {
			continue
		}
		l := d.leaves[pointer]
		s := Score{
			Task: plainToken(task), Filter: plainToken(filter), Metric: plainToken(name), Value: l.num, StdErr: math.NaN(),
			Samples: d.small("/n-samples/" + task + "/effective"), File: file, Line: l.line,
		}
		if l.kind != leafNumber || math.IsNaN(l.num) || math.IsInf(l.num, 0) {
			r.Problems = append(r.Problems, Problem{file, l.line, fmt.Sprintf("%s of %s is not a number", s.Metric, s.Task)})
			continue
		}
		if e, ok := d.number("/results/" + task + "/" + name + "_stderr," + filter); ok {
			s.StdErr = e
		}
		if higher, ok := d.leaves["/higher_is_better/"+task+"/"+name]; ok && higher.kind == leafBool {
			s.LowerIs = !higher.isTrue()
		}
		r.Accuracy = append(r.Accuracy, s.inUnit())
	}
	if len(r.Accuracy) == 0 {
		r.Problems = append(r.Problems, Problem{file, d.line, "the accuracy run has no result"})
	}
	r.accuracySamples(rd.Metrics)
	return r
}

// plainToken undoes pointerToken.
func plainToken(s string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
}

// inUnit turns shares into percent. lm_eval prints both kinds alike; what is
// not between 0 and 1, or known to be something else, stays as it is.
func (s Score) inUnit() Score {
	share := s.Value >= 0 && s.Value <= 1
	for _, other := range []string{"perplexity", "bits_per_byte", "bpb", "loss", "ppl"} {
		share = share && !strings.Contains(s.Metric, other)
	}
	s.Unit = "1"
	if share {
		s.Unit, s.Value, s.StdErr = "%", percent(s.Value), percent(s.StdErr)
	}
	return s
}

// percent is 100 v without the dust of binary fractions.
func percent(v float64) float64 { return math.Round(v*1e12) / 1e10 }

// accuracySamples adds one sample per task: of the filter and the metric that
// stand first in preferred order, the last run of several.
func (r *Result) accuracySamples(t metric.Table) {
	rank := func(s Score) int {
		order := slices.Index([]string{"flexible-extract", "strict-match", "none"}, s.Filter)
		if order < 0 {
			order = 3
		}
		by := slices.Index([]string{"exact_match", "acc"}, s.Metric)
		if by < 0 {
			by = 2
		}
		return 3*order + by
	}
	best := map[string]Score{}
	var tasks []string
	for _, s := range r.Accuracy {
		have, ok := best[s.Task]
		if !ok {
			tasks = append(tasks, s.Task)
		}
		if s.Unit == "%" && !s.LowerIs && (!ok || rank(s) <= rank(have)) {
			best[s.Task] = s
		}
	}
	for _, task := range tasks {
		s, ok := best[task]
		if !ok {
			continue
		}
		if m, ok := t.Resolve("accuracy_" + metricWord(task)); ok {
			r.add(m, s.Value, s.Line)
		}
	}
}

// metricWord makes a task's name a part of a metric's name.
func metricWord(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_':
			return c
		default:
			return '_'
		}
	}, strings.ToLower(s))
}

// scoreTable reads the table that lm_eval prints:
//
//	|Tasks|Version|     Filter     |n-shot|  Metric   |   |Value |   |Stderr|
//	|-----|------:|----------------|-----:|-----------|---|-----:|---|-----:|
//	|gsm8k|      3|flexible-extract|     5|exact_match|↑  |0.9454|±  |0.0063|
type scoreTable struct {
	columns map[string]int
	task    string
}

// row looks at a line; it reports whether the line belongs to a table.
func (s *scoreTable) row(line []byte) (Score, bool, error) {
	cells := tableCells(line)
	if cells == nil {
		s.columns = nil
		return Score{}, false, nil
	}
	if first := strings.ToLower(cells[0]); first == "tasks" || first == "groups" {
		s.columns, s.task = map[string]int{}, ""
		for i, c := range cells {
			s.columns[strings.ToLower(c)] = i
		}
		return Score{}, false, nil
	}
	value, ok := s.columns["value"]
	if !ok || value >= len(cells) || strings.Trim(cells[value], "-:") == "" {
		return Score{}, false, nil
	}
	cell := func(name string) string {
		if i, ok := s.columns[name]; ok && i < len(cells) {
			return cells[i]
		}
		return ""
	}
	if task := strings.TrimLeft(cells[0], "- "); task != "" {
		s.task = task
	}
	out := Score{Task: s.task, Filter: cell("filter"), Metric: cell("metric"), StdErr: math.NaN()}
	if value > 0 {
		out.LowerIs = strings.Contains(cells[value-1], "↓")
	}
	v, ok := parseNumber(cells[value])
	if !ok || math.IsNaN(v) || math.IsInf(v, 0) {
		return out, true, fmt.Errorf("%s of %s is %q, not a number", out.Metric, out.Task, cells[value])
	}
	out.Value = v
	if e, err := strconv.ParseFloat(cell("stderr"), 64); err == nil {
		out.StdErr = e
	}
	return out.inUnit(), true, nil
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
