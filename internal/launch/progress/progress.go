// Package progress shows people how a run gets on while it is driven.
//
// In: the updates of package drive. Out: a plain line for each, or a table on a terminal.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// liveRows bounds the table of a run on a terminal.
const liveRows = 15

// remindEvery is how long a log may say nothing.
const remindEvery = 10 * time.Minute

// Screen is where progress is shown.
type Screen struct {
	W    io.Writer
	Live bool // a terminal that can move its cursor, and shows nothing else of the run
	Now  func() time.Time
	Size func() (width, height int) // of the terminal, which may change
}

// Progress shows how a run gets on: a plain line with its time per change of phase
// and one where nothing has changed for ten minutes, as CI logs want, or on a
// terminal a table of the cases that is redrawn in place every second, with what is
// worth keeping above it.
type Progress struct {
	Screen
	mu    sync.Mutex
	stop  chan struct{}
	ended sync.WaitGroup
	cases []*liveCase
	index map[string]*liveCase // by slug
	drawn int                  // lines of the table that stand on the screen
	said  time.Time            // when the last line was written
}

// liveCase is a row of the table.
type liveCase struct {
	name, state, job, text string
	since                  time.Time // of its state
}

// New makes the display of run.
func New(s Screen, run rundir.Run) *Progress {
	p := &Progress{Screen: s, stop: make(chan struct{}), index: map[string]*liveCase{}}
	for _, c := range run.Cases {
		row := &liveCase{name: rundir.ShortID(c.ID), state: c.State}
		p.cases = append(p.cases, row)
		p.index[c.Slug] = row
	}
	p.said = p.Now()
	if p.Live {
		p.ended.Go(func() { p.tick(time.Second, func() { p.redraw("") }) })
	} else {
		p.ended.Go(func() { p.tick(remindEvery/10, p.remind) })
	}
	return p
}

// tick shows that the run lives while nothing changes for an hour.
func (p *Progress) tick(interval time.Duration, show func()) {
	every := time.NewTicker(interval)
	defer every.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-every.C:
			p.mu.Lock()
			show()
			p.mu.Unlock()
		}
	}
}

// remind writes where the cases stand when nothing has been said for long.
func (p *Progress) remind() {
	now := p.Now()
	if now.Sub(p.said) < remindEvery {
		return
	}
	p.said = now
	going, rows := "", p.rows(1, 16)
	for _, c := range p.cases {
		if c.goesOn() {
			going = fmt.Sprintf("%s %s for %s", c.name, c.state, clock(now.Sub(c.since)))
			if c.text != "" {
				going += " (" + c.text + ")"
			}
			rows = rows[1:]
			break
		}
	}
	text := strings.Join(append([]string{going}, rows...), ", ")
	fmt.Fprintf(p.W, "%s run: %s\n", now.UTC().Format("15:04:05"), line(strings.TrimPrefix(text, ", ")))
}

// Update shows one change.
func (p *Progress) Update(u drive.Update) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.index[u.Slug]; c != nil {
		c.apply(u)
	}
	if !p.Live {
		if u.Kind != drive.Role { // what becomes of one role, its own record and the report say
			printUpdate(p.W, u)
			p.said = p.Now()
		}
		return
	}
	var above strings.Builder
	switch u.Kind {
	case drive.EndedNow, drive.Next, drive.Warning:
		printUpdate(&above, u)
	default:
	}
	p.redraw(above.String())
}

// Close takes the table off the screen: the report follows.
func (p *Progress) Close() {
	close(p.stop)
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(p.W, p.erase())
	p.Live, p.drawn = false, 0
}

// apply is what a change means for its case's row.
func (c *liveCase) apply(u drive.Update) {
	if u.JobID != "" {
		c.job = u.JobID
	}
	before := c.state
	switch u.Kind {
	case drive.Submitted, drive.Queue:
		c.state, c.text = string(rundir.PhaseQueue), u.Text
	case drive.PhaseNow:
		c.state, c.text = string(u.Phase), ""
	case drive.EndedNow:
		c.state, c.text = string(u.Outcome), ""
	case drive.Next:
		c.state, c.text = rundir.CaseWaiting, u.Text
	case drive.Role, drive.Warning, drive.Status:
		c.text = u.Text
	}
	if c.state != before {
		c.since = u.At
	}
}

// erase is what moves the cursor to where the table begins and clears the rest.
func (p *Progress) erase() string {
	if p.drawn == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\x1b[J", p.drawn)
}

// redraw puts the lines above and the table in the place of the old table, in one
// write: a screen that is cleared first flickers.
func (p *Progress) redraw(above string) {
	width, height := p.Size()
	out := p.erase() + above
	rows := p.rows(max(1, min(liveRows, height-4)), min(44, max(16, (width-32)/2)))
	for _, r := range rows {
		out += plain.Cut(line(r), width-1) + "\n"
	}
	p.drawn = len(rows)
	fmt.Fprint(p.W, out)
}

// rows are at most room cases that go on, with names of at most name columns, then
// counts of the others.
func (p *Progress) rows(room, name int) []string {
	var rows []string
	counts, order := map[string]int{}, []string{}
	for _, c := range p.cases {
		if c.goesOn() && len(rows) < room {
			rows = append(rows, c.line(p.Now(), name))
			continue
		}
		if counts[c.state]++; counts[c.state] == 1 {
			order = append(order, c.state)
		}
	}
	var others []string
	for _, state := range order {
		others = append(others, fmt.Sprintf("%d %s", counts[state], strings.ReplaceAll(state, "_", " ")))
	}
	if len(others) > 0 {
		rows = append(rows, strings.Join(others, ", "))
	}
	return rows
}

// goesOn reports whether a case has a job that is not over.
func (c *liveCase) goesOn() bool {
	switch rundir.Phase(c.state) {
	case rundir.PhaseQueue, rundir.PhaseSetup, rundir.PhaseReady, rundir.PhaseBenchmark, rundir.PhaseDrain, rundir.PhaseCollect, rundir.PhaseDone:
		return true
	}
	return false
}

// line is a case in a row, with how long it has been in its state.
func (c *liveCase) line(now time.Time, name int) string {
	return fmt.Sprintf("%-9s %8s  %-10s %-*s %s", c.state, clock(now.Sub(c.since)), c.job, name, plain.CutMiddle(c.name, name), c.text)
}

// clock is a duration as a stop-watch shows it: 0:07, 12:03, 3:00:59.
func clock(d time.Duration) string {
	s := max(0, int(d.Seconds()))
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// printUpdate writes one change as a plain line with its time.
func printUpdate(w io.Writer, u drive.Update) {
	where := "run"
	if u.Case != "" {
		where = rundir.ShortID(u.Case)
	}
	if u.Rep > 0 {
		where += fmt.Sprintf(" rep %d", u.Rep+1) // people count from 1
	}
	if u.Attempt > 1 {
		where += fmt.Sprintf(" attempt %d", u.Attempt)
	}
	if u.JobID != "" {
		where += " job " + u.JobID
	}
	fmt.Fprintf(w, "%s %s: %s\n", u.At.UTC().Format("15:04:05"), line(where), line(u.Text))
}

// line is a text, a line of a log perhaps, that neither a terminal nor a build server takes for a command.
func line(s string) string { return plain.Inert(plain.Line(s)) }
