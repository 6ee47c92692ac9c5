package step

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/scan"
	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Output takes a step's output: all of it to the file, and while it passes, what a
// reader will want to know.
type Output struct {
	now    func() time.Time
	broken func(error) // told once that the file cannot be written

	// writing is held while the file is written, which may take as long as a file server
	// likes; whoever wants to know something takes mu alone and never waits for that.
	writing sync.Mutex
	f       *os.File
	failed  error
	masked  *mask.Writer // on the way to the file and the scan

	mu          sync.Mutex
	bytes, lost int64
	last        time.Time // of the last output that was a sign of life
	checked     time.Time // of the last that only told of health checks
	scan        *scan.Log
}

// NewOutput takes output to f and through a scan, without the values of secrets. broken is
// told once that the file cannot be written.
func NewOutput(f *os.File, through *scan.Log, secrets *mask.Masker, now func() time.Time, broken func(error)) *Output {
	l := &Output{now: now, broken: broken, f: f, last: now(), scan: through}
	l.masked = secrets.Writer(plain{l})
	return l
}

// plain takes what is to be kept. The caller holds l.writing.
type plain struct{ l *Output }

func (c plain) Write(b []byte) (int, error) {
	c.l.take(b)
	c.l.toFile(b)
	return len(b), nil
}

// Write implements io.Writer. It never fails: a full disk must not break the
// role's pipe before the agent has decided what to do about it.
func (l *Output) Write(b []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, _ = l.masked.Write(b) // to plain, which never fails
	return len(b), nil
}

func (l *Output) toFile(b []byte) {
	n, err := 0, l.failed
	if err == nil {
		n, err = l.f.Write(b)
	}
	first := err != nil && l.failed == nil
	l.failed = err
	l.count(n, len(b))
	if first {
		l.broken(err)
	}
}

func (l *Output) take(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.scan.Signs()
	if l.scan.Take(b); l.scan.Signs() != before {
		l.last = l.now()
	} else {
		l.checked = l.now()
	}
}

func (l *Output) count(written, of int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += int64(written)
	l.lost += int64(of - written)
}

// State is a copy of what is known so far.
func (l *Output) State() scan.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan.State()
}

// Written is how much has gone into the file, and how much could not.
func (l *Output) Written() (bytes, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes, l.lost
}

// Last is when there was output last that says that somebody works.
func (l *Output) Last() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Checked is when there was output last that only told of health checks.
func (l *Output) Checked() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checked
}

// LastLines are the last lines, oldest first.
func (l *Output) LastLines() []rundir.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan.LastLines()
}

// Explaining are the lines that may explain the role's end. What has come without
// a newline is a line.
func (l *Output) Explaining() []blame.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan.Explaining()
}

// Close ends the file. A last line without a newline counts as a line.
func (l *Output) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_ = l.masked.Flush()
	l.mu.Lock()
	l.scan.CutOff()
	l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Sync()
	if cerr := l.f.Close(); err == nil {
		err = cerr
	}
	l.f = nil
	return err
}

// maxTaskLine is how much of a task's open line is held back.
const maxTaskLine = 64 << 10

// taskLines collects one task's output into whole lines before it goes to the
// role's log, so that lines of several tasks do not mix.
type taskLines struct {
	to io.Writer

	mu  sync.Mutex
	buf []byte
}

func (t *taskLines) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if i := bytes.LastIndexByte(t.buf, '\n'); i >= 0 {
		_, _ = t.to.Write(t.buf[:i+1])
		t.buf = append(t.buf[:0], t.buf[i+1:]...)
	}
	if len(t.buf) > maxTaskLine { // a line without an end: no reason to hold it all
		_, _ = t.to.Write(t.buf)
		t.buf = t.buf[:0]
	}
	return len(b), nil
}

func (t *taskLines) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) > 0 {
		_, _ = t.to.Write(append(t.buf, '\n'))
		t.buf = nil
	}
}
