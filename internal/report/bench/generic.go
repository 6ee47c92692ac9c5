package bench

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Generic describes a format of the user's own: where in a JSON or CSV file a
// metric stands. Every JSON document, every element of Items, or every CSV row
// is one point.
//
// A place in JSON is a JSON Pointer (/summary/latency/p99) or the same with
// dots (summary.latency.p99); in CSV it is the name of a column.
type Generic struct {
	Name    string          `yaml:"name"`   // of the format, for messages
	Files   string          `yaml:"files"`  // glob on the base name of a file: mybench_*.json
	Format  string          `yaml:"format"` // json or csv; default: by the file's suffix
	Items   string          `yaml:"items"`  // JSON: place of the list whose elements are the points
	Metrics []GenericMetric `yaml:"metrics"`

	Point       string `yaml:"point"` // places, all optional
	Concurrency string `yaml:"concurrency"`
	Requested   string `yaml:"requested"`
	Completed   string `yaml:"completed"`
	Failed      string `yaml:"failed"`
	OutputTok   string `yaml:"output_tokens"`
}

// GenericMetric says where one metric stands.
type GenericMetric struct {
	Metric    string  `yaml:"metric"` // a known metric by any of its names, or a new one
	At        string  `yaml:"at"`     // place
	Unit      string  `yaml:"unit"`   // of the number in the file; must be given for a new metric
	Better    string  `yaml:"better"` // higher or lower; must be given for a new metric
	Gate      bool    `yaml:"gate"`   // new metrics only
	MinEffect float64 `yaml:"min_effect"`
	Optional  bool    `yaml:"optional"` // a point without it is whole
}

// Extend adds the formats' new metrics to a table, and reports everything that
// is wrong with the formats at once.
func Extend(t metric.Table, formats []Generic) (metric.Table, error) {
	var problems []error
	for i, g := range formats {
		name := "#" + strconv.Itoa(i+1)
		if g.Name != "" {
			name = g.label()
		}
		bad := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("bench format %s: "+format, append([]any{name}, args...)...))
		}
		if _, err := filepath.Match(g.Files, "x"); g.Files == "" || err != nil {
			bad("files: %q is not a file pattern such as mybench_*.json", g.Files)
		}
		if g.Format != "" && g.Format != "json" && g.Format != "csv" {
			bad("format: %q is neither json nor csv", g.Format)
		}
		if len(g.Metrics) == 0 {
			bad("metrics: none are listed")
		}
		for _, gm := range g.Metrics {
			next, err := gm.extend(t)
			if err != nil {
				bad("%w", err)
				continue
			}
			t = next
		}
	}
	return t, errors.Join(problems...)
}

// label names the format: by its name, else by its files.
func (g Generic) label() string { return strconv.Quote(cmp.Or(g.Name, g.Files)) }

// extend defines the metric if it is new.
func (gm GenericMetric) extend(t metric.Table) (metric.Table, error) {
	if gm.At == "" {
		return t, fmt.Errorf("metric %q: at is missing: the place of its value", gm.Metric)
	}
	better, ok := metric.ParseDirection(gm.Better)
	if gm.Better != "" && !ok {
		return t, fmt.Errorf("metric %q: better: %q is neither higher nor lower", gm.Metric, gm.Better)
	}
	m, known := t.Resolve(gm.Metric)
	if !known {
		return t.With(metric.Metric{Name: gm.Metric, Unit: gm.Unit, Better: better, Gate: gm.Gate, MinEffect: cmp.Or(gm.MinEffect, 0.02)})
	}
	if gm.Better != "" && better != m.Better {
		return t, fmt.Errorf("metric %q: better: %s contradicts %s, where %s is better", gm.Metric, gm.Better, m.Name, m.Better)
	}
	if gm.Unit != "" {
		if _, err := metric.Convert(1, gm.Unit, m.Unit); err != nil {
			return t, fmt.Errorf("metric %q: unit: %w", gm.Metric, err)
		}
	}
	return t, nil
}

// readGeneric reads a file of the user's own format. The table must have been
// extended.
func (rd Reader) readGeneric(br *bufio.Reader, g Generic, file string) ([]Result, error) {
	if g.Format == "csv" || g.Format == "" && strings.EqualFold(filepath.Ext(file), ".csv") {
		return rd.genericCSV(br, g, file)
	}
	var results []Result
	_, err := jsondoc.Read(br, func(string) bool { return true }, func(d jsondoc.Document) {
		for _, item := range items(d, pointer(g.Items)) {
			results = append(results, rd.genericPoint(g, FormatGenericJSON, file, d.Line(""), func(at string) (float64, string, int, bool) {
				return scalar(d, item+pointer(at))
			}))
		}
	})
	return results, err
}

// scalar finds a value: as a number (NaN = not one) and as text.
func scalar(d jsondoc.Document, pointer string) (v float64, text string, line int, ok bool) {
	line = d.Line(pointer)
	switch of := d.Value(pointer).(type) {
	case float64:
		return of, strconv.FormatFloat(of, 'g', -1, 64), line, true
	case string:
		if v, ok = ParseNumber(of); !ok {
			v = math.NaN()
		}
		return v, of, line, true
	default:
		return math.NaN(), "", line, false
	}
}

// items are the prefixes of the points in a document.
func items(d jsondoc.Document, list string) []string {
	if list == "" {
		return []string{""}
	}
	var out []string
	for i := 0; d.Has(list + "/" + strconv.Itoa(i)); i++ {
		out = append(out, list+"/"+strconv.Itoa(i))
	}
	return out
}

// pointer is a place as a JSON Pointer: a.b[0].c is /a/b/0/c.
func pointer(place string) string {
	if place == "" || strings.HasPrefix(place, "/") {
		return place
	}
	place = strings.NewReplacer("[", ".", "]", "").Replace(strings.TrimPrefix(place, "$."))
	return "/" + strings.ReplaceAll(place, ".", "/")
}

// lookup finds the value at a place: as a number (NaN = not one) and as text.
type lookup func(at string) (v float64, text string, line int, ok bool)

func (rd Reader) genericCSV(br *bufio.Reader, g Generic, file string) ([]Result, error) {
	c, err := newCSV(br)
	if err != nil {
		return nil, err
	}
	var results []Result
	for {
		row, err := c.next()
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err != nil {
			return results, err
		}
		if slices.Equal(row, c.header) {
			continue
		}
		line := c.lines
		results = append(results, rd.genericPoint(g, FormatGenericCSV, file, line, func(at string) (float64, string, int, bool) {
			i := slices.Index(c.header, at)
			if i < 0 || strings.TrimSpace(row[i]) == "" {
				return 0, "", line, false
			}
			v, ok := ParseNumber(strings.TrimSpace(row[i]))
			if !ok {
				v = math.NaN()
			}
			return v, row[i], line, true
		}))
	}
}

func (rd Reader) genericPoint(g Generic, format, file string, line int, find lookup) Result {
	r := Result{Format: format, File: file, Line: line}
	if _, text, _, ok := find(g.Point); ok && g.Point != "" {
		r.Name = text
	}
	if n := whole(find, g.Concurrency); n != nil && *n <= math.MaxInt32 {
		r.Concurrency = int(*n)
	}
	r.Requested, r.Completed = whole(find, g.Requested), whole(find, g.Completed)
	r.Failed, r.OutputTokens = whole(find, g.Failed), whole(find, g.OutputTok)
	for _, gm := range g.Metrics {
		m, ok := rd.Metrics.Resolve(gm.Metric)
		if !ok {
			r.Problems = append(r.Problems, Problem{file, line, fmt.Sprintf("metric %q is not defined", gm.Metric)})
			continue
		}
		v, text, at, ok := find(gm.At)
		switch {
		case !ok && gm.Optional:
			r.Notes = append(r.Notes, Problem{file, line, fmt.Sprintf("%s: there is nothing at %s", m.Name, gm.At)})
		case !ok:
			r.Problems = append(r.Problems, Problem{file, line, fmt.Sprintf("%s: there is nothing at %s", m.Name, gm.At)})
		case math.IsNaN(v) || math.IsInf(v, 0):
			r.Problems = append(r.Problems, Problem{file, at, fmt.Sprintf("%s at %s is %q, not a number", m.Name, gm.At, text)})
		default:
			if gm.Unit != "" {
				converted, err := metric.Convert(v, gm.Unit, m.Unit)
				if err != nil {
					r.Problems = append(r.Problems, Problem{file, at, fmt.Sprintf("%s: %v", m.Name, err)})
					continue
				}
				v = converted
			}
			r.Add(m, v, at)
		}
	}
	return r
}

// whole is a count at a place, nil = none.
func whole(find lookup, at string) *int64 {
	if at == "" {
		return nil
	}
	v, _, _, ok := find(at)
	if !ok || !(v >= 0 && v <= 1<<53) || v != math.Trunc(v) {
		return nil
	}
	n := int64(v)
	return &n
}
