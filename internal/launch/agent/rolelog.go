package agent

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// roleLog takes a role's output: all of it to the file, each line to the console,
// and while it passes, what a reader will want to know.
type roleLog struct {
	role    string
	console *console
	now     func() time.Time
	broken  func(error) // told once that the file cannot be written

	mu          sync.Mutex
	f           *os.File
	bytes, lost int64
	last        time.Time // of the last output
	failed      error
	scan        logScan
}

// Write implements io.Writer. It never fails: a full disk must not break the
// role's pipe before the agent has decided what to do about it.
func (l *roleLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = l.now()
	l.toFile(b)
	l.scan.take(b)
	return len(b), nil
}

func (l *roleLog) toFile(b []byte) {
	if l.failed != nil {
		l.lost += int64(len(b))
		return
	}
	n, err := l.f.Write(b)
	l.bytes += int64(n)
	if err != nil {
		l.lost += int64(len(b) - n)
		l.failed = err
		l.broken(err)
	}
}

// state is a copy of what is known so far.
func (l *roleLog) state() logState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan.state()
}

// written is how much has gone into the file, and how much could not.
func (l *roleLog) written() (bytes, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes, l.lost
}

func (l *roleLog) lastOutput() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// lastLines are the last lines, oldest first.
func (l *roleLog) lastLines() []rundir.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan.lastLines()
}

// explaining are the lines that may explain the role's end. What has come without
// a newline is a line.
func (l *roleLog) explaining() []blame.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan.explaining()
}

// onBadTask has f called at the first task that srun reports as failed.
func (l *roleLog) onBadTask(f func(rundir.TaskEnd)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.scan.badTask = f
}

// close ends the file. A last line without a newline counts as a line.
func (l *roleLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.scan.cutOff()
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
	if len(t.buf) > 4*maxLine { // a line without an end: no reason to hold it all
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
