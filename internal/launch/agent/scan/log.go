package scan

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of what is kept of a log in memory. The file itself is complete.
const (
	maxLine       = 16 << 10 // bytes of one line that are looked at
	keptBytes     = 1 << 10  // bytes of a line that go into a record
	tailLines     = 40
	maxCandidates = 64
	traceDepth    = 400      // lines after "Traceback" in which its exception is looked for
	maxRead       = 64 << 20 // bytes at the end of a file that are searched
	readChunk     = 256 << 10
)

// Log looks through a log while it passes and keeps, within bounds, what may
// explain its end: the first line that looks like an error, the first and the last
// line of each failure class, what srun says, and the last lines.
type Log struct {
	role    string
	file    string // relative to the attempt directory
	dir     string // the attempt directory
	look    *Patterns
	Ready   *regexp.Regexp       // what the role says once it is ready, nil = nothing
	Line    func(string)         // told each line, nil = nobody is
	Health  HealthCheck          // what the role's server is asked for
	BadTask func(rundir.TaskEnd) // told the first task that srun reports as failed, nil = nobody is

	partial []byte // what has come since the last line or carriage return
	shown   string // the state before the last carriage return: what a terminal would show
	lines   int    // so far
	flow
	st     State
	trace  int              // lines left in which to find the exception of a traceback
	assert assertion        // that pytest is telling of
	failed failure          // likewise, of whatever kind
	quotes []int            // the newest lines that name infrastructure only in an assertion's explanation
	rules  map[string][]int // failure class → its places in st.candidates
	tail   []Kept           // ring
	tailAt int
}

// flow is what of a log is more than repetition, or what follows an end.
type flow struct {
	aside   aside
	apart   bool   // so was the state before the last carriage return
	before  string // the line before this one
	changes int    // lines that say something else than the one before
	signs   int    // what has come beside lines about health checks
}

// Kept is a line that may explain the end of its log.
type Kept struct {
	rundir.LogLine
	change int     // Log.changes when it came
	shown  bool    // pytest shows it below the failure that came after it
	apart  bool    // of an exception that ended nothing
	more   *string // where pytest's message ends with a colon: its next line
}

// State is what is known of a log so far.
type State struct {
	Ready       bool // its line was seen
	First       *Kept
	Candidates  []Kept
	FirstTask   *rundir.TaskEnd // the first task that srun reports as failed
	OOM         bool
	Waiting     bool   // srun waits for the step's resources
	LostNode    string // that srun reports as failed
	Due         string // why Slurm ended the step: PREEMPTION, TIME LIMIT, NODE FAILURE
	Launcher    string // srun's own trouble: the step never came up
	Complaint   string // the first of srun's other complaints
	Cancelled   bool   // slurmstepd says that it was told to end the step, and srun had not asked for it because a task had ended
	Interrupted bool   // pytest says that it was
	Killed      string // the command of which a shell says that it was killed, "?" = it does not say which
	terminating bool   // srun says that it ends the step
	ended       bool   // or has ended it
}

// New begins a log of a role; file is its path in the attempt directory.
func New(role, file string, dir rundir.AttemptDir, look *Patterns) *Log {
	return &Log{role: role, file: file, dir: string(dir), look: look, rules: map[string][]int{}}
}

// Take takes the next piece of the log.
func (s *Log) Take(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			s.grow(b)
			s.sign(s.partial)
			return
		}
		s.grow(b[:i])
		if b[i] == '\r' {
			s.endState()
		} else {
			s.endLine()
		}
		b = b[i+1:]
	}
}

// sign counts what says that somebody works.
func (s *Log) sign(line []byte) {
	if s.Health == "" || !s.Health.Logged(string(line)) {
		s.signs++
	}
}

// Signs is how much has come so far that says that somebody works: all but what an
// access log says of health checks.
func (s *Log) Signs() int { return s.signs }

// grow takes more of a line. Of one that is too long the middle is left out: what
// stands at its end may be the last word of a process.
func (s *Log) grow(b []byte) {
	if room := 2*maxLine - len(s.partial); len(b) > room {
		s.partial = append(s.partial[:min(len(s.partial), maxLine/2)], b[max(0, len(b)-maxLine/2):]...)
		return
	}
	s.partial = append(s.partial, b...)
}

// endState takes what a carriage return ends: a state of a progress bar, or, when
// a newline follows, the line itself. Another process may have written into it.
func (s *Log) endState() {
	if len(bytes.TrimSpace(s.partial)) == 0 {
		return
	}
	s.sign(s.partial)
	s.shown = s.look.plain(string(s.partial))
	s.partial = s.partial[:0]
	text := s.look.bar.ReplaceAllString(s.shown, "")
	s.apart = text != "" && s.aside.has(text)
	s.search(text, s.lines+1, s.apart)
}

func (s *Log) endLine() {
	s.lines++
	line := s.look.plain(string(s.partial))
	s.partial = s.partial[:0]
	if s.Health.Logged(line) { // it explains nothing, and there are thousands of it
		if s.shown = ""; s.Line != nil {
			s.Line(line)
		}
		return
	}
	s.signs++
	text := s.look.bar.ReplaceAllString(line, "")
	apart := s.apart // what ends here came before the carriage return
	if s.apart = false; text != "" || line == "" && s.shown == "" {
		apart = s.aside.has(text)
	}
	if !apart && !sameButNumbers(line, s.before) {
		s.changes++
	}
	s.before = line
	if line == "" {
		line, s.shown = s.shown, "" // it has been searched
	} else {
		s.search(text, s.lines, apart)
		s.shown = ""
	}
	if s.trace > 0 {
		s.trace--
	}
	if s.Line != nil {
		s.Line(line)
	}
	at := s.lineAt(s.lines, line)
	at.apart = apart
	if len(s.tail) < tailLines {
		s.tail = append(s.tail, at)
	} else {
		s.tail[s.tailAt] = at
		s.tailAt = (s.tailAt + 1) % tailLines
	}
}

// sameButNumbers reports whether two lines differ in their digits only, as those of
// a flood do.
func sameButNumbers(a, b string) bool {
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case digit(a[i]) && digit(b[j]):
			for i < len(a) && digit(a[i]) {
				i++
			}
			for j < len(b) && digit(b[j]) {
				j++
			}
		case a[i] != b[j]:
			return false
		default:
			i, j = i+1, j+1
		}
	}
	return i == len(a) && j == len(b)
}

// lineAt is a line as it is kept. The path of the attempt says nothing and may be
// longer than all the rest.
func (s *Log) lineAt(number int, text string) Kept {
	if s.dir != "" {
		text = strings.ReplaceAll(text, s.dir+"/", "")
	}
	return Kept{LogLine: rundir.LogLine{File: s.file, Number: number, Text: rundir.Clip(text, keptBytes)}, change: s.changes, shown: s.failed.shown}
}

// search looks for what explains an end. Several processes write the same stream,
// and one that draws a progress bar leaves its line open, so a message may begin
// anywhere. What is apart ended nothing.
func (s *Log) search(line string, number int, apart bool) {
	text, message := splitLauncher(line)
	if message != "" {
		s.fromLauncher(message)
		s.explains(s.lineAt(number, message), message)
	}
	if text == "" {
		return
	}
	if s.assert.explanation(text) {
		if r, ok := s.look.classes.Match(text); ok && r.Class == blame.Infra {
			s.quotes = append(s.quotes[max(0, len(s.quotes)-tailLines):], number)
			return
		}
	}
	if strings.Contains(text, "!!! KeyboardInterrupt !!!") {
		s.st.Interrupted = true
	}
	if strings.Contains(text, "Killed") {
		s.fromShell(text)
	}
	at := s.lineAt(number, text)
	if s.Ready != nil && !s.st.Ready && s.Ready.MatchString(text) {
		s.st.Ready = true
	}
	if apart {
		s.explainsAside(at, text)
		return
	}
	s.failed.goesOn(&at)
	s.failed.take(at, text, s.look)
	s.firstError(at, text)
	s.explains(at, text)
}

// explainsAside keeps a line of an exception that ended nothing. An error of a CUDA kernel counts whoever tells
// of it; the rest explains an end only where nothing else does.
func (s *Log) explainsAside(at Kept, line string) {
	switch r, ok := s.look.classes.Match(line); {
	case ok && r.Class == blame.Test && r.Kind == "test.crash":
		s.classLine(r.Name, at)
	case ok && (r.Class == blame.Infra || r.Kind == "test.oom"):
		s.aside.kept = keep(s.aside.kept, at)
	}
}

// explains keeps a line that a failure class or the absence of a peer explains.
func (s *Log) explains(at Kept, line string) {
	if r, ok := s.look.classes.Match(line); ok {
		s.classLine(r.Name, at)
	}
	if blame.PeerLine(line) {
		s.classLine("", at) // no class has an empty name
	}
	if strings.HasPrefix(line, "E ") && blame.Measured(line) {
		s.classLine(" measured", at) // likewise
	}
	if blame.GivesUp(line) {
		s.classLine(" own", at)
	}
	if blame.MPIAbort(line) {
		s.classLine(" abort", at)
	}
}

// firstError keeps the first line that looks like an error. Of a Python
// traceback that is its last line, which says what happened.
func (s *Log) firstError(at Kept, line string) {
	switch {
	case s.trace > 0:
		if !s.look.raises(line) {
			return
		}
		s.trace = 0
		s.st.First = &at
	case s.st.First != nil:
	case strings.Contains(line, "Traceback (most recent call last):"):
		if !blame.Quoted(line) {
			s.st.First, s.trace = &at, traceDepth
		}
	case s.look.isError(line) && !blame.Quoted(line): // of millions of lines few look like an error
		s.st.First = &at
	}
}

// classLine keeps the first and the last line of a failure class: the first says
// when it began, but only a late one explains the end.
func (s *Log) classLine(rule string, at Kept) {
	slots, seen := s.rules[rule]
	switch {
	case !seen && len(s.st.Candidates) < maxCandidates:
		s.rules[rule] = []int{len(s.st.Candidates)}
		s.st.Candidates = append(s.st.Candidates, at)
	case len(slots) == 1 && len(s.st.Candidates) < maxCandidates:
		s.rules[rule] = append(slots, len(s.st.Candidates))
		s.st.Candidates = append(s.st.Candidates, at)
	case len(slots) == 2:
		s.st.Candidates[slots[1]] = at
	}
}

// CutOff makes a line of what has come without a newline.
func (s *Log) CutOff() {
	if len(s.partial) > 0 || s.shown != "" {
		s.endLine()
	}
}

// State is a copy of what is known so far.
func (s *Log) State() State {
	st := s.st
	st.Candidates = slices.Clone(st.Candidates)
	return st
}

// LastLines are the last lines, oldest first.
func (s *Log) LastLines() []rundir.LogLine {
	var out []rundir.LogLine
	for _, k := range s.lastLines() {
		out = append(out, k.LogLine)
	}
	return out
}

func (s *Log) lastLines() []Kept { return slices.Concat(s.tail[s.tailAt:], s.tail[:s.tailAt]) }

// Explaining are the lines that may explain the end, in the order of the log: the
// first error, those of failure classes, and the very last one.
func (s *Log) Explaining() []blame.Line {
	s.CutOff()
	var out []blame.Line
	seen := map[int]bool{}
	own := s.failed.own
	if s.failed.infra {
		own = nil // of several tests, or of a chain of exceptions
	}
	add := func(k Kept) {
		if !seen[k.Number] {
			seen[k.Number] = true
			first := s.st.First != nil && s.st.First.Number == k.Number
			ended, since := s.failed.has(k.Number)
			more := ""
			if k.more != nil {
				more = *k.more
			}
			out = append(out, blame.Line{
				Role: s.role, File: k.File, Number: k.Number, Text: k.Text, First: first, Behind: s.changes - k.change,
				Own: own != nil && own.Number == k.Number, Shown: k.shown, Died: ended, Since: since, More: more,
			})
		}
	}
	if own != nil {
		add(*own)
	}
	if s.st.First != nil {
		add(*s.st.First)
	}
	for _, k := range slices.Concat(s.st.Candidates, s.failed.last, s.failed.tests) {
		add(k)
	}
	if len(out) == 0 {
		for _, k := range s.aside.kept {
			add(k)
		}
	}
	for _, k := range s.tellingTail(len(out) > 0) {
		add(k)
	}
	blame.SortLines(out)
	return out
}

// tellingTail are those of the last lines that may explain the end, and the very last one. Where others do, none that
// is apart is one.
func (s *Log) tellingTail(others bool) []Kept {
	var out []Kept
	tail := s.lastLines()
	for i, at := range tail {
		last := i == len(tail)-1
		if slices.Contains(s.quotes, at.Number) || at.apart && (others || !last) {
			continue
		}
		if _, ok := s.look.classes.Match(at.Text); ok || blame.PeerLine(at.Text) || last {
			out = append(out, at)
		}
	}
	return out
}

// ReadEnd looks through the end of a file; its lines are numbered from the beginning.
func (s *Log) ReadEnd(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if skip := info.Size() - maxRead; skip > 0 {
		if s.lines, err = countLines(f, skip); err != nil {
			return err
		}
	}
	buf := make([]byte, readChunk)
	for in := io.LimitReader(f, maxRead); ; {
		n, err := in.Read(buf)
		s.Take(buf[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// countLines reads n bytes and counts the lines that end in them.
func countLines(r io.Reader, n int64) (int, error) {
	count, buf := 0, make([]byte, readChunk)
	for n > 0 {
		k, err := r.Read(buf[:min(n, readChunk)])
		count += bytes.Count(buf[:k], []byte{'\n'})
		if n -= int64(k); err != nil {
			return count, err
		}
	}
	return count, nil
}
