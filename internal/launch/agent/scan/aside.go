package scan

import (
	"regexp"
	"strings"
	"sync"
)

// aside follows what Python tells of exceptions that end nothing: of an object that is being deleted, of a callback of
// the interpreter's end, of a message that could not be logged. A server that has died of something else tells of each
// of its connections so, behind the traceback that says why:
//
//	Exception ignored in: <coroutine object connection at 0x7f07eed195a0>
//	Traceback (most recent call last):
//	  ...
//	RuntimeError: Event loop is closed
type aside struct {
	begun  bool   // such a traceback, or its exception alone, may come
	mark   string // what stands before it: a rank's mark
	within bool   // its exception is still to come
	room   int    // lines of loggers and bars that may still come in between
	linked bool   // another one follows, which was raised while this one was handled
	kept   []Kept // what its lines would say if nothing else did
}

// exceptionLine is how Python ends a traceback: a name, and what the exception says.
//
//nolint:gochecknoglobals // compiled once, immutable
var exceptionLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:\w+\.)*[A-Za-z_]\w*(?:: |:?$)`) })

// logLevel is what most loggers begin a line with.
//
//nolint:gochecknoglobals // compiled once, immutable
var logLevel = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL):`) })

// has takes the next line and reports whether it belongs to such a traceback.
func (a *aside) has(line string) bool {
	if mark, ok := beginsAside(line); ok {
		*a = aside{begun: true, mark: mark, room: between, kept: a.kept}
		return true
	}
	if !a.begun {
		return pendingTask(line)
	}
	text, own := strings.CutPrefix(line, a.mark)
	switch {
	case !own && a.within: // of another process, in between
		return false
	case (a.within || a.room > 0) && logLevel().MatchString(text), a.room == between && text == "": // likewise
		a.room = max(0, a.room-1)
		return false
	case strings.TrimSpace(text) == "" && !a.within:
		a.room = max(0, a.room-1)
	case strings.HasPrefix(text, "Traceback (most recent call last):") && !a.within && (a.room > 0 || a.linked):
		a.within, a.linked, a.room = true, false, between
	case a.within && strings.HasPrefix(text, " "):
		a.room = between
	case (a.within || a.room == between) && exceptionLine().MatchString(text) && !ofLauncher(text):
		a.within, a.room = false, 0
	case pendingTask(text):
		a.room = 0
	case !a.within && strings.Contains(text, "above exception"):
		a.linked, a.room = true, 0
	default:
		a.begun, a.within, a.room = false, false, 0
	}
	return a.begun
}

// ofLauncher reports whether srun or a step's daemon speaks, as they do into any line of others.
func ofLauncher(text string) bool {
	return strings.HasPrefix(text, "srun: ") || strings.HasPrefix(text, "slurmstepd: ")
}

// pendingTask reports whether a line is of what asyncio says of a task that its loop did not live to see through.
func pendingTask(line string) bool {
	return strings.Contains(line, "Task was destroyed but it is pending!") || strings.HasPrefix(line, "task: <Task pending")
}

// beginsAside reports whether a line begins one, and what stands before it. A thread that Python ends so has died.
func beginsAside(line string) (mark string, ok bool) {
	for _, words := range []string{"Exception ignored ", "Error in atexit.", "--- Logging error ---"} {
		mark, rest, found := strings.Cut(line, words)
		if found && !strings.HasPrefix(rest, "in thread") {
			return mark, true
		}
	}
	return "", false
}
