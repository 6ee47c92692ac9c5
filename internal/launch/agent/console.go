package agent

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of what reaches stdout. Everything is complete in the files.
const (
	consoleLine  = 500  // bytes of one line
	consoleQueue = 4096 // lines waiting for a slow reader
	consoleBurst = 400  // lines that a role may print at once
	consoleRate  = 40   // lines a second that a role may print in the long run
	consoleTell  = 10 * time.Second
)

// console multiplexes the roles' output to one writer, each line under its
// role's name, bounded in rate per role. It never blocks a role: what a slow
// reader does not take in time is left out, and the reader is told how much.
type console struct {
	out   io.Writer
	now   func() time.Time
	queue chan string
	quit  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	roles  map[string]*budget
	closed bool
}

type budget struct {
	left    float64
	at      time.Time
	dropped int
	told    time.Time
}

func newConsole(out io.Writer, now func() time.Time) *console {
	c := &console{out: out, now: now, queue: make(chan string, consoleQueue), quit: make(chan struct{}), done: make(chan struct{}), roles: map[string]*budget{}}
	go c.run()
	return c
}

func (c *console) run() {
	defer close(c.done)
	for s := range c.queue {
		_, _ = io.WriteString(c.out, s) // a closed stdout must not end the attempt
	}
}

// line prints one line of a role.
func (c *console) line(role, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	b := c.roles[role]
	if b == nil {
		b = &budget{left: consoleBurst, at: now, told: now}
		c.roles[role] = b
	}
	b.left = min(consoleBurst, b.left+now.Sub(b.at).Seconds()*consoleRate)
	b.at = now
	if b.left < 1 {
		b.dropped++
		if now.Sub(b.told) >= consoleTell {
			c.tell(role, b, now)
		}
		return
	}
	if b.dropped > 0 {
		c.tell(role, b, now)
	}
	b.left--
	if !c.put("[" + role + "] " + printable(text) + "\n") {
		b.dropped++
	}
}

func (c *console) tell(role string, b *budget, now time.Time) {
	if c.put(fmt.Sprintf("[%s] … %d lines not shown here (complete in its output.log)\n", role, b.dropped)) {
		b.dropped, b.told = 0, now
	}
}

// say prints a line of the agent's own. It may wait for a slow reader, but not
// for ever.
func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put("ci-disagg: " + printable(fmt.Sprintf(format, args...)) + "\n")
}

// put queues a line, unless the queue is full or closed. The caller holds c.mu.
func (c *console) put(s string) bool {
	if c.closed {
		return false
	}
	select {
	case c.queue <- s:
		return true
	default:
		return false
	}
}

// close tells what was left out and waits, within bounds, for the reader.
func (c *console) close() {
	c.mu.Lock()
	for role, b := range c.roles {
		if b.dropped > 0 {
			c.tell(role, b, c.now())
		}
	}
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mu.Unlock()
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
	}
}

// printable is a line without what a terminal or Jenkins' console would act on
// (Jenkins reads its own annotations out of escape sequences), cut to a bound.
func printable(s string) string {
	s = rundir.Clip(s, consoleLine)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r < 0x20, r == 0x7f, r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, s)
}
