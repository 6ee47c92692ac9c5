package agent

import (
	"bytes"
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
	traceDepth    = 400 // lines after "Traceback" in which its exception is looked for
)

// logScan looks through a log while it passes and keeps, within bounds, what may
// explain its end: the first line that looks like an error, the first and the last
// line of each failure class, what srun says, and the last lines.
type logScan struct {
	role    string
	file    string // relative to the attempt directory
	dir     string // the attempt directory
	look    *lookout
	ready   *regexp.Regexp       // the role's log pattern, nil = none
	line    func(string)         // told each line, nil = nobody is
	badTask func(rundir.TaskEnd) // told the first task that srun reports as failed

	partial []byte // what has come since the last line or carriage return
	shown   string // the state before the last carriage return: what a terminal would show
	before  string // the line before this one
	changes int    // lines so far that say something else than the one before them
	st      logState
	trace   int              // lines left in which to find the exception of a traceback
	rules   map[string][]int // failure class → its places in st.candidates
	tail    []rundir.LogLine // ring
	tailAt  int
}

// keptLine is a line that may explain the end of its log.
type keptLine struct {
	rundir.LogLine
	change int // logScan.changes when it came
}

// logState is what is known of a log so far.
type logState struct {
	lines       int
	matched     bool // the ready pattern was seen
	first       *keptLine
	candidates  []keptLine
	firstTask   *taskMessage
	oom         bool
	waiting     bool   // srun waits for the step's resources
	lostNode    string // that srun reports as failed
	due         string // why Slurm ended the step: PREEMPTION, TIME LIMIT, NODE FAILURE
	launcher    string // srun's own trouble: the step never came up
	complaint   string // the first of srun's other complaints
	terminating bool   // srun says that it ends the step
}

func newScan(role, file string, dir rundir.AttemptDir, look *lookout) logScan {
	return logScan{role: role, file: file, dir: string(dir), look: look, rules: map[string][]int{}}
}

// take takes the next piece of the log.
func (s *logScan) take(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			s.grow(b)
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

// grow takes more of a line. Of one that is too long the middle is left out: what
// stands at its end may be the last word of a process.
func (s *logScan) grow(b []byte) {
	if room := 2*maxLine - len(s.partial); len(b) > room {
		s.partial = append(s.partial[:min(len(s.partial), maxLine/2)], b[max(0, len(b)-maxLine/2):]...)
		return
	}
	s.partial = append(s.partial, b...)
}

// endState takes what a carriage return ends: a state of a progress bar, or, when
// a newline follows, the line itself. Another process may have written into it.
func (s *logScan) endState() {
	if len(bytes.TrimSpace(s.partial)) == 0 {
		return
	}
	s.shown = string(s.partial)
	s.partial = s.partial[:0]
	s.search(s.shown, s.st.lines+1)
}

func (s *logScan) endLine() {
	s.st.lines++
	line := string(s.partial)
	s.partial = s.partial[:0]
	if !sameButNumbers(line, s.before) {
		s.changes++
	}
	s.before = line
	if line == "" {
		line, s.shown = s.shown, "" // it has been searched
	} else {
		s.search(line, s.st.lines)
		s.shown = ""
	}
	if s.trace > 0 {
		s.trace--
	}
	if s.line != nil {
		s.line(line)
	}
	at := s.lineAt(s.st.lines, line).LogLine
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
func (s *logScan) lineAt(number int, text string) keptLine {
	if s.dir != "" {
		text = strings.ReplaceAll(text, s.dir+"/", "")
	}
	return keptLine{rundir.LogLine{File: s.file, Number: number, Text: rundir.Clip(text, keptBytes)}, s.changes}
}

// search looks for what explains an end. Several processes write the same stream,
// and one that draws a progress bar leaves its line open, so a message may begin
// anywhere.
func (s *logScan) search(line string, number int) {
	line = s.look.bar.ReplaceAllString(line, "")
	text, message := splitLauncher(line)
	if message != "" {
		s.fromLauncher(message)
		s.explains(s.lineAt(number, message), message)
	}
	if text == "" {
		return
	}
	at := s.lineAt(number, text)
	if s.ready != nil && !s.st.matched && s.ready.MatchString(text) {
		s.st.matched = true
	}
	s.firstError(at, text)
	s.explains(at, text)
}

// explains keeps a line that a failure class or the absence of a peer explains.
func (s *logScan) explains(at keptLine, line string) {
	if r, ok := s.look.classes.Match(line); ok {
		s.classLine(r.Name, at)
	}
	if blame.PeerLine(line) {
		s.classLine("", at) // no class has an empty name
	}
}

// firstError keeps the first line that looks like an error. Of a Python
// traceback that is its last line, which says what happened.
func (s *logScan) firstError(at keptLine, line string) {
	switch {
	case s.trace > 0:
		if !s.look.exception.MatchString(line) {
			return
		}
		s.trace = 0
		s.st.first = &at
	case s.st.first != nil:
	case blame.Quoted(line):
	case strings.Contains(line, "Traceback (most recent call last):"):
		s.st.first, s.trace = &at, traceDepth
	case s.look.isError(line):
		s.st.first = &at
	}
}

// classLine keeps the first and the last line of a failure class: the first says
// when it began, but only a late one explains the end.
func (s *logScan) classLine(rule string, at keptLine) {
	slots, seen := s.rules[rule]
	switch {
	case !seen && len(s.st.candidates) < maxCandidates:
		s.rules[rule] = []int{len(s.st.candidates)}
		s.st.candidates = append(s.st.candidates, at)
	case len(slots) == 1 && len(s.st.candidates) < maxCandidates:
		s.rules[rule] = append(slots, len(s.st.candidates))
		s.st.candidates = append(s.st.candidates, at)
	case len(slots) == 2:
		s.st.candidates[slots[1]] = at
	}
}

// cutOff makes a line of what has come without a newline.
func (s *logScan) cutOff() {
	if len(s.partial) > 0 || s.shown != "" {
		s.endLine()
	}
}

// state is a copy of what is known so far.
func (s *logScan) state() logState {
	st := s.st
	st.candidates = slices.Clone(st.candidates)
	return st
}

// lastLines are the last lines, oldest first.
func (s *logScan) lastLines() []rundir.LogLine {
	return slices.Concat(s.tail[s.tailAt:], s.tail[:s.tailAt])
}

// explaining are the lines that may explain the end, in the order of the log: the
// first error, those of failure classes, and the very last one.
func (s *logScan) explaining() []blame.Line {
	s.cutOff()
	var out []blame.Line
	seen := map[int]bool{}
	add := func(k keptLine) {
		if !seen[k.Number] {
			seen[k.Number] = true
			first := s.st.first != nil && s.st.first.Number == k.Number
			out = append(out, blame.Line{Role: s.role, File: k.File, Number: k.Number, Text: k.Text, First: first, Behind: s.changes - k.change})
		}
	}
	if s.st.first != nil {
		add(*s.st.first)
	}
	for _, k := range s.st.candidates {
		add(k)
	}
	tail := s.lastLines()
	for i, at := range tail {
		if _, ok := s.look.classes.Match(at.Text); ok || blame.PeerLine(at.Text) || i == len(tail)-1 {
			add(keptLine{at, s.changes})
		}
	}
	blame.SortLines(out)
	return out
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
