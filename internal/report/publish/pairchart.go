package publish

import (
	"bytes"
	"fmt"
	"math"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
)

// Geometry of the drawing of a session, in pixels: the values above, the differences
// of the pairs below.
const (
	pairsWidth  = 440
	pairsLeft   = 58
	pairsRight  = 12
	pairsTop    = 10
	pairsValues = 96 // height of the upper part
	pairsGap    = 18
	pairsDiffs  = 84 // of the lower one
	pairsBottom = 34
	pairsHeight = pairsTop + pairsValues + pairsGap + pairsDiffs + pairsBottom
)

// PairsChart draws one series of a session: the runs in the order in which they were
// made, those of a pair joined, and below how much worse B was in each pair, with the
// interval of the effect and the smallest change that matters.
func PairsChart(s ab.Session, f ab.Found) []byte {
	d := pairsDrawing{f: f}
	look.Head(&d.b, pairsWidth, pairsHeight, pairsTitle(f))
	fmt.Fprintf(&d.b, `<g font-family="%s" font-size="%d" fill="%s">`+"\n", look.Fonts, chartFont, look.InkText)
	d.values(s)
	d.differences()
	d.axis()
	d.b.WriteString("</g>\n</svg>\n")
	return d.b.Bytes()
}

// pairsTitle says in words what the drawing of a series shows.
func pairsTitle(f ab.Found) string {
	return fmt.Sprintf("%s, %s: B is %s", f.Name(), plain.Count(len(f.Values), "pair"), f.Sentence())
}

type pairsDrawing struct {
	b bytes.Buffer
	f ab.Found
}

// x is the place of a run: a pair has two.
func (d *pairsDrawing) x(pair int, second bool) float64 {
	slot := float64(pairsWidth-pairsLeft-pairsRight) / float64(max(1, len(d.f.Values)))
	at := pairsLeft + slot*(float64(pair)+0.32)
	if second {
		at += slot * 0.36
	}
	return at
}

// scale maps lo..hi to a part of the drawing; ticks are its round values.
type scale struct {
	lo, hi      float64
	top, height float64
}

func (s scale) y(v float64) float64 {
	return s.top + s.height*(1-math.Min(math.Max((v-s.lo)/(s.hi-s.lo), 0), 1))
}

// scaleOf is the scale on which all values have room; it spans at least least.
func scaleOf(values []float64, least, top, height float64) scale {
	s := scale{lo: math.Inf(1), hi: math.Inf(-1), top: top, height: height}
	for _, v := range values {
		if look.Finite(v) {
			s.lo, s.hi = math.Min(s.lo, v), math.Max(s.hi, v)
		}
	}
	if s.lo > s.hi {
		s.lo, s.hi = 0, 1
	}
	mid, half := s.lo/2+s.hi/2, math.Max((s.hi/2-s.lo/2)*1.15, least/2)
	if half == 0 {
		half = 1
	}
	s.lo, s.hi = mid-half, mid+half
	return s
}

func (d *pairsDrawing) ticks(s scale, unit string) {
	for _, t := range look.ValueTicks(s.lo, s.hi) {
		y := s.y(t.Value)
		fmt.Fprintf(&d.b, `<path d="M%d,%.1fH%d" stroke="%s" fill="none"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			pairsLeft, y, pairsWidth-pairsRight, look.InkGrid, pairsLeft-5, y+4, look.XMLText(t.Label+unit))
	}
}

// values are the runs: a ring for A, a square for B.
func (d *pairsDrawing) values(session ab.Session) {
	var all []float64
	for _, v := range d.f.Values {
		all = append(all, v[0], v[1])
	}
	mid, _ := look.Median(all)
	s := scaleOf(all, 0.02*math.Abs(mid), pairsTop, pairsValues)
	d.ticks(s, "")
	for i, v := range d.f.Values {
		aLater := i < len(session.Used) && session.Used[i] < len(session.Measured) && session.Measured[session.Used[i]].First == ab.B
		ax, bx := d.x(i, aLater), d.x(i, !aLater)
		ay, by := s.y(v[0]), s.y(v[1])
		fmt.Fprintf(&d.b, `<g><title>pair %d: A %s, B %s</title>`, i+1, look.XMLText(look.Quantity(v[0], d.f.Unit)), look.XMLText(look.Quantity(v[1], d.f.Unit)))
		fmt.Fprintf(&d.b, `<path d="M%.1f,%.1fL%.1f,%.1f" stroke="%s" fill="none"/>`, ax, ay, bx, by, look.InkAxis)
		fmt.Fprintf(&d.b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="#ffffff" stroke="%s" stroke-width="1.8"/>`, ax, ay, look.InkHistory)
		fmt.Fprintf(&d.b, `<rect x="%.1f" y="%.1f" width="7" height="7" fill="%s"/></g>`+"\n", bx-3.5, by-3.5, look.InkBase)
	}
}

// differences are how much worse B was, pair by pair.
func (d *pairsDrawing) differences() {
	f := d.f
	all := []float64{0, f.MinEffect, f.Interval[0], f.Interval[1]}
	all = append(all, f.Differences...)
	for i := range all {
		all[i] *= 100
	}
	s := scaleOf(all, 0, pairsTop+pairsValues+pairsGap, pairsDiffs)
	right := pairsWidth - pairsRight
	lo, hi := s.y(100*f.Interval[1]), s.y(100*f.Interval[0])
	fmt.Fprintf(&d.b, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="%s"/>`+"\n", pairsLeft, lo, right-pairsLeft, math.Max(hi-lo, 1), look.InkBand)
	d.ticks(s, " %")
	fmt.Fprintf(&d.b, `<path d="M%d,%.1fH%d" stroke="%s" stroke-width="1.2" fill="none"/>`+"\n", pairsLeft, s.y(0), right, look.InkHistory)
	fmt.Fprintf(&d.b, `<path d="M%d,%.1fH%d" stroke="%s" stroke-width="1.2" stroke-dasharray="2 2" fill="none"/>`+"\n", pairsLeft, s.y(100*f.MinEffect), right, look.InkBad)
	fmt.Fprintf(&d.b, `<path d="M%d,%.1fH%d" stroke="%s" stroke-width="1.4" fill="none"/>`+"\n", pairsLeft, s.y(100*f.Effect), right, look.InkBase)
	for i, x := range f.Differences {
		at := d.x(i, false)/2 + d.x(i, true)/2
		fmt.Fprintf(&d.b, `<g><title>pair %d: B %s</title><circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/></g>`+"\n", i+1, worsening(x), at, s.y(100*x), look.InkText)
	}
}

func (d *pairsDrawing) axis() {
	y := pairsTop + pairsValues + pairsGap + pairsDiffs
	fmt.Fprintf(&d.b, `<path d="M%d,%dH%d" stroke="%s" fill="none"/>`+"\n", pairsLeft, y, pairsWidth-pairsRight, look.InkAxis)
	for i := range d.f.Values {
		fmt.Fprintf(&d.b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`, d.x(i, false)/2+d.x(i, true)/2, y+14, i+1)
	}
	fmt.Fprintf(&d.b, "\n"+`<text x="%d" y="%d" text-anchor="end">pair, in the order they ran</text>`+"\n", pairsWidth-pairsRight, y+29)
}
