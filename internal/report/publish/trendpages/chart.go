package trendpages

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// chart draws nights of a series: a dot each, the levels between recorded changes, an upright line at each change.
type chart struct {
	s                        trends.Series
	from                     int // first night that is drawn
	width, height            float64
	left, right, top, bottom float64
	lo, hi                   float64
	b                        bytes.Buffer
	withAxes                 bool
	gaps                     []trends.Gap
}

// history is the chart of a whole series.
func history(s trends.Series, gaps []trends.Gap) template.HTML {
	c := chart{s: s, gaps: gaps, width: 960, height: 280, left: 64, right: 10, top: 14, bottom: 26, withAxes: true}
	return c.draw("hist", fmt.Sprintf("%s: %s, %s to %s", s.Name(), plain.Count(len(s.Nights), "night"), day(s.Nights[0].Night.Time), day(s.Nights[len(s.Nights)-1].Night.Time)))
}

// spark is the chart of the newest nights, as small as a word.
func spark(s trends.Series) template.HTML {
	const newest = 60
	c := chart{s: s, from: max(0, len(s.Nights)-newest), width: 160, height: 30, left: 2, right: 2, top: 3, bottom: 3}
	return c.draw("spark", fmt.Sprintf("%s, the newest %s", s.Name(), plain.Count(len(s.Nights)-c.from, "night")))
}

func (c *chart) draw(class, title string) template.HTML {
	c.bounds()
	fmt.Fprintf(&c.b, `<svg class="%s" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, class, c.width, c.height, c.width, c.height, look.XMLText(title))
	if c.withAxes {
		c.axes()
		c.changes()
	}
	c.levels()
	c.dots()
	c.b.WriteString("</svg>\n")
	return template.HTML(c.b.String()) //nolint:gosec // made here of numbers and escaped texts
}

// bounds are the limits of the values: all that is drawn, and at least 4 %, so that a quiet series looks quiet.
func (c *chart) bounds() {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, p := range c.s.Nights[c.from:] {
		lo, hi = math.Min(lo, p.Value.Value), math.Max(hi, p.Value.Value)
	}
	mid := lo/2 + hi/2
	half := math.Max((hi/2-lo/2)*1.1, math.Abs(mid)*0.02)
	if half == 0 {
		half = 1
	}
	c.lo, c.hi = mid-half, mid+half
}

func (c *chart) x(i int) float64 {
	n := float64(max(1, len(c.s.Nights)-c.from-1))
	return c.left + float64(i-c.from)/n*(c.width-c.left-c.right)
}

func (c *chart) y(v float64) float64 {
	return c.top + (c.hi-v)/(c.hi-c.lo)*(c.height-c.top-c.bottom)
}

// axes are the round values with their unit, and the months.
func (c *chart) axes() {
	for i, t := range look.ValueTicks(c.lo, c.hi) {
		label := t.Label
		if i == 0 {
			label += " " + c.s.Metric.Unit
		}
		fmt.Fprintf(&c.b, `<path class="grid" d="M%.0f,%.1fH%.0f"/><text class="tick" x="%.0f" y="%.1f">%s</text>`, c.left, c.y(t.Value), c.width-c.right, 0.0, c.y(t.Value)+4, look.XMLText(label))
	}
	var last time.Month
	free := 0.0
	for i, p := range c.s.Nights {
		at := p.Night.Time.UTC()
		if m := at.Month(); m == last {
			continue
		} else if last = m; c.x(i) < free {
			continue
		}
		fmt.Fprintf(&c.b, `<text class="tick" x="%.1f" y="%.0f">%s</text>`, math.Min(c.x(i), c.width-64), c.height-8, at.Format("2 Jan 2006"))
		free = c.x(i) + 84
	}
}

// changes are the upright lines: red where a regression began, blue where somebody accepted a level, grey where nights
// are missing.
func (c *chart) changes() {
	line := func(class string, i int, title string) {
		x := c.x(i) - (c.x(1)-c.x(0))/2
		fmt.Fprintf(&c.b, `<path class="%s" d="M%.1f,%.0fV%.0f"><title>%s</title></path>`, class, x, c.top, c.height-c.bottom, look.XMLText(title))
	}
	for _, g := range c.gaps {
		if i := slices.IndexFunc(c.s.Nights, func(p trends.Point) bool { return !p.Night.Time.Before(g.Before) }); i > 0 && !g.Open() {
			line("gap", i, "not measured: "+gapWords(g))
		}
	}
	for _, p := range c.s.Spells {
		first, _ := c.s.Onset(p)
		line("onset", p.Onset, "a regression began "+day(first.Time))
		switch p.How {
		case trends.Accepted:
			line("accept", min(p.End, len(c.s.Nights)-1), "accepted by "+p.Accept.Act.By)
		case trends.Back:
			line("back", p.End, "back")
		}
	}
}

// levels are the medians between recorded changes.
func (c *chart) levels() {
	for _, l := range c.s.Levels {
		if from := max(l.From, c.from); l.To > from {
			fmt.Fprintf(&c.b, `<path class="level" d="M%.1f,%.1fH%.1f"/>`, c.x(from), c.y(l.Value), c.x(l.To-1))
		}
	}
}

// dots are the nights: round ends of lines without length.
func (c *chart) dots() {
	classes := []string{"dot", "dot better", "dot doubt", "dot bad"}
	paths := map[string]*bytes.Buffer{}
	for i, p := range c.s.Nights[c.from:] {
		class := "dot"
		if t := toneOf(p.Verdict); t != "" && (p.Verdict == verdict.Regression || c.withAxes) {
			class += " " + t
		}
		if paths[class] == nil {
			paths[class] = &bytes.Buffer{}
		}
		fmt.Fprintf(paths[class], "M%.1f,%.1fh0", c.x(c.from+i), c.y(p.Value.Value))
	}
	for _, class := range classes {
		if d := paths[class]; d != nil {
			fmt.Fprintf(&c.b, `<path class="%s" d="%s"/>`, class, d)
		}
	}
}
