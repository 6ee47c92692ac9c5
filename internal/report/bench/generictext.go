package bench

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// expressions are a text format's, compiled.
type expressions struct {
	title, begins *regexp.Regexp
	lines         []*regexp.Regexp
}

func (g Generic) expressions() (expressions, error) {
	var e expressions
	var err error
	if e.begins, err = regexp.Compile(g.Begins); err != nil {
		return e, fmt.Errorf("begins: %w", err)
	}
	if g.Title != "" {
		if e.title, err = regexp.Compile(g.Title); err != nil {
			return e, fmt.Errorf("title: %w", err)
		}
	}
	for i, line := range g.Lines {
		re, err := regexp.Compile(line)
		if err != nil {
			return e, fmt.Errorf("lines[%d]: %w", i, err)
		}
		e.lines = append(e.lines, re)
	}
	return e, nil
}

// checkText reports what is wrong with the keys of a text format.
func (g Generic) checkText() error {
	if g.Format != "text" {
		if g.Title != "" || g.Begins != "" || len(g.Lines) > 0 {
			return errors.New("title, begins and lines are for format: text")
		}
		return nil
	}
	if g.Begins == "" {
		return errors.New("begins is missing: an expression of the line that begins a point")
	}
	e, err := g.expressions()
	if err != nil {
		return err
	}
	groups := e.begins.SubexpNames()
	if e.title != nil {
		groups = append(groups, e.title.SubexpNames()...)
	}
	for _, re := range e.lines {
		groups = append(groups, re.SubexpNames()...)
	}
	var problems []error
	for _, m := range g.Metrics {
		if m.At != "" && !slices.Contains(groups, m.At) {
			problems = append(problems, fmt.Errorf("metric %q: at: no expression has a group (?P<%s>…)", m.Metric, m.At))
		}
	}
	return errors.Join(problems...)
}

func (rd Reader) genericText(br *bufio.Reader, g Generic, file string) ([]Result, error) {
	e, err := g.expressions()
	if err != nil {
		return nil, err
	}
	r := textPoints{format: FormatGenericText, g: g, e: e, metrics: rd.Metrics, file: file}
	l := newLines(br)
	for l.next() {
		r.Line(l.text, l.number)
	}
	return r.End(), l.fault()
}

// textPoints finds the points of a text format.
type textPoints struct {
	format  string
	g       Generic
	e       expressions
	metrics metric.Table
	file    string
	results []Result

	line   int // where the open point began; 0 = none is open
	groups map[string]group
	title  map[string]group // of the next point
}

// group is what the groups of one name matched: the first, and the sum of all.
type group struct {
	text string
	line int
	sum  float64
}

// Line takes the next line of the stream.
func (p *textPoints) Line(text []byte, number int) {
	if m := p.e.begins.FindSubmatch(text); m != nil {
		p.close()
		p.line, p.groups, p.title = number, p.titled(), nil
		p.take(p.e.begins, m, number)
		return
	}
	if p.e.title != nil {
		if m := p.e.title.FindSubmatch(text); m != nil {
			p.close()
			p.groups = map[string]group{}
			p.take(p.e.title, m, number)
			p.title = p.groups
		}
	}
	if p.line == 0 {
		return
	}
	for _, re := range p.e.lines {
		if m := re.FindSubmatch(text); m != nil {
			p.take(re, m, number)
		}
	}
}

// titled are the groups that a point begins with.
func (p *textPoints) titled() map[string]group {
	if p.title != nil {
		return p.title
	}
	return map[string]group{}
}

func (p *textPoints) take(re *regexp.Regexp, match [][]byte, number int) {
	for i, name := range re.SubexpNames() {
		if name == "" || len(match[i]) == 0 {
			continue
		}
		g, seen := p.groups[name]
		if !seen {
			g.text, g.line = string(match[i]), number
		}
		if v, ok := ParseNumber(string(match[i])); ok {
			g.sum += v
		}
		p.groups[name] = g
	}
}

func (p *textPoints) close() {
	if p.line == 0 {
		return
	}
	p.results = append(p.results, p.g.point(p.metrics, Result{Format: p.format, File: p.file, Line: p.line}, func(at string) (float64, string, int, bool) {
		g, ok := p.groups[at]
		v, isNumber := ParseNumber(g.text)
		switch {
		case at == p.g.Failed:
			v = g.sum
		case !isNumber:
			v = math.NaN()
		}
		return v, g.text, g.line, ok
	}))
	p.line = 0
}

// End is all that was found.
func (p *textPoints) End() []Result {
	p.close()
	return p.results
}

// Described is a format that is built in and described like a user's own. It is
// recognised by its content: JSON by Marks, text by the line that begins a point.
type Described struct {
	Generic    `yaml:",inline"`
	ID         string   `yaml:"id"`          // in Result.Format
	Marks      []string `yaml:"marks"`       // JSON Pointers that each of its documents has
	Hints      []string `yaml:"hints"`       // and such that tell a half-written one
	NoneFailed bool     `yaml:"none_failed"` // the client says nothing of failures when there are none
}

// Reader is the name by which a config asks for the format: redis-benchmark of
// redis-benchmark-csv.
func (d Described) Reader() string { return d.ID[:max(0, strings.LastIndexByte(d.ID, '-'))] }

// Format makes a format of the description, which must be right: a test reads
// every built-in one.
func (d Described) Format() Format {
	f := Format{Name: d.Name, Readers: []string{d.Reader()}, Marks: append(slices.Clone(d.Marks), d.Hints...), Gives: d.gives()}
	d.Metrics = slices.Clone(d.Metrics)
	for i := range d.Metrics {
		d.Metrics[i].silent = d.Metrics[i].Optional // versions and modes of a client leave metrics out
	}
	if d.Generic.Format != "text" {
		f.JSON = func(t metric.Table, doc jsondoc.Document, file string) []Result {
			if slices.ContainsFunc(d.Marks, func(p string) bool { return !doc.Has(p) }) {
				return nil
			}
			return d.own(d.points(t, doc, d.ID, file))
		}
		return f
	}
	e, err := d.expressions()
	if err != nil {
		panic(err) // unreachable in a released binary: a test builds them all
	}
	f.Lines = func(t metric.Table, file string) LineReader {
		return describedLines{&textPoints{format: d.ID, g: d.Generic, e: e, metrics: t, file: file}, d}
	}
	return f
}

// gives lists what the outputs tell beside metrics.
func (g Generic) gives() []Given {
	var out []Given
	for _, place := range []struct {
		at    string
		gives Given
	}{
		{g.Point, GivesName},
		{g.Concurrency, GivesConcurrency},
		{g.Rate, GivesRate},
		{g.Requested, GivesRequested},
		{g.Completed, GivesCompleted},
		{g.Failed, GivesFailed},
	} {
		if place.at != "" {
			out = append(out, place.gives)
		}
	}
	return out
}

type describedLines struct {
	*textPoints
	d Described
}

// End is all that was found.
func (l describedLines) End() []Result { return l.d.own(l.textPoints.End()) }

// own settles what is known of a built-in format.
func (d Described) own(results []Result) []Result {
	for i := range results {
		if r := &results[i]; d.NoneFailed && r.Failed == nil && r.Completed != nil {
			r.Failed = new(int64)
		}
	}
	return results
}
