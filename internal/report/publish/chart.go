package publish

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// Size of a history chart: small enough to be read on a phone without scaling.
const (
	chartWidth  = 440
	chartHeight = 200
	chartFont   = 11
)

// HistoryChart draws the recent runs of a metric as SVG, each run at the same
// distance: its value, the levels that the history was cut into, the baseline,
// the limit of a fixed rule, and this run. It says nothing that the row does not.
func HistoryChart(r verdict.Row) ([]byte, error) {
	p := plot.New()
	p.BackgroundColor = nil // the page's
	h := newHistory(r)
	p.Add(h)
	n := float64(len(r.Series))
	p.X.Min, p.X.Max = -0.6, n-1+math.Max(0.6, 0.085*n) // room for half of "this run"
	p.Y.Min, p.Y.Max = h.bounds()
	p.X.Tick.Marker = plot.TickerFunc(func(_, _ float64) []plot.Tick { return runTicks(r.Series) })
	p.Y.Tick.Marker = plot.TickerFunc(look.ValueTicks)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Width, a.Color = 1, look.Ink(look.InkAxis)
		a.Tick.LineStyle = a.LineStyle
		a.Tick.Label.Color = look.Ink(look.InkText)
		a.Tick.Label.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: chartFont}
		a.Padding = 2
	}
	p.Y.Label.Text = look.OneLine(strings.ToValidUTF8(r.Unit, "\ufffd"), 24)
	p.Y.Label.TextStyle.Color, p.Y.Label.TextStyle.Font = look.Ink(look.InkText), p.Y.Tick.Label.Font
	c := vgsvg.NewWith(vgsvg.UseWH(chartWidth, chartHeight))
	p.Draw(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	return look.Plain(b.Bytes(), chartWidth, chartHeight, ChartTitle(r)), nil
}

// ChartTitle says in words what the chart of a row shows.
func ChartTitle(r verdict.Row) string {
	title := fmt.Sprintf("%s: %s", words.Row(r), plain.Count(len(r.Series), "run"))
	if r.Value != nil {
		title += fmt.Sprintf(", this run %s", look.Quantity(*r.Value, r.Unit))
	}
	if r.Baseline != nil {
		title += fmt.Sprintf(", baseline %s", look.Quantity(*r.Baseline, r.Unit))
	}
	if r.Verdict != "" {
		title += ", " + words.Verdict(r.Verdict)
	}
	return title
}

// history is the plotter of the runs.
type history struct {
	row    verdict.Row
	starts map[string]int // run → its place
}

func newHistory(r verdict.Row) history {
	h := history{row: r, starts: map[string]int{}}
	for i, run := range r.Series {
		h.starts[run.ID] = i
	}
	return h
}

// bounds are the limits of the value axis: everything drawn, and some air. A
// quiet series is not blown up to look wild: the axis spans at least 4 %.
func (h history) bounds() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	see := func(v float64) {
		if look.Finite(v) {
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	}
	for _, run := range h.row.Series {
		for _, v := range run.Values {
			see(v)
		}
	}
	for _, v := range []*float64{h.row.Baseline, h.row.Limit} {
		if v != nil {
			see(*v)
		}
	}
	if lo > hi {
		return 0, 1
	}
	mid := lo/2 + hi/2
	half := math.Max((hi/2-lo/2)*1.12, math.Abs(mid)*0.02)
	if half == 0 {
		half = 1
	}
	return mid - half, mid + half
}

// Plot implements plot.Plotter.
func (h history) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	h.grid(c, p, y)
	h.lines(c, y)
	h.changes(c, x)
	h.levels(c, x, y)
	h.points(c, x, y)
}

func (h history) grid(c draw.Canvas, p *plot.Plot, y func(float64) vg.Length) {
	for _, t := range look.ValueTicks(p.Y.Min, p.Y.Max) {
		c.StrokeLine2(look.Line(look.InkGrid, 0.6), c.Min.X, y(t.Value), c.Max.X, y(t.Value))
	}
}

// lines are the baseline and the limit of a fixed rule.
func (h history) lines(c draw.Canvas, y func(float64) vg.Length) {
	if v := h.row.Baseline; v != nil && look.Finite(*v) {
		c.StrokeLine2(look.Line(look.InkBase, 1.2, 6, 3), c.Min.X, y(*v), c.Max.X, y(*v))
	}
	if v := h.row.Limit; v != nil && look.Finite(*v) {
		c.StrokeLine2(look.Line(look.InkBad, 1.2, 2, 2), c.Min.X, y(*v), c.Max.X, y(*v))
	}
}

// changes are upright lines before each run with which a level began, red at
// the onset of the regression that is open.
func (h history) changes(c draw.Canvas, x func(float64) vg.Length) {
	seen := map[int]bool{}
	mark := func(run, colour string) {
		i, ok := h.starts[run]
		if !ok || i == 0 || seen[i] {
			return
		}
		seen[i] = true
		at := x(float64(i) - 0.5)
		c.StrokeLine2(look.Line(colour, 1, 1.5, 2.5), at, c.Min.Y, at, c.Max.Y)
	}
	if h.row.Verdict == verdict.Regression {
		mark(h.row.Onset, look.InkBad)
	}
	for _, l := range h.row.Levels {
		mark(l.Run, look.InkAxis)
	}
}

// levels are the medians of the stretches between changes.
func (h history) levels(c draw.Canvas, x, y func(float64) vg.Length) {
	for k, l := range h.row.Levels {
		from, ok := h.starts[l.Run]
		if !ok && k > 0 {
			continue
		}
		to := len(h.row.Series) - 1
		if k+1 < len(h.row.Levels) {
			next, ok := h.starts[h.row.Levels[k+1].Run]
			if !ok {
				continue // both ends are before the chart
			}
			to = next - 1
		}
		if to >= from && look.Finite(l.Value) {
			c.StrokeLine2(look.Line(look.InkHistory, 1.6), x(float64(from)-0.4), y(l.Value), x(float64(to)+0.4), y(l.Value))
		}
	}
}

// ink is the colour of a run's dot.
func (h history) ink(i int) string {
	run := h.row.Series[i]
	switch {
	case i == len(h.row.Series)-1:
		return wordInk(h.row.Verdict)
	case run.Verdict == verdict.Regression || run.Open:
		return look.InkBad
	}
	return look.InkHistory
}

// points are the runs: small the single repetitions, larger their median.
func (h history) points(c draw.Canvas, x, y func(float64) vg.Length) {
	radius := vg.Length(2.4)
	if len(h.row.Series) <= 30 {
		radius = 3
	}
	dots := map[string]vg.Path{}
	for i, run := range h.row.Series {
		newest := i == len(h.row.Series)-1
		colour := h.ink(i)
		if len(run.Values) > 1 {
			for _, v := range run.Values {
				if look.Finite(v) {
					dots[colour] = look.Dot(dots[colour], x(float64(i)), y(v), 1.2)
				}
			}
		}
		if m, ok := look.Median(run.Values); ok {
			r := radius
			if newest {
				r = 4.5
			}
			dots[colour] = look.Dot(dots[colour], x(float64(i)), y(m), r)
		}
	}
	for _, colour := range []string{look.InkHistory, look.InkDoubt, look.InkGood, look.InkBad} {
		if path, ok := dots[colour]; ok {
			c.SetColor(look.Ink(colour))
			c.Fill(path)
		}
	}
}

// runTicks labels about four runs with their dates, with times where all are of
// one day, and the last as this run.
func runTicks(runs []verdict.Run) []plot.Tick {
	if len(runs) == 0 {
		return nil
	}
	last := len(runs) - 1
	layout := "2 Jan"
	switch span := runs[last].Time.Sub(runs[0].Time); {
	case span < 15*time.Minute:
		layout = "15:04:05"
	case span < 36*time.Hour:
		layout = "15:04"
	}
	ticks := []plot.Tick{{Value: float64(last), Label: "this run"}}
	const room = 4
	for k := range room {
		i := k * last / room
		if k > 0 && i == (k-1)*last/room || last-i < max(1, last/6) {
			continue
		}
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: runs[i].Time.UTC().Format(layout)})
	}
	return ticks
}

// wordInk is the colour of a verdict.
func wordInk(w verdict.Word) string {
	switch w {
	case verdict.Pass, verdict.Improvement:
		return look.InkGood
	case verdict.Regression:
		return look.InkBad
	default:
		return look.InkDoubt
	}
}
