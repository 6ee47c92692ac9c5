package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// liveRows bounds the table of a run on a terminal.
const liveRows = 15

// progress shows how a run gets on: a plain line with its time per change, as CI
// logs want, or on a terminal a table of the cases that is redrawn in place every
// second, with what is worth keeping above it.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	live  bool
	now   func() time.Time
	size  func() (width, height int) // of the terminal, which may change
	stop  chan struct{}
	ended sync.WaitGroup
	cases []*liveCase
	index map[string]*liveCase // by slug
	drawn int                  // lines of the table that stand on the screen
}

// liveCase is a row of the table.
type liveCase struct {
	name, state, job, text string
	since                  time.Time // of its state
}

// newProgress makes the display of run. The table is for a terminal that shows
// nothing else of the run.
func newProgress(h host, run rundir.Run) *progress {
	p := &progress{w: h.stderr, live: liveTable(h), now: h.now, stop: make(chan struct{}), index: map[string]*liveCase{}}
	p.size = func() (int, int) { return terminalSize(h.stderr) }
	for _, c := range run.Cases {
		row := &liveCase{name: shortCase(c.ID), state: c.State}
		p.cases = append(p.cases, row)
		p.index[c.Slug] = row
	}
	if p.live {
		p.ended.Go(p.tick)
	}
	return p
}

// tick redraws the table every second: its clocks show that the run lives while
// nothing changes for an hour.
func (p *progress) tick() {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-every.C:
			p.mu.Lock()
			p.redraw("")
			p.mu.Unlock()
		}
	}
}

// liveTable says whether a table is shown: both outputs are a terminal that can
// move its cursor. The roles' output then stays in their logs.
func liveTable(h host) bool {
	return isTerminal(h.stderr) && isTerminal(h.stdout) && h.getenv("TERM") != "dumb" && h.getenv("CI") == "" && h.getenv("BUILD_TAG") == ""
}

// update shows one change.
func (p *progress) update(u drive.Update) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.live {
		printUpdate(p.w, u)
		return
	}
	if c := p.index[u.Slug]; c != nil {
		c.apply(u)
	}
	var above strings.Builder
	switch u.Kind {
	case drive.EndedNow, drive.Next, drive.Warning:
		printUpdate(&above, u)
	default:
	}
	p.redraw(above.String())
}

// close takes the table off the screen: the report follows.
func (p *progress) close() {
	close(p.stop)
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(p.w, p.erase())
	p.live, p.drawn = false, 0
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
		c.state, _, _ = strings.Cut(u.Text, ": ")
		c.text = ""
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
func (p *progress) erase() string {
	if p.drawn == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\x1b[J", p.drawn)
}

// redraw puts the lines above and the table in the place of the old table, in one
// write: a screen that is cleared first flickers.
func (p *progress) redraw(above string) {
	width, height := p.size()
	out := p.erase() + above
	rows := p.rows(max(1, min(liveRows, height-4)), min(44, max(16, (width-32)/2)))
	for _, r := range rows {
		out += cutTo(r, width-1) + "\n"
	}
	p.drawn = len(rows)
	fmt.Fprint(p.w, out)
}

// rows are at most room cases that go on, with names of at most name columns, then
// counts of the others.
func (p *progress) rows(room, name int) []string {
	var rows []string
	counts, order := map[string]int{}, []string{}
	for _, c := range p.cases {
		switch rundir.Phase(c.state) {
		case rundir.PhaseQueue, rundir.PhaseSetup, rundir.PhaseReady, rundir.PhaseBenchmark, rundir.PhaseDrain, rundir.PhaseCollect, rundir.PhaseDone:
			if len(rows) < room {
				rows = append(rows, c.line(p.now(), name))
				continue
			}
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

// line is a case in a row, with how long it has been in its state.
func (c *liveCase) line(now time.Time, name int) string {
	return fmt.Sprintf("%-9s %8s  %-10s %-*s %s", c.state, clock(now.Sub(c.since)), c.job, name, cutMiddle(c.name, name), c.text)
}

// cutMiddle cuts s to n columns. Names of one suite begin alike and differ towards
// their ends.
func cutMiddle(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := n / 4
	return string(r[:head]) + "…" + string(r[len(r)-(n-head-1):])
}

// clock is a duration as a stop-watch shows it: 0:07, 12:03, 3:00:59.
func clock(d time.Duration) string {
	s := max(0, int(d.Seconds()))
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// plain takes off s what would move the cursor or colour what follows: texts may
// hold a line of a role's log.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// cutTo cuts s to n columns.
func cutTo(s string, n int) string {
	s = plain(s)
	if utf8.RuneCountInString(s) <= n || n < 2 {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// printUpdate writes one change as a plain line with its time.
func printUpdate(w io.Writer, u drive.Update) {
	where := "run"
	if u.Case != "" {
		where = shortCase(u.Case)
	}
	if u.Rep > 0 {
		where += fmt.Sprintf(" rep %d", u.Rep)
	}
	if u.Attempt > 1 {
		where += fmt.Sprintf(" attempt %d", u.Attempt)
	}
	if u.JobID != "" {
		where += " job " + u.JobID
	}
	fmt.Fprintf(w, "%s %s: %s\n", u.At.UTC().Format("15:04:05"), plain(where), plain(u.Text))
}

// colours says whether w may be written to in colour: a terminal, and nobody who
// runs us has set NO_COLOR (no-color.org: to anything but the empty string).
func colours(h host, w io.Writer) bool {
	return h.getenv("NO_COLOR") == "" && h.getenv("TERM") != "dumb" && isTerminal(w)
}

// terminalSize is the size of the terminal that w is, 80 × 24 where it does not
// say.
func terminalSize(w io.Writer) (width, height int) {
	if f := file(w); f != nil {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width, height
		}
	}
	return 80, 24
}

func isTerminal(w io.Writer) bool {
	f := file(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// shortCase is what tells a case from its neighbours: the text in the brackets
// of a pytest id.
func shortCase(id string) string {
	_, param, ok := strings.Cut(id, "[")
	if param = strings.TrimSuffix(param, "]"); !ok || param == "" {
		return id
	}
	return param
}
