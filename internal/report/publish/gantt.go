package publish

import (
	"bytes"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Geometry of a timeline, in pixels.
const (
	ganttWidth  = 760
	ganttRow    = 24
	ganttTop    = 34 // phases
	ganttBottom = 26 // axis
	ganttRight  = 16
	ganttChar   = 6.7 // width of a character, generous
	ganttCap    = 9.2 // of one of a role's name: capitals, perhaps bold, in a wide font
	bandOpacity = 0.7
)

// Timeline draws an attempt: the phases above, below a bar per role from its
// start over the moment it was ready to its end. The root cause is red, what
// fell with it is marked. An attempt without times yields nil.
func Timeline(a report.AttemptReport) []byte {
	from, to, ok := attemptSpan(a)
	if !ok {
		return nil
	}
	g := gantt{from: from, seconds: math.Max(to.Sub(from).Seconds(), 0.001), left: ganttLeft(a.Roles)}
	height := ganttTop + ganttRow*len(a.Roles) + gpuHeight(a.Telemetry) + ganttBottom
	look.Head(&g.b, ganttWidth, height, timelineTitle(a, to.Sub(from)))
	fmt.Fprintf(&g.b, `<g font-family="%s" font-size="12" fill="%s">`+"\n", look.Fonts, look.InkText)
	g.phases(a, to, height-ganttBottom)
	for i, r := range a.Roles {
		g.role(r, to, ganttTop+ganttRow*i)
	}
	g.gpus(a.Telemetry, ganttTop+ganttRow*len(a.Roles))
	g.axis(height)
	g.b.WriteString("</g>\n</svg>\n")
	return g.b.Bytes()
}

// timelineTitle says in words what a timeline shows.
func timelineTitle(a report.AttemptReport, total time.Duration) string {
	title := fmt.Sprintf("Timeline of %d roles over %s", len(a.Roles), look.Lasting(total))
	for _, r := range a.Roles {
		if r.Status == report.RoleRoot {
			title += "; " + r.Name + " was the first to fail"
		}
	}
	if a.Telemetry != nil {
		title += "; below them clock, power, utilisation and temperature of the GPUs"
	}
	return title
}

// attemptSpan is the time that the drawing covers: everything the agent saw.
func attemptSpan(a report.AttemptReport) (from, to time.Time, ok bool) {
	see := func(t *time.Time) {
		if t == nil || t.IsZero() {
			return
		}
		if !ok || t.Before(from) {
			from = *t
		}
		if !ok || t.After(to) {
			to = *t
		}
		ok = true
	}
	for i := range a.Phases {
		see(&a.Phases[i].Start)
		see(a.Phases[i].End)
	}
	for i := range a.Roles {
		see(a.Roles[i].Started)
		see(a.Roles[i].Ended)
	}
	for i := range a.Timeline {
		see(&a.Timeline[i].At)
	}
	return from, to, ok
}

// ganttLeft is the room for the roles' names.
func ganttLeft(roles []report.RoleReport) float64 {
	longest := 8
	for _, r := range roles {
		longest = max(longest, utf8.RuneCountInString(plain.Cut(r.Name, 26)))
	}
	return 12 + float64(longest)*ganttCap
}

type gantt struct {
	b       bytes.Buffer
	from    time.Time
	seconds float64
	left    float64
}

// x is the place of a time.
func (g *gantt) x(t time.Time) float64 {
	share := math.Min(math.Max(t.Sub(g.from).Seconds()/g.seconds, 0), 1)
	return g.left + share*(ganttWidth-ganttRight-g.left)
}

// phases are bands behind everything, with their names where they fit.
func (g *gantt) phases(a report.AttemptReport, end time.Time, bottom int) {
	for i, p := range a.Phases {
		to := end
		if p.End != nil {
			to = *p.End
		}
		x0, x1 := g.x(p.Start), g.x(to)
		colour := look.InkBand
		if i%2 == 1 {
			colour = look.InkBandAlt
		}
		fmt.Fprintf(&g.b, `<g><title>phase %s, %s</title><rect x="%.1f" y="6" width="%.1f" height="%d" fill="%s" fill-opacity="%g"/>`,
			look.XMLText(string(p.Phase)), look.Lasting(to.Sub(p.Start)), x0, math.Max(x1-x0, 0.5), bottom-6, colour, bandOpacity)
		if name := string(p.Phase); x1-x0 > float64(len(name))*ganttChar+6 {
			fmt.Fprintf(&g.b, `<text x="%.1f" y="21">%s</text>`, x0+4, look.XMLText(name))
		}
		g.b.WriteString("</g>\n")
	}
}

// role is one bar: pale until the role was ready, full until its end.
func (g *gantt) role(r report.RoleReport, end time.Time, y int) {
	name := plain.Cut(r.Name, 26)
	weight := ""
	if r.Status == report.RoleRoot {
		weight = fmt.Sprintf(` font-weight="bold" fill="%s"`, look.InkBad)
	}
	fmt.Fprintf(&g.b, `<g><title>%s: %s</title><text x="%.1f" y="%d" text-anchor="end"%s>%s</text>`,
		look.XMLText(r.Name), look.XMLText(roleWords(r)), g.left-8, y+16, weight, look.XMLText(name))
	if r.Started == nil {
		fmt.Fprintf(&g.b, `<text x="%.1f" y="%d" fill="%s">never started</text>`, g.left+4, y+16, look.InkHistory)
	} else {
		g.bar(r, end, y)
	}
	g.b.WriteString("</g>\n")
}

func (g *gantt) bar(r report.RoleReport, end time.Time, y int) {
	if r.Ended != nil {
		end = *r.Ended
	}
	pale, full := look.InkWait, look.InkRun
	if r.Status == report.RoleRoot {
		pale, full = look.InkWaitBad, look.InkBad
	}
	x0, x2 := g.x(*r.Started), g.x(end)
	x1 := x2
	switch {
	case rundir.Works(r.Kind):
		x1 = x0 // it serves nobody, so it has no start-up to wait for
	case r.Ready != nil:
		x1 = math.Min(math.Max(g.x(*r.Ready), x0), x2)
	}
	// The outline is what the eye tells the pale part from the bands by.
	if x1 > x0 {
		fmt.Fprintf(&g.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="13" fill="%s" stroke="%s"/>`, x0+0.5, float64(y)+5.5, max(x1-x0-0.5, 0.5), pale, full)
	}
	if x2 > x1 {
		fmt.Fprintf(&g.b, `<rect x="%.1f" y="%d" width="%.1f" height="14" fill="%s"/>`, x1, y+5, x2-x1, full)
	}
	g.ending(r, x0, x1, x2, y)
}

// ending marks how a bar ends: a cross for the root cause, an open ring for
// what fell with it or failed besides. The words stand behind the bar, or in one
// part of it: from is where its pale part begins, full its full one.
func (g *gantt) ending(r report.RoleReport, from, full, at float64, y int) {
	text := ""
	switch r.Status {
	case report.RoleRoot:
		fmt.Fprintf(&g.b, `<path d="M%.1f,%dl8,8m0,-8l-8,8" stroke="%s" stroke-width="3" fill="none"/>`, at-4, y+8, look.InkText)
		text = "root cause"
	case report.RoleCollateral:
		if text = "fell with it"; r.StoppedBy != "" {
			text = "stopped"
		}
	case report.RoleFailed:
		if r.StoppedBy == "" {
			text = "failed"
		}
	}
	if text == "" {
		return
	}
	if r.Status != report.RoleRoot {
		fmt.Fprintf(&g.b, `<circle cx="%.1f" cy="%d" r="4.5" fill="none" stroke="%s" stroke-width="2"/>`, at, y+12, look.InkText)
	}
	width := float64(len(text)) * ganttChar
	switch {
	case at+10+width < ganttWidth:
		fmt.Fprintf(&g.b, `<text x="%.1f" y="%d">%s</text>`, at+9, y+16, text)
	case at-full > width+20:
		fmt.Fprintf(&g.b, `<text x="%.1f" y="%d" text-anchor="end" fill="#ffffff">%s</text>`, at-9, y+16, text)
	case at == full && at-from > width+20:
		fmt.Fprintf(&g.b, `<text x="%.1f" y="%d" text-anchor="end">%s</text>`, at-9, y+16, text)
	}
}

// axis is the time since the start.
func (g *gantt) axis(height int) {
	y := height - ganttBottom
	fmt.Fprintf(&g.b, `<path d="M%.1f,%dH%d" stroke="%s" fill="none"/>`+"\n", g.left, y, ganttWidth-ganttRight, look.InkAxis)
	step := roundStep(g.seconds / 5)
	for k := 0; float64(k)*step <= g.seconds && k < 50; k++ {
		s := float64(k) * step
		x := g.left + s/g.seconds*(ganttWidth-ganttRight-g.left)
		anchor := "middle"
		if x > ganttWidth-ganttRight-16 {
			anchor = "end"
		}
		fmt.Fprintf(&g.b, `<path d="M%.1f,%dv4" stroke="%s" fill="none"/><text x="%.1f" y="%d" text-anchor="%s">%s</text>`+"\n",
			x, y, look.InkAxis, x, y+17, anchor, clockTime(s, step))
	}
}

// roundStep is a step of a time axis at least as large as s.
func roundStep(s float64) float64 {
	for _, v := range []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800} {
		if v >= s {
			return v
		}
	}
	return 86400 * math.Ceil(s/86400)
}

// clockTime is a number of seconds as the axis shows it.
func clockTime(s, step float64) string {
	switch {
	case s == 0:
		return "0"
	case step < 1:
		return fmt.Sprintf("%.3g s", s)
	case step < 60:
		if s < 60 {
			return fmt.Sprintf("%.0f s", s)
		}
		return fmt.Sprintf("%d:%02d", int(s)/60, int(s)%60)
	case s < 3600:
		return fmt.Sprintf("%.0f min", s/60)
	default:
		return fmt.Sprintf("%d:%02d h", int(s)/3600, int(s)%3600/60)
	}
}

// roleWords says what became of a role.
func roleWords(r report.RoleReport) string {
	text := ""
	switch {
	case r.State == rundir.RoleNeverStarted || r.Started == nil:
		text = "never started"
		if r.Error != "" {
			text += ": " + r.Error
		}
		return text
	case r.State != rundir.RoleEnded:
		text = r.State + " when last seen"
	default:
		text = r.EndWords()
	}
	if r.Started != nil && r.Ended != nil {
		text += " after " + look.Lasting(r.Ended.Sub(*r.Started))
	}
	return text
}
