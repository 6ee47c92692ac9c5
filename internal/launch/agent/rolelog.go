package agent

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of what is kept of a log in memory. The file itself is complete.
const (
	maxLine       = 16 << 10 // bytes of one line that are looked at
	keptLine      = 1 << 10  // bytes of a line that go into a record
	tailLines     = 40
	maxCandidates = 64
	traceDepth    = 400 // lines after "Traceback" in which its exception is looked for
)

// roleLog takes a role's output: all of it to the file, each line to the console,
// and while it passes, what a reader will want to know: the first line that
// looks like an error, the first line of each failure class, and the last lines.
type roleLog struct {
	role    string
	file    string // relative to the attempt directory
	dir     string // the attempt directory
	look    *lookout
	ready   *regexp.Regexp // the role's log pattern, nil = none
	console *console
	now     func() time.Time
	badTask func(rundir.TaskEnd)
	broken  func(error) // told once that the file cannot be written

	mu      sync.Mutex
	f       *os.File
	partial []byte // what has come since the last line or carriage return
	shown   string // the state before the last carriage return: what a terminal would show
	st      logState
	trace   int              // lines left in which to find the exception of a traceback
	rules   map[string][]int // failure class → its places in st.candidates
	tail    []rundir.LogLine // ring
	tailAt  int
}

// logState is what is known of a log so far.
type logState struct {
	bytes, lost int64
	lines       int
	last        time.Time // of the last output
	matched     bool      // the ready pattern was seen
	first       *rundir.LogLine
	candidates  []rundir.LogLine
	firstTask   *taskMessage
	oom         bool
	waiting     bool   // srun waits for the step's resources
	lostNode    string // that srun reports as failed
	due         string // why Slurm ended the step: PREEMPTION, TIME LIMIT, NODE FAILURE
	launcher    string // srun's own trouble: the step never came up
	terminating bool   // srun says that it ends the step
	failed      error
}

func openRoleLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, rundir.FileMode)
}

// Write implements io.Writer. It never fails: a full disk must not break the
// role's pipe before the agent has decided what to do about it.
func (l *roleLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.st.last = l.now()
	l.toFile(b)
	for rest := b; len(rest) > 0; {
		i := bytes.IndexAny(rest, "\r\n")
		if i < 0 {
			l.grow(rest)
			break
		}
		l.grow(rest[:i])
		if rest[i] == '\r' {
			l.endState()
		} else {
			l.endLine()
		}
		rest = rest[i+1:]
	}
	return len(b), nil
}

func (l *roleLog) toFile(b []byte) {
	if l.st.failed != nil {
		l.st.lost += int64(len(b))
		return
	}
	n, err := l.f.Write(b)
	l.st.bytes += int64(n)
	if err != nil {
		l.st.lost += int64(len(b) - n)
		l.st.failed = err
		l.broken(err)
	}
}

// grow takes more of a line. Of one that is too long the middle is left out: what
// stands at its end may be the last word of a process.
func (l *roleLog) grow(b []byte) {
	if room := 2*maxLine - len(l.partial); len(b) > room {
		l.partial = append(l.partial[:min(len(l.partial), maxLine/2)], b[max(0, len(b)-maxLine/2):]...)
		return
	}
	l.partial = append(l.partial, b...)
}

// endState takes what a carriage return ends: a state of a progress bar, or, when
// a newline follows, the line itself. Another process may have written into it.
func (l *roleLog) endState() {
	if len(bytes.TrimSpace(l.partial)) == 0 {
		return
	}
	l.shown = string(l.partial)
	l.partial = l.partial[:0]
	l.search(l.shown, l.st.lines+1)
}

func (l *roleLog) endLine() {
	l.st.lines++
	line := string(l.partial)
	l.partial = l.partial[:0]
	if line == "" {
		line, l.shown = l.shown, "" // it has been searched
	} else {
		l.search(line, l.st.lines)
		l.shown = ""
	}
	if l.trace > 0 {
		l.trace--
	}
	l.console.line(l.role, line)
	at := l.lineAt(l.st.lines, line)
	if len(l.tail) < tailLines {
		l.tail = append(l.tail, at)
	} else {
		l.tail[l.tailAt] = at
		l.tailAt = (l.tailAt + 1) % tailLines
	}
}

// lineAt is a line as it is kept. The path of the attempt says nothing and may be
// longer than all the rest.
func (l *roleLog) lineAt(number int, text string) rundir.LogLine {
	if l.dir != "" {
		text = strings.ReplaceAll(text, l.dir+"/", "")
	}
	return rundir.LogLine{File: l.file, Number: number, Text: rundir.Clip(text, keptLine)}
}

// search looks for what explains an end. Several processes write the same stream,
// and one that draws a progress bar leaves its line open, so a message may begin
// anywhere.
func (l *roleLog) search(line string, number int) {
	line = l.look.bar.ReplaceAllString(line, "")
	text, message := splitLauncher(line)
	if message != "" {
		l.fromLauncher(message)
		l.explains(l.lineAt(number, message), message)
	}
	if text == "" {
		return
	}
	at := l.lineAt(number, text)
	if l.ready != nil && !l.st.matched && l.ready.MatchString(text) {
		l.st.matched = true
	}
	l.firstError(at, text)
	l.explains(at, text)
}

// explains keeps a line that a failure class or the absence of a peer explains.
func (l *roleLog) explains(at rundir.LogLine, line string) {
	if r, ok := l.look.classes.Match(line); ok {
		l.classLine(r.Name, at)
	}
	if blame.PeerLine(line) {
		l.classLine("", at) // no class has an empty name
	}
}

// firstError keeps the first line that looks like an error. Of a Python
// traceback that is its last line, which says what happened.
func (l *roleLog) firstError(at rundir.LogLine, line string) {
	switch {
	case l.trace > 0:
		if !l.look.exception.MatchString(line) {
			return
		}
		l.trace = 0
		l.st.first = &at
	case l.st.first != nil:
	case blame.Quoted(line):
	case strings.Contains(line, "Traceback (most recent call last):"):
		l.st.first, l.trace = &at, traceDepth
	case l.look.isError(line):
		l.st.first = &at
	}
}

// classLine keeps the first and the last line of a failure class: the first says
// when it began, but only a late one explains the end.
func (l *roleLog) classLine(rule string, at rundir.LogLine) {
	slots, seen := l.rules[rule]
	switch {
	case !seen && len(l.st.candidates) < maxCandidates:
		l.rules[rule] = []int{len(l.st.candidates)}
		l.st.candidates = append(l.st.candidates, at)
	case len(slots) == 1 && len(l.st.candidates) < maxCandidates:
		l.rules[rule] = append(slots, len(l.st.candidates))
		l.st.candidates = append(l.st.candidates, at)
	case len(slots) == 2:
		l.st.candidates[slots[1]] = at
	}
}

// state is a copy of what is known so far.
func (l *roleLog) state() logState {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.st
	st.candidates = append([]rundir.LogLine(nil), st.candidates...)
	return st
}

func (l *roleLog) lastOutput() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st.last
}

// lastLines are the last lines, oldest first.
func (l *roleLog) lastLines() []rundir.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append([]rundir.LogLine(nil), l.tail[l.tailAt:]...), l.tail[:l.tailAt]...)
}

// cutOff makes a line of what has come without a newline, while the log goes on.
func (l *roleLog) cutOff() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 || l.shown != "" {
		l.endLine()
	}
}

// close ends the file. A last line without a newline counts as a line.
func (l *roleLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 || l.shown != "" {
		l.endLine()
	}
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

// lookout is what to look for in logs.
type lookout struct {
	classes   blame.Classes
	err       blame.Classes // one pattern: its quick look comes with it
	harmless  *regexp.Regexp
	exception *regexp.Regexp
	bar       *regexp.Regexp
	launcher  launcherMessages
}

// errorPattern matches lines that look like errors; our own scripts say nothing else.
const errorPattern = `^ci-disagg: |\b(?:ERROR|FATAL|CRITICAL|PANIC)\b|\b[A-Z]\w*(?:Error|Exception)\b:|^E   +\S*(?:Error|Exception|assert|Failed)|` +
	`(?i:\berror:|\bfatal:|^panic:|segmentation fault|core dumped|out of memory|\boom.kill|terminate called|assert\w* .{0,80}failed|` +
	`cannot allocate|no space left|permission denied|command not found|no such file or directory|^killed$|^aborted|address already in use|stale file handle)`

// isError says that a line looks like an error and not like the word itself in a
// harmless place ("0 errors").
func (o *lookout) isError(line string) bool {
	_, ok := o.err.Match(line)
	return ok && !o.harmless.MatchString(line)
}

func newLookout(classes blame.Classes) *lookout {
	err, compileErr := blame.Compile([]blame.Rule{{Name: "error", Class: blame.Test, Pattern: errorPattern}})
	if compileErr != nil {
		panic(compileErr) // a constant of this file
	}
	return &lookout{
		classes: classes,
		err:     err,
		// An exception as Python ends a traceback with it, at the start of the
		// line or after a rank or pytest prefix.
		exception: regexp.MustCompile(`^(?:\S{0,40}[:|\]]\s*|E\s+)?(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Failure|Timeout)\b`),
		// The progress bar at the beginning of a line, as tqdm draws it.
		bar:      regexp.MustCompile(`^[^|]{0,120}\d{1,3}%\|[^|]{0,250}\|(?: *[\d.]+\w?/[\d.]+\w?)?(?: *\[[^\]]{0,120}\])?`),
		harmless: regexp.MustCompile(`(?i)\b(?:no|0|without)\s+(?:\w+\s+)?errors?\b|errors?\s*[:=]\s*(?:0|none|null|false)\b`),
		launcher: newLauncherMessages(),
	}
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
