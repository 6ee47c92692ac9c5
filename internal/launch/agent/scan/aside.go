package scan

import (
	"regexp"
	"strings"
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
	exception *regexp.Regexp
	begun     bool   // such a traceback may come
	mark      string // what stands before it: a rank's mark
	left      int    // lines in which to find the exception that ends it
}

// has takes the next line and reports whether it belongs to such a traceback.
func (a *aside) has(line string) bool {
	for _, words := range []string{"Exception ignored ", "Error in atexit.", "--- Logging error ---"} {
		if mark, _, found := strings.Cut(line, words); found {
			a.begun, a.mark, a.left = true, mark, 0
			return true
		}
	}
	traceback := strings.Contains(line, "Traceback (most recent call last):")
	switch {
	case !a.begun:
	case traceback && a.left == 0 && strings.HasPrefix(line, a.mark+"Traceback"):
		a.left = traceDepth
	case traceback: // of another process
		a.begun, a.left = false, 0
	case a.left > 0:
		if a.left--; a.exception.MatchString(line) {
			a.left = 0 // another one may have been raised while it was handled
		}
	default:
		a.begun = strings.TrimSpace(line) == "" || strings.Contains(line, "above exception")
	}
	return a.begun
}
