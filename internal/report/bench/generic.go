package bench

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Generic describes a format: where in a JSON, CSV or text file a metric stands. Every JSON document, every element of
// Items, every CSV row, or every line that Begins matches is one point.
//
// A place in JSON is a JSON Pointer (/summary/latency/p99) or the same with dots (summary.latency.p99); in CSV it is
// the name of a column, in text that of a group of an expression. " | " between places means the first that is there.
type Generic struct {
	Name    string           `yaml:"name"`                        // of the format, for messages
	Files   string           `yaml:"files"`                       // glob on the base name of a file: mybench_*.json
	Format  string           `yaml:"format" enum:"json,csv,text"` // json, csv or text; default: by the file's suffix
	Items   string           `yaml:"items"`                       // JSON: place of the list whose elements are the points
	Title   *regexp.Regexp   `yaml:"title"`                       // text: of a line before that one; the last that matched counts
	Begins  *regexp.Regexp   `yaml:"begins"`                      // text: of the line that begins a point
	Lines   []*regexp.Regexp `yaml:"lines"`                       // text: of the lines behind it that count
	Metrics []GenericMetric  `yaml:"metrics"`

	Point       string `yaml:"point"` // places, all optional
	Concurrency string `yaml:"concurrency"`
	Rate        string `yaml:"rate"` // requests per second that the client was to send
	Duration    string `yaml:"duration"`
	DurationIn  string `yaml:"duration_unit"` // default s
	Requested   string `yaml:"requested"`
	Completed   string `yaml:"completed"`
	Failed      string `yaml:"failed"` // text: the sum of all groups of this name
	InputTok    string `yaml:"input_tokens"`
	OutputTok   string `yaml:"output_tokens"`
	Problem     string `yaml:"problem"` // what stands there makes the point invalid

	noneFailed bool // the client says nothing of failures when there are none
}

// GenericMetric says where one metric stands.
type GenericMetric struct {
	Metric    string  `yaml:"metric"`                     // a known metric by any of its names, or a new one
	At        string  `yaml:"at"`                         // place
	Unit      string  `yaml:"unit"`                       // of the number in the file; must be given for a new metric
	UnitAt    string  `yaml:"unit_at"`                    // place of the unit, where the file names it
	Better    string  `yaml:"better" enum:"higher,lower"` // higher or lower; must be given for a new metric
	Gate      bool    `yaml:"gate"`                       // new metrics only
	MinEffect float64 `yaml:"min_effect"`
	Optional  bool    `yaml:"optional"` // a point without it is whole
}

// Extend adds the formats' new metrics to a table, and reports everything that is wrong with the formats at once.
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
		if !slices.Contains([]string{"", "json", "csv", "text"}, g.Format) {
			bad("format: %q is neither json nor csv nor text", g.Format)
		}
		if err := g.checkText(); err != nil {
			bad("%w", err)
		}
		if _, err := metric.Convert(1, cmp.Or(g.DurationIn, "s"), "s"); err != nil {
			bad("duration_unit: %w", err)
		}
		if len(g.Metrics) == 0 {
			bad("metrics: none are listed")
		}
		for _, gm := range g.Metrics {
			var err error
			if t, err = gm.extend(t); err != nil {
				bad("%w", err)
			}
		}
	}
	return t, errors.Join(problems...)
}

// label names the format: by its name, else by its files.
func (g Generic) label() string { return strconv.Quote(cmp.Or(g.Name, g.Files)) }

// extend defines the metric if it is new.
func (gm GenericMetric) extend(t metric.Table) (metric.Table, error) {
	better, ok := metric.ParseDirection(gm.Better)
	m, known := t.Resolve(gm.Metric)
	_, unit := metric.Convert(1, cmp.Or(gm.Unit, m.Unit), m.Unit)
	switch {
	case gm.At == "":
		return t, fmt.Errorf("metric %q: at is missing: the place of its value", gm.Metric)
	case gm.Better != "" && !ok:
		return t, fmt.Errorf("metric %q: better: %q is neither higher nor lower", gm.Metric, gm.Better)
	case !known:
		return t.With(metric.Metric{Name: gm.Metric, Unit: gm.Unit, Better: better, Gate: gm.Gate, MinEffect: cmp.Or(gm.MinEffect, 0.02)})
	case gm.Better != "" && better != m.Better:
		return t, fmt.Errorf("metric %q: better: %s contradicts %s, where %s is better", gm.Metric, gm.Better, m.Name, m.Better)
	case unit != nil:
		return t, fmt.Errorf("metric %q: unit: %w", gm.Metric, unit)
	}
	return t, nil
}

// readGeneric reads a file of the user's own format. The table must have been extended.
func (rd Reader) readGeneric(br *bufio.Reader, g Generic, file string) (results []Result, err error) {
	switch {
	case g.Format == "csv" || g.Format == "" && strings.EqualFold(filepath.Ext(file), ".csv"):
		_, err = eachRow(br, func(row map[string]string, line int) error {
			results = added(results, g.point(rd.Metrics, Result{Format: "generic-csv", File: file, Line: line}, func(at string) found {
				v, _ := parseNumber(strings.TrimSpace(row[at]))
				return found{v, row[at], line, row[at] != ""}
			}))
			return nil
		})
	case g.Format == "text":
		p := textPoints{format: "generic-text", g: g, metrics: rd.Metrics, file: file}
		err = eachLine(br, func(text []byte, number int, _ bool) { p.Line(text, number) })
		results = p.End()
	default:
		_, err = jsondoc.Read(br, func(string) int { return jsonList }, func(d jsondoc.Document) {
			results = added(results, g.points(rd.Metrics, d, "generic-json", file)...)
		})
	}
	return results, err
}

// points are those of one document.
func (g Generic) points(t metric.Table, d jsondoc.Document, format, file string) (results []Result) {
	items, list := []string{""}, pointer(g.Items)
	if list != "" {
		items = nil
		for i := 0; d.Has(list + "/" + strconv.Itoa(i)); i++ {
			items = append(items, list+"/"+strconv.Itoa(i))
		}
	}
	for _, item := range items {
		results = append(results, g.point(t, Result{Format: format, File: file, Line: d.Line("")}, func(at string) found { return scalar(d, item+pointer(at)) }))
	}
	return results
}

// scalar finds a value; the text of what is true is its key. What is false is not there.
func scalar(d jsondoc.Document, pointer string) found {
	f := found{v: math.NaN(), line: d.Line(pointer)}
	switch of := d.Value(pointer).(type) {
	case float64:
		f.v, f.text, f.ok = of, strconv.FormatFloat(of, 'g', -1, 64), true
	case string:
		f.v, _ = parseNumber(of)
		f.text, f.ok = of, true
	case bool:
		if f.ok = of; of {
			f.text = pointer[strings.LastIndexByte(pointer, '/')+1:]
		}
	}
	return f
}

// pointer is a place as a JSON Pointer: a.b[0].c is /a/b/0/c.
func pointer(place string) string {
	if place == "" || strings.HasPrefix(place, "/") {
		return place
	}
	place = strings.NewReplacer("[", ".", "]", "").Replace(strings.TrimPrefix(place, "$."))
	return "/" + strings.ReplaceAll(place, ".", "/")
}

// found is the value at a place, if there is one: as a number (NaN = not one) and as text.
type found struct {
	v    float64
	text string
	line int
	ok   bool
}

// lookup finds the value at a place.
type lookup func(at string) found

// point fills in r, of which only the place is known.
func (g Generic) point(t metric.Table, r Result, where lookup) Result {
	find := where.first
	r.Name, r.Rate = find(g.Point).text, rate(find(g.Rate).v)
	if n := whole(find, g.Concurrency); n != nil && *n >= 0 && *n <= math.MaxInt32 {
		r.Concurrency = int(*n)
	}
	if v, ok := find(g.Duration).inUnit(cmp.Or(g.DurationIn, "s"), "s"); ok {
		r.DurationS = &v
	}
	r.Requested, r.Completed = whole(find, g.Requested), whole(find, g.Completed)
	r.Failed, r.InputTokens, r.OutputTokens = whole(find, g.Failed), whole(find, g.InputTok), whole(find, g.OutputTok)
	if g.noneFailed && r.Failed == nil && r.Completed != nil {
		r.Failed = new(int64)
	}
	if f := find(g.Problem); f.ok {
		r.spoil(f.line, "the client says %s", f.text)
	}
	for _, gm := range g.Metrics {
		gm.take(t, &r, find)
	}
	return r
}

// take adds the metric to a result.
func (gm GenericMetric) take(t metric.Table, r *Result, find lookup) {
	m, defined := t.Resolve(gm.Metric)
	f := find(gm.At)
	v, number := f.inUnit(cmp.Or(find(gm.UnitAt).text, gm.Unit, m.Unit), m.Unit)
	switch {
	case !defined:
		r.spoil(r.Line, "metric %q is not defined", gm.Metric)
	case !f.ok && gm.Optional:
	case !f.ok:
		r.spoil(r.Line, "%s: there is nothing at %s", m.Name, gm.At)
	case !number:
		r.spoil(f.line, "%s at %s is %q, not a number", m.Name, gm.At, f.text)
	default:
		r.Add(m, v, f.line)
	}
}

// inUnit expresses the value in a unit. A value that is no number may carry its own unit: 205.00us.
func (f found) inUnit(from, to string) (float64, bool) {
	v := f.v
	if math.IsNaN(v) {
		end := strings.LastIndexAny(f.text, "0123456789") + 1
		if end == len(f.text) {
			return 0, false
		}
		v, _ = parseNumber(f.text[:end])
		from = f.text[end:]
	}
	v, err := metric.Convert(v, from, to)
	return v, err == nil && finite(v)
}

// first finds the first of several places that there is.
func (find lookup) first(at string) found {
	for place := range strings.SplitSeq(at, " | ") {
		if f := find(place); f.ok && place != "" {
			return f
		}
	}
	return found{v: math.NaN()}
}

// whole is a count at a place, nil = none.
func whole(find lookup, at string) *int64 {
	v := find(at).v
	if !(math.Abs(v) <= 1<<53) || v != math.Trunc(v) {
		return nil
	}
	return new(int64(v))
}

// rate is a number of requests per second; 0 = the client sends them as fast as it can (inf), or does not say.
func rate(v float64) float64 {
	if v > 0 && finite(v) {
		return v
	}
	return 0
}

// gives lists what the outputs tell beside metrics.
func (g Generic) gives() (out []string) {
	places := []string{g.Point, g.Concurrency, g.Rate, g.Requested, g.Completed, g.Failed}
	for i, what := range []string{"name", "concurrency", "rate", "requested", "completed", "failed"} {
		if places[i] != "" {
			out = append(out, what)
		}
	}
	return out
}
