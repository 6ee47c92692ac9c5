package bench

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

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

// formatOwnText is a user's own format of text: what it says twice is not the client's custom, as it may be in others.
const formatOwnText = "generic-text"

// textPoints finds the points of a text format.
type textPoints struct {
	format  string
	g       Generic
	metrics metric.Table
	file    string
	results []Result

	line   int              // where the open point began; 0 = none is open
	last   int              // line that an expression matched
	groups map[string]found // of the open point, else what a title says of the next one
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

// take keeps what the groups of an expression match in a line: of each name the first, or the sum of all that failed.
func (p *textPoints) take(re *regexp.Regexp, text []byte, number int) {
	for i, match := range re.FindSubmatch(text) {
		name, text := re.SubexpNames()[i], string(match)
		p.last = number
		if name == "" || text == "" {
			continue
		}
		f, seen := p.groups[name]
		v, ok := parseNumber(text)
		switch {
		case !seen:
			f = found{v: v, text: text, line: number, ok: true}
		case slices.Contains(strings.Split(p.g.Failed, " | "), name):
			if f.v += v; !ok {
				f.text, f.line = text, number
			}
		case p.format == formatOwnText && f.text != text && f.v != v:
			f.odd = fmt.Sprintf("given twice: %q and %q", f.text, text)
		}
		p.groups[name] = f
	}
}

// close ends the open point.
func (p *textPoints) close() {
	if p.line == 0 {
		return
	}
	p.results = added(p.results, p.g.point(p.metrics, Result{Format: p.format, File: p.file, Line: p.line}, func(at string) found { return p.groups[at] }))
	p.line = 0
	clear(p.groups)
}

// End is all that was found.
func (p *textPoints) End() []Result {
	p.close()
	return p.results
}
