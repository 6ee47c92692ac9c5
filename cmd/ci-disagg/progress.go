package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// liveRows bounds the table of a run on a terminal.
const liveRows = 15

// progress shows how a run gets on: a plain line with its time per change, as CI
// logs want, or on a terminal a table of the cases that is redrawn in place,
// with what is worth keeping above it.
type progress struct {
	mu     sync.Mutex
	w      io.Writer
	live   bool
	width  int // columns of the terminal
	height int
	cases  []*liveCase
	index  map[string]*liveCase // by slug
	drawn  int                  // lines of the table that stand on the screen
}

// liveCase is a row of the table.
type liveCase struct {
	name, state, job, text, since string
}

// newProgress makes the display of run. The table is for a terminal that shows
// nothing else of the run.
func newProgress(h host, run rundir.Run) *progress {
	p := &progress{w: h.stderr, live: liveTable(h), index: map[string]*liveCase{}}
	if p.live {
		f, _ := h.stderr.(*os.File)
		var err error
		if p.width, p.height, err = term.GetSize(int(f.Fd())); err != nil {
			p.width, p.height = 80, 24
		}
	}
	for _, c := range run.Cases {
		row := &liveCase{name: shortCase(c.ID), state: c.State}
		p.cases = append(p.cases, row)
		p.index[c.Slug] = row
	}
	return p
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
	p.erase()
	if c := p.index[u.Slug]; c != nil {
		c.apply(u)
	}
	switch u.Kind {
	case drive.EndedNow, drive.Next, drive.Warning:
		printUpdate(p.w, u)
	default:
	}
	p.draw()
}

// close takes the table off the screen: the report follows.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.live = false
}

// apply is what a change means for its case's row.
func (c *liveCase) apply(u drive.Update) {
	if u.JobID != "" {
		c.job = u.JobID
	}
	since := u.At.UTC().Format("15:04:05")
	switch u.Kind {
	case drive.Submitted, drive.Queue:
		c.state, c.text, c.since = "queue", u.Text, since
	case drive.PhaseNow:
		c.state, c.text, c.since = string(u.Phase), "", since
	case drive.EndedNow:
		c.state, _, _ = strings.Cut(u.Text, ": ")
		c.text, c.since = "", since
	case drive.Next:
		c.state, c.text, c.since = rundir.CaseWaiting, u.Text, since
	case drive.Role, drive.Warning, drive.Status:
		c.text = u.Text
	}
}

// erase moves the cursor to where the table begins and clears what follows.
func (p *progress) erase() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// draw writes the table: cases that go on, then counts of the others.
func (p *progress) draw() {
	var rows []string
	counts, order := map[string]int{}, []string{}
	room := max(1, min(liveRows, p.height-4))
	for _, c := range p.cases {
		switch rundir.Phase(c.state) {
		case rundir.PhaseQueue, rundir.PhaseSetup, rundir.PhaseReady, rundir.PhaseBenchmark, rundir.PhaseDrain, rundir.PhaseCollect, rundir.PhaseDone:
			if len(rows) < room {
				rows = append(rows, c.line())
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
	for _, r := range rows {
		fmt.Fprintln(p.w, cutTo(r, p.width-1))
	}
	p.drawn = len(rows)
}

// line is a case in a row.
func (c *liveCase) line() string {
	return fmt.Sprintf("%-9s %s  %-10s %-44s %s", c.state, c.since, c.job, cutTo(c.name, 44), c.text)
}

// cutTo cuts s to n columns and takes off what would move the cursor.
func cutTo(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
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
	fmt.Fprintf(w, "%s %s: %s\n", u.At.UTC().Format("15:04:05"), where, u.Text)
}

// colours says whether w may be written to in colour: a terminal, and nobody who
// runs us has set NO_COLOR (no-color.org: to anything but the empty string).
func colours(h host, w io.Writer) bool {
	return h.getenv("NO_COLOR") == "" && h.getenv("TERM") != "dumb" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
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
