package blame

import (
	"fmt"
	"slices"
	"strings"
)

// closeTo reports whether a failure that only says that somebody else has gone can be of the root's.
func closeTo(e, root Event, near bool) bool {
	return near || !e.At.IsZero() && root.At.Sub(e.At) <= secondHand
}

// peerWords tell a failure by the line in which its role says that the root has gone.
func peerWords(e, root Event, line string) string {
	if root.Kind == NodeLost || root.Kind == Unkillable {
		return fmt.Sprintf("%s: %s", what(e), line)
	}
	return fmt.Sprintf("%s %s: %s", what(e), offset(e, root), line)
}

func offset(e, root Event) string {
	d := e.At.Sub(root.At)
	if d < 0 {
		return fmt.Sprintf("%.1f s before %s's end was seen", -d.Seconds(), root.Role)
	}
	return fmt.Sprintf("%.1f s after %s", d.Seconds(), root.Role)
}

// together reports whether two missed one deadline, or are silent alike.
func together(a, b Event) bool { return a.Kind == b.Kind && (a.Kind == NotReady || a.Kind == Hang) }

// likewise names those of the further roots that missed the root's deadline or are silent as it is.
func likewise(roots []string, fatal []Event, root Event) string {
	alike := slices.DeleteFunc(slices.Clone(roots), func(role string) bool {
		return !slices.ContainsFunc(fatal, func(e Event) bool { return e.Role == role && together(e, root) })
	})
	if len(alike) == 0 {
		return ""
	}
	return "; likewise " + strings.Join(alike, ", ")
}
