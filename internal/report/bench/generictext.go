package bench

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// checkText reports what is wrong with the keys of a text format.
func (g Generic) checkText() error {
	switch {
	case g.Format != "text" && (g.Title != nil || g.Begins != nil || len(g.Lines) > 0):
		return errors.New("title, begins and lines are for format: text")
	case g.Format != "text":
		return nil
	case g.Begins == nil:
		return errors.New("begins is missing: an expression of the line that begins a point")
	}
	var groups []string
	for _, re := range append(slices.Clone(g.Lines), g.Begins, cmp.Or(g.Title, g.Begins)) {
		if re == nil || re.String() == "" {
			return errors.New("title, begins and lines: an empty expression matches every line")
		}
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

// textPoints finds the points of a text format.
type textPoints struct {
	format  string
	g       Generic
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
	switch {
	case p.g.Begins.Match(text):
		p.close()
		p.line = number
		p.take(p.g.Begins, text, number)
	case p.g.Title != nil && p.g.Title.Match(text):
		p.close()
		clear(p.groups)
		p.take(p.g.Title, text, number)
	case p.line > 0:
		for _, re := range p.g.Lines {
			p.take(re, text, number)
		}
	}
}

// take keeps what the groups of an expression match in a line.
func (p *textPoints) take(re *regexp.Regexp, text []byte, number int) {
	for i, match := range re.FindSubmatch(text) {
		name := re.SubexpNames()[i]
		if name == "" || len(match) == 0 {
			continue
		}
		g, seen := p.groups[name]
		if !seen {
			g.text, g.line = string(match), number
		}
		if v, ok := parseNumber(string(match)); ok {
			g.sum += v
		}
		if p.groups == nil {
			p.groups = map[string]group{}
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
