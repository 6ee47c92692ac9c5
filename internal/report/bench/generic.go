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
		err = eachRow(br, func(row map[string]string, line int) error {
			results = added(results, g.point(rd.Metrics, Result{Format: "generic-csv", File: file, Line: line}, func(at string) found {
				text := strings.TrimSpace(row[at])
				v, _ := parseNumber(text)
				return found{v: v, text: row[at], line: line, ok: text != ""}
			}))
			return nil
		})
	case g.Format == "text":
		p := textPoints{format: formatOwnText, g: g, metrics: rd.Metrics, file: file, groups: map[string]found{}}
		torn := false
		err = eachLine(br, func(text []byte, number int, last bool) {
			p.Line(text, number)
			torn = last && p.last == number
		})
		if results = p.End(); torn && len(results) > 0 {
			results[len(results)-1].spoil(p.last, "the last line has no end: half-written")
		}
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
	f, value := found{v: math.NaN(), line: d.Line(pointer)}, d.Value(pointer)
	if twice, ok := value.(jsondoc.Twice); ok {
		value, f.odd = twice.Last, fmt.Sprintf("given twice: %v and %v", twice.First, twice.Last)
	}
	switch of := value.(type) {
	case float64:
		f.v, f.text, f.ok = of, strconv.FormatFloat(of, 'g', -1, 64), true
	case string:
		f.v, _ = parseNumber(of)
		f.text, f.ok = of, true
	case bool:
		f.odd = cmp.Or(f.odd, strconv.FormatBool(of)+", not a number")
		if f.ok = of; of {
			f.text = pointer[strings.LastIndexByte(pointer, '/')+1:]
		}
	case jsondoc.Node:
		f.odd = "a list or an object, not a number"
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
	odd  string // why what stands there can be no number, whether it is a value or not
}

// lookup finds the value at a place.
type lookup func(at string) found

// point fills in r, of which only the place is known.
func (g Generic) point(t metric.Table, r Result, where lookup) Result {
	find := where.first
	r.Name, r.Rate = find(g.Point).text, rate(find(g.Rate).v)
	count := func(what, at string) *int64 { return r.count(find(at), what+" at "+at) }
	if f := find(g.Concurrency); f.ok && !math.IsInf(f.v, 0) {
		n := cmp.Or(count("concurrency", g.Concurrency), new(int64))
		r.Concurrency = int(min(max(*n, 0), math.MaxInt32))
	}
	r.lasted(find(g.Duration), cmp.Or(g.DurationIn, "s"))
	r.Requested, r.Completed, r.Failed = count("requested", g.Requested), count("completed", g.Completed), count("failed", g.Failed)
	r.InputTokens, r.OutputTokens = count("input_tokens", g.InputTok), count("output_tokens", g.OutputTok)
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
	case number:
		r.Add(m, v, f.line)
	case f.ok || f.odd != "" || gm.Optional:
		r.not(f, m.Name+" at "+gm.At, "number")
	default:
		r.spoil(r.Line, "%s: there is nothing at %s", m.Name, gm.At)
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
	return v, err == nil && finite(v) && f.odd == ""
}

// first finds the first of several places that there is.
func (find lookup) first(at string) found {
	missing := found{v: math.NaN()}
	for place := range strings.SplitSeq(at, " | ") {
		switch f := find(place); {
		case place == "":
		case f.ok:
			return f
		case f.odd != "":
			missing.odd, missing.line = f.odd, f.line
		}
	}
	return missing
}

// not spoils the point where something stands at a place and is not what it is to be: it is not dropped.
func (r *Result) not(f found, what, number string) {
	if f.ok || f.odd != "" {
		r.spoil(f.line, "%s is %s", what, cmp.Or(f.odd, fmt.Sprintf("%q, not a %s", f.text, number)))
	}
}

// count is a count, nil = none.
func (r *Result) count(f found, what string) *int64 {
	if f.odd == "" && math.Abs(f.v) <= 1<<53 && f.v == math.Trunc(f.v) {
		return new(int64(f.v))
	}
	r.not(f, what, "whole number")
	return nil
}

// lasted takes the duration.
func (r *Result) lasted(f found, unit string) {
	if v, ok := f.inUnit(unit, "s"); ok {
		r.DurationS = &v
	} else {
		r.not(f, "duration", "number")
	}
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
