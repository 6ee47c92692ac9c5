package bench

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// expressions are a text format's, compiled.
type expressions struct {
	title, begins *regexp.Regexp
	lines         []*regexp.Regexp
	groups        []string // the names of all of them
}

func (g Generic) expressions() (e expressions, err error) {
	compile := func(key, text string) *regexp.Regexp {
		re, bad := regexp.Compile(text)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", key, bad))
			return nil
		}
		e.groups = append(e.groups, re.SubexpNames()...)
		return re
	}
	e.begins = compile("begins", g.Begins)
	if g.Title != "" {
		e.title = compile("title", g.Title)
	}
	for i, line := range g.Lines {
		e.lines = append(e.lines, compile(fmt.Sprintf("lines[%d]", i), line))
	}
	return e, err
}

// checkText reports what is wrong with the keys of a text format.
func (g Generic) checkText() error {
	switch {
	case g.Format != "text" && (g.Title != "" || g.Begins != "" || len(g.Lines) > 0):
		return errors.New("title, begins and lines are for format: text")
	case g.Format != "text":
		return nil
	case g.Begins == "":
		return errors.New("begins is missing: an expression of the line that begins a point")
	}
	e, err := g.expressions()
	if err != nil {
		return err
	}
	for _, m := range g.Metrics {
		if m.At != "" && !slices.Contains(e.groups, m.At) {
			err = errors.Join(err, fmt.Errorf("metric %q: at: no expression has a group (?P<%s>…)", m.Metric, m.At))
		}
	}
	return err
}

// textPoints finds the points of a text format.
type textPoints struct {
	format  string
	g       Generic
	e       expressions
	metrics metric.Table
	file    string
	results []Result

	line   int              // where the open point began; 0 = none is open
	groups map[string]group // of the open point, else what a title says of the next one
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
		p.line = number
		p.take(p.e.begins, m, number)
		return
	}
	if p.e.title != nil {
		if m := p.e.title.FindSubmatch(text); m != nil {
			p.close()
			clear(p.groups)
			p.take(p.e.title, m, number)
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

func (p *textPoints) take(re *regexp.Regexp, match [][]byte, number int) {
	if p.groups == nil {
		p.groups = map[string]group{}
	}
	for i, name := range re.SubexpNames() {
		if name == "" || len(match[i]) == 0 {
			continue
		}
		g, seen := p.groups[name]
		if !seen {
			g.text, g.line = string(match[i]), number
		}
		if v, ok := parseNumber(string(match[i])); ok {
			g.sum += v
		}
		p.groups[name] = g
	}
}

// close ends the open point.
func (p *textPoints) close() {
	if p.line == 0 {
		return
	}
	p.results = added(p.results, p.g.point(p.metrics, Result{Format: p.format, File: p.file, Line: p.line}, func(at string) found {
		g, ok := p.groups[at]
		v, _ := parseNumber(g.text)
		if ok && at == p.g.Failed {
			v = g.sum
		}
		return found{v, g.text, g.line, ok}
	}))
	p.line = 0
	clear(p.groups)
}

// End is all that was found.
func (p *textPoints) End() []Result {
	p.close()
	return p.results
}
