package trendpages

import (
	"bytes"
	"fmt"
	"html/template"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Geometry of the heat map, in pixels.
const (
	heatLabel  = 270
	heatRow    = 14
	heatTop    = 20
	heatNarrow = 3   // a day, of a long history
	heatWide   = 8   // of a short one
	heatMany   = 120 // days that make it a long one
)

// heat is the map of cases over days: what the recorded verdicts of each night were.
type heat struct {
	site        *Site
	at          []int // histories, from top to bottom
	up          string
	first, last time.Time // days
}

func newHeat(s *Site, at []int, up string) *heat {
	h := &heat{site: s, at: at, up: up}
	for _, i := range at {
		for _, n := range s.Histories[i].Nights {
			d := n.Time.UTC().Truncate(24 * time.Hour)
			if h.first.IsZero() || d.Before(h.first) {
				h.first = d
			}
			if d.After(h.last) {
				h.last = d
			}
		}
	}
	// Days on which nothing at all ran are shown to the day of the pages, where they are not long ago.
	if now := s.Now.UTC().Truncate(24 * time.Hour); !h.first.IsZero() && now.Sub(h.last) < forgotten && now.After(h.last) {
		h.last = now
	}
	return h
}

// day is the place of a time's day.
func (h *heat) day(at time.Time) int { return int(at.Sub(h.first).Hours() / 24) }

func (h *heat) days() int { return int(h.last.Sub(h.first).Hours()/24) + 1 }

// span says which days are shown.
func (h *heat) span() string {
	if h.first.IsZero() {
		return ""
	}
	return day(h.first) + " to " + day(h.last)
}

func (h *heat) cell() int {
	if h.days() > heatMany {
		return heatNarrow
	}
	return heatWide
}

// toneOf is the class of a night: "" is one on which all is well.
func toneOf(w verdict.Word) string {
	switch w {
	case verdict.Pass, "":
		return ""
	case verdict.Improvement:
		return "better"
	case verdict.Regression:
		return "bad"
	default:
		return "doubt"
	}
}

// svg draws the map. It stands in the page itself, so that its names are links and its colours those of the style
// sheet.
func (h *heat) svg() template.HTML {
	if len(h.at) == 0 || h.first.IsZero() {
		return ""
	}
	var b bytes.Buffer
	width, height := heatLabel+h.days()*h.cell()+8, heatTop+len(h.at)*heatRow+4
	fmt.Fprintf(&b, `<svg class="heat" width="%d" height="%d" viewBox="0 0 %d %d" role="group" aria-label="Nights of %s, one row each">`+"\n",
		width, height, width, height, plain.Count(len(h.at), "case"))
	h.months(&b, height)
	for row, i := range h.at {
		h.row(&b, heatTop+row*heatRow, i)
	}
	b.WriteString("</svg>\n")
	return template.HTML(b.String()) //nolint:gosec // made here of numbers and escaped texts
}

// months are lines and names above.
func (h *heat) months(b *bytes.Buffer, height int) {
	free := 0
	for d := range h.days() {
		at := h.first.AddDate(0, 0, d)
		if at.Day() != 1 && d > 0 {
			continue
		}
		x := heatLabel + d*h.cell()
		fmt.Fprintf(b, `<path class="grid" d="M%d,%dV%d"/>`, x, heatTop-4, height)
		if x >= free {
			fmt.Fprintf(b, `<text class="tick" x="%d" y="12">%s</text>`, x+2, at.Format("Jan 2006"))
			free = x + 64
		}
	}
	b.WriteString("\n")
}

// row is one history: a pale bar where it was measured, and what was found on it.
func (h *heat) row(b *bytes.Buffer, y, i int) {
	hist := h.site.Histories[i]
	const most = 38 // bold characters that heatLabel has room for
	fmt.Fprintf(b, `<a href="%s"><text class="name %s" x="0" y="%d">%s<title>%s</title></text></a>`,
		look.XMLText(look.Href(h.up, casePage(hist))), worst(h.site.all[i]), y+heatRow-4, look.XMLText(plain.CutMiddle(hist.Case, most)), look.XMLText(hist.Case))
	states := h.states(hist)
	for from := 0; from < len(states); {
		to := from + 1
		for to < len(states) && states[to] == states[from] {
			to++
		}
		switch state := states[from]; state {
		case nothing:
		case notMeasured:
			fmt.Fprintf(b, `<path class="gap" d="M%d,%dH%d"><title>not measured: %s</title></path>`, heatLabel+from*h.cell()+1, y+heatRow/2, heatLabel+to*h.cell()-1, days(h.first.AddDate(0, 0, from), h.first.AddDate(0, 0, to-1)))
		default:
			fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d"/>`, state, heatLabel+from*h.cell(), y+2, (to-from)*h.cell(), heatRow-4)
		}
		from = to
	}
	b.WriteString("\n")
}

const (
	nothing     = ""
	measured    = "well"
	notMeasured = "gap"
)

// states are the classes of the days of a history; the worst counts where there were several nights.
func (h *heat) states(hist *trends.History) []string {
	rank := map[string]int{nothing: 0, notMeasured: 0, measured: 1, "better": 2, "doubt": 3, "bad": 4}
	out := make([]string, h.days())
	for _, g := range hist.Gaps(h.site.Now) {
		to := h.last.AddDate(0, 0, 1)
		if !g.Open() {
			to = g.Before
		}
		for d := h.day(g.After) + 1; d < min(h.day(to), len(out)); d++ {
			out[d] = notMeasured
		}
	}
	for _, n := range hist.Nights {
		d := h.day(n.Time)
		state := toneOf(n.Verdict)
		if state == "" {
			state = measured
		}
		if rank[state] > rank[out[d]] {
			out[d] = state
		}
	}
	return out
}
