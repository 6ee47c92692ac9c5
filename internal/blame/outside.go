package blame

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The rules of what nobody of us has ended.
const (
	killedFromOutside = "killed-from-outside"    // a SIGKILL
	endedFromOutside  = "signalled-from-outside" // a step, whatever the signal
)

// pytestInterrupted is the exit code of a pytest that got a SIGINT.
const pytestInterrupted = 2

// goneWith reports whether a role was told to end because of the root, or its step was ended by whoever ended the
// root's.
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
		aborted := slices.ContainsFunc(c.lines[e.Role], func(l Line) bool { return MPIAbort(l.Text) })
		out[i].Outside = (e.Outside && !aborted || together) && !c.hasTestFailure(e.Role)
	}
	return out
}

// interruption reports whether a line is Python's exception for a SIGINT.
func interruption(line string) bool {
	return strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(line, "E "), " !"), "KeyboardInterrupt")
}

// MPIAbort reports whether a program of MPI says that it ends all of its processes. Slurm's plugins for PMIx and PMI2
// then cancel the step, as somebody else would.
func MPIAbort(line string) bool {
	return (strings.Contains(line, "MPI_") || strings.Contains(line, "Abort(")) && !Quoted(line) && mpiAbort().MatchString(line)
}

//nolint:gochecknoglobals // compiled once, immutable
var mpiAbort = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\bMPI_ABORT was invoked on rank|\bMPI_ERRORS_ARE_FATAL\b|\bcalled MPI_Abort\(|\bAbort\(-?\d+\) on node \d+`)
})

// lastWords reports whether a line is an exception in the log of a server whose role
// was killed from outside: it ended of nothing that it caught itself, and a server that
// is left alone or told to end prints such things on its way out, but no mistake of its program. So does who is
// interrupted. A test that missed its killed server complains of that, if it does not say what it has found wrong.
func lastWords(classes Classes, e Event, r Rule, l *Line) bool {
	if l == nil || r.Kind != "test.exception" {
		return false
	}
	killed := (e.Kind == RoleEnd || e.Kind == ServerGone) && normal(e).Signal == 9 && !e.Forced && e.Inside == ""
	switch {
	case l.Server:
		_, cause := decides(classes, *l)
		return killed || e.Outside && !cause
	case killed && e.Kind == ServerGone:
		return !OwnWords(l.Text)
	}
	return e.Outside && interruption(l.Text)
}

// waitedInVain reports by its lines whether a role's test failed because its server was not ready in time. It may well
// have killed it then.
func waitedInVain(lines []Line) bool {
	return slices.ContainsFunc(lines, func(l Line) bool {
		return l.Died && !l.Server && notReadyWords().MatchString(l.Text)
	})
}

//nolint:gochecknoglobals // compiled once, immutable
var notReadyWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\bTimeoutExpired\b|\bFailed: Timeout\b|(?:\bnot|\bnever|n't)\b.{0,40}\bready\b|\b(?:ready|start\w*|up)\b.{0,40} (?:within|after|in) \d|` +
		`\b(?:wait\w*|start\w*|ready)\b.{0,60}\btime[ds]?[ -]?out|\btime[ds]?[ -]?out\b.{0,60}\b(?:wait\w*|start\w*|ready)\b`)
})
