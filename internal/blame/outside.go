package blame

import (
	"slices"
	"strings"
)

// The rules of what nobody of us has ended.
const (
	killedFromOutside = "killed-from-outside"    // a SIGKILL
	endedFromOutside  = "signalled-from-outside" // a step, whatever the signal
)

// pytestInterrupted is the exit code of a pytest that got a SIGINT.
const pytestInterrupted = 2

// goneWith reports whether a role was told to end because of the root, or its step was ended by whoever ended the root's.
func goneWith(e, end, root Event) bool { return end.ByUs || e.Outside && root.Outside }

// interrupted are the events, with the ends marked of those who were interrupted together: a pytest or the client, and
// another role within the skew. Slurm says nothing of a SIGINT that somebody sends to a job's steps. A server may raise
// one in itself, so servers alone prove nothing, nor does a single role, nor who has a test that failed.
func interrupted(c *analysis) []Event {
	alone := func(e Event) bool {
		if e.Kind != RoleEnd || e.ByUs || e.Forced || e.OOM || !e.Stopped.IsZero() {
			return false
		}
		said := slices.ContainsFunc(c.lines[e.Role], func(l Line) bool { return interruption(l.Text) })
		return slices.Contains([]int{1, 2, 15}, normal(e).Signal) || e.Exit == pytestInterrupted && (said || e.Interrupted)
	}
	proves := func(e Event) bool { return e.Exit == pytestInterrupted || c.isClient(e.Role) }
	out := slices.Clone(c.ev.Events)
	for i, e := range out {
		together := alone(e) && slices.ContainsFunc(c.ev.Events, func(o Event) bool {
			return o.Role != e.Role && alone(o) && (proves(e) || proves(o)) && e.At.Sub(o.At).Abs() <= c.ev.Skew
		})
		out[i].Outside = (e.Outside || together) && !c.hasTestFailure(e.Role)
	}
	return out
}

// interruption reports whether a line is Python's exception for a SIGINT.
func interruption(line string) bool {
	return strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(line, "E "), " !"), "KeyboardInterrupt")
}

// lastWords reports whether a line is an exception in the log of a server whose role
// was killed from outside: it ended of nothing that it caught itself, and a server that
// is left alone or told to end prints such things on its way out. So does who is interrupted.
// A test that missed its killed server complains of that.
func lastWords(e Event, r Rule, l *Line) bool {
	killed := (e.Kind == RoleEnd || e.Kind == ServerGone) && normal(e).Signal == 9 && !e.Forced && e.Inside == ""
	if l == nil || r.Kind != "test.exception" {
		return false
	}
	return (killed || e.Outside) && l.Server || killed && e.Kind == ServerGone || e.Outside && interruption(l.Text)
}
