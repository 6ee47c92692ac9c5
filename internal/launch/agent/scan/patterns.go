package scan

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// Patterns are what to look for in logs.
type Patterns struct {
	classes   blame.Classes
	err       blame.Classes // one pattern: its quick look comes with it
	harmless  *regexp.Regexp
	exception *regexp.Regexp
	foreign   *regexp.Regexp // an exception of a module, whatever its name
	after     *regexp.Regexp // an exception that only follows an end; its group: that may follow anything
	bar       *regexp.Regexp
	colour    *regexp.Regexp
	launcher  launcherMessages
}

// errorPattern matches lines that look like errors; our own scripts say nothing else.
const errorPattern = `^ci-disagg: |\b(?:ERROR|FATAL|CRITICAL|PANIC)\b|\b[A-Z]\w*(?:Error|Exception)\b:|^E   +\S*(?:Error|Exception|assert|Failed)|` +
	`(?i:\berror:|\bfatal:|^panic:|segmentation fault|core dumped|out of memory|\boom.kill|terminate called|assert\w* .{0,80}failed|` +
	`cannot allocate|no space left|permission denied|command not found|no such file or directory|^killed$|^aborted|address already in use|stale file handle)`

// isError reports whether a line looks like an error and not like the word itself in a
// harmless place ("0 errors").
func (o *Patterns) isError(line string) bool {
	_, ok := o.err.Match(line)
	return ok && !o.harmless.MatchString(line)
}

// raises reports whether Python ends a traceback with a line: by the suffix of an exception's name, or its module.
func (o *Patterns) raises(line string) bool {
	return o.exception.MatchString(line) || o.foreign.MatchString(line)
}

// endedBefore reports whether line, the exception of a traceback, only follows an end that the traceback before tells
// of, so many lines ago. A fault of the infrastructure long before was survived, and so was one before a peer went, or
// before a program decided to end.
func (o *Patterns) endedBefore(line string, before []Kept, ago int) bool {
	m := o.after.FindStringSubmatch(line)
	if m == nil || len(before) == 0 {
		return false
	}
	return m[1] == "" && ago <= ending || !slices.ContainsFunc(before, func(k Kept) bool {
		r, ok := o.classes.Match(k.Text)
		return ok && r.Class == blame.Infra
	})
}

// plain is a line without its colours.
func (o *Patterns) plain(line string) string {
	if strings.IndexByte(line, '\x1b') < 0 {
		return line
	}
	return o.colour.ReplaceAllString(line, "")
}

// NewPatterns are the patterns that every log is searched for, beside the failure classes.
func NewPatterns(classes blame.Classes) *Patterns {
	err, compileErr := blame.Compile([]blame.Rule{{Name: "error", Class: blame.Test, Pattern: errorPattern}})
	if compileErr != nil {
		panic(compileErr) // a constant of this file
	}
	return &Patterns{
		classes: classes,
		err:     err,
		// An exception as Python ends a traceback with it, at the start of the
		// line or after a rank or pytest prefix.
		exception: regexp.MustCompile(`^(?:\S{0,40}[:|\]]\s*|E\s+)?(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Failure|Timeout)\b`),
		foreign:   regexp.MustCompile(`^(?:\S{0,40}[:|\]]\s?|E\s+)?(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*(?:: |$)`),
		after:     regexp.MustCompile(`^(?:\S{0,40}[:|\]]\s*)?(?:[A-Za-z_]\w*\.)*(?:CancelledError|KeyboardInterrupt|(BrokenPipeError|ChildFailedError|SystemExit))\b`),
		// The progress bar at the beginning of a line, as tqdm draws it.
		bar: regexp.MustCompile(`^[^|]{0,120}\d{1,3}%\|[^|]{0,250}\|(?: *[\d.]+\w?/[\d.]+\w?)?(?: *\[[^\]]{0,120}\])?`),
		// What Python 3.13 and many loggers colour with where a terminal is pretended to.
		colour:   regexp.MustCompile("\x1b\\[[0-9;]*m"),
		harmless: regexp.MustCompile(`(?i)\b(?:no|0|without)\s+(?:\w+\s+)?errors?\b|errors?\s*[:=]\s*(?:0|none|null|false)\b`),
		launcher: newLauncherMessages(),
	}
}
