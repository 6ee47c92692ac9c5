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
	room   int    // lines left in which it may follow what announced it: loggers and bars write in between
	linked bool   // another one follows, which was raised while this one was handled
	kept   []Kept // what its lines would say if nothing else did
}

// exceptionLine is how Python ends a traceback: a name, and what the exception says.
//
//nolint:gochecknoglobals // compiled once, immutable
var exceptionLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:\w+\.)*[A-Za-z_]\w*(?::|$)`) })

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
	room, first := a.room, a.room > 0
	a.room = 0
	if !a.begun {
		return pendingTask(line)
	}
	text, own := strings.CutPrefix(line, a.mark)
	switch {
	case !own && a.within: // of another process, in between
		return false
	case strings.TrimSpace(text) == "" && (a.within || first), (a.within || first) && logLevel().MatchString(text): // likewise
		a.room = max(0, room-1)
		return false
	case strings.HasPrefix(text, "Traceback (most recent call last):") && !a.within && (first || a.linked):
		a.within, a.linked = true, false
	case a.within && strings.HasPrefix(text, " "):
	case (a.within || first) && exceptionLine().MatchString(text):
		a.within = false
	case pendingTask(text):
	case !a.within && strings.Contains(text, "above exception"):
		a.linked = true
	case strings.TrimSpace(text) == "":
	default:
		a.begun, a.within = false, false
	}
	return a.begun
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
