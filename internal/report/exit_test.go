package report

import (
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var allOutcomes = []rundir.Outcome{
	"", "no-such-word", rundir.OutcomePassed, rundir.OutcomeTestFailed, rundir.OutcomeInfra,
	rundir.OutcomeCancelled, rundir.OutcomeLost,
	"timeout:queue", "timeout:setup", "timeout:ready", "timeout:benchmark", "timeout:drain", "timeout:collect",
}

var allWords = []verdict.Word{
	verdict.Pass, verdict.Improvement, verdict.Regression, verdict.Inconclusive, verdict.Collecting,
	verdict.NoBaseline, verdict.BaselineUnavailable, verdict.Invalid, "no-such-word",
}

// wordSets is every set of up to two words, and none.
func wordSets() [][]verdict.Word {
	sets := [][]verdict.Word{nil}
	for i, a := range allWords {
		sets = append(sets, []verdict.Word{a})
		for _, b := range allWords[i+1:] {
			sets = append(sets, []verdict.Word{a, b}, []verdict.Word{b, a})
		}
	}
	return sets
}

// TestCaseExitProduct states the rules of the exit-code table as properties and
// checks them over the full product of the inputs.
func TestCaseExitProduct(t *testing.T) {
	t.Parallel()
	n := 0
	for _, o := range allOutcomes {
		for _, words := range wordSets() {
			for bits := range 2048 {
				bit := func(i int) bool { return bits>>i&1 == 1 }
				c := CaseEnd{Listed: bit(0), Known: bit(1), Failed: bit(2), Judged: bit(3), Skipped: bit(4), Measured: bit(9), Repeated: bit(10), Outcome: o, Words: words}
				if bit(5) {
					c.Interrupted = int(syscall.SIGTERM)
				}
				p := ExitPolicy{AllowCollecting: bit(6), AllowNoBaseline: bit(7), AllowSkipped: bit(8)}
				code, word := caseExit(c, p)
				requireCaseRules(t, c, p, code, word)
				n++
			}
		}
	}
	require.Greater(t, n, 2_000_000)
}

func requireCaseRules(t *testing.T, c CaseEnd, p ExitPolicy, code int, word string) {
	t.Helper()
	want, said := expected(c, p)
	if code != want || word != said { // require is slow, and this is called very often
		require.Fail(t, "wrong exit", "case %+v policy %+v: %d %s, want %d %s", c, p, code, word, want, said)
	}
}

// expected states the rules once more, in another order.
func expected(c CaseEnd, p ExitPolicy) (int, string) {
	testFailed := c.Failed || c.Outcome == rundir.OutcomeTestFailed || c.Outcome == "timeout:ready" ||
		c.Outcome == "timeout:benchmark" || c.Outcome == "timeout:drain"
	judgedRed := c.Measured && (c.Judged || len(c.Words) > 0) && !green(c.Words, p)
	switch {
	case c.Listed:
		return exit.Passed, "skipped"
	case testFailed && c.Known && slices.Contains(c.Words, verdict.Regression):
		return exit.Regression, "regression"
	case testFailed && c.Known:
		return exit.Passed, "known_failure"
	case testFailed:
		return exit.TestFailed, "test_failed"
	case c.Outcome != rundir.OutcomePassed && c.Interrupted != 0 && (c.Outcome == "" || c.Outcome == rundir.OutcomeCancelled):
		return 143, "interrupted"
	case c.Outcome != rundir.OutcomePassed:
		return exit.Infra, "infra" // known failures included
	case c.Skipped && !judgedRed && p.AllowSkipped && !c.Repeated:
		return exit.Passed, "skipped"
	case c.Skipped && !judgedRed:
		return exit.NoVerdict, "skipped"
	case !c.Judged && len(c.Words) == 0:
		return exit.Passed, "passed"
	case slices.Contains(c.Words, verdict.Regression):
		return exit.Regression, "regression" // of a known failure, too
	}
	if green(c.Words, p) {
		return exit.Passed, "passed"
	}
	return exit.NoVerdict, "no_verdict"
}

func green(words []verdict.Word, p ExitPolicy) bool {
	ok := len(words) > 0
	for _, w := range words {
		ok = ok && (w == verdict.Pass || w == verdict.Improvement ||
			w == verdict.Collecting && p.AllowCollecting || w == verdict.NoBaseline && p.AllowNoBaseline)
	}
	return ok
}

func TestExitCodeOrder(t *testing.T) {
	t.Parallel()
	order := []int{exit.Usage, exit.TestFailed, exit.Infra, exit.Regression, exit.NoVerdict, exit.Passed}
	for i, a := range order {
		for j, b := range order {
			for bits := range 8 {
				r := RunEnd{Cases: []int{a, b}, Idle: bits&1 > 0, NotStored: bits&2 > 0, Unwritten: bits&4 > 0}
				want := min(i, j)
				if r.Idle || r.NotStored {
					want = min(want, 4)
				}
				if r.Unwritten {
					want = min(want, 2)
				}
				require.Equal(t, order[want], ExitCode(r), "%+v", r)
				for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
					r.Interrupted = int(sig)
					require.Equal(t, exit.Signal+int(sig), ExitCode(r))
				}
			}
		}
	}
	require.Equal(t, exit.NoVerdict, ExitCode(RunEnd{}), "a run without a case proves nothing")
}

// A colour says no more than the exit code.
func TestColours(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{0: Green, 1: Red, 2: Red, 3: Red, 4: Red, 5: Amber, 129: Red, 130: Red, 143: Red} {
		require.Equal(t, want, ColourOf(code), code)
	}
}

func TestWorstOutcomeIsATestFailure(t *testing.T) {
	t.Parallel()
	worst := func(outcomes ...rundir.Outcome) rundir.Outcome {
		var all []results.Ended
		for _, o := range outcomes {
			all = append(all, results.Ended{Attempt: results.Attempt{Counts: true}, Outcome: o})
		}
		return deciding(all).Outcome
	}
	for _, o := range allOutcomes {
		require.Equal(t, rundir.OutcomeTestFailed, worst(o, rundir.OutcomeTestFailed))
		require.Equal(t, rundir.OutcomeTestFailed, worst(rundir.OutcomeTestFailed, o))
		if o != rundir.OutcomePassed {
			require.Equal(t, o, worst(rundir.OutcomePassed, o, rundir.OutcomePassed), "a failed repetition is not hidden by one that passed")
		}
	}
}
