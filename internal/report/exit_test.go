package report

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

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
	bools := []bool{false, true}
	n := 0
	for _, o := range allOutcomes {
		for _, words := range wordSets() {
			for bits := range 64 {
				bit := func(i int) bool { return bools[bits>>i&1] }
				c := CaseEnd{Skipped: bit(0), Known: bit(1), Failed: bit(2), Judged: bit(3), Outcome: o, Words: words}
				p := ExitPolicy{AllowCollecting: bit(4), AllowNoBaseline: bit(5)}
				requireCaseRules(t, c, p, CaseExit(c, p))
				n++
			}
		}
	}
	require.Greater(t, n, 60_000)
}

func requireCaseRules(t *testing.T, c CaseEnd, p ExitPolicy, code int) {
	t.Helper()
	contains := func(w verdict.Word) bool {
		for _, x := range c.Words {
			if x == w {
				return true
			}
		}
		return false
	}
	testFailed := c.Failed || c.Outcome == rundir.OutcomeTestFailed || c.Outcome == "timeout:ready" ||
		c.Outcome == "timeout:benchmark" || c.Outcome == "timeout:drain"
	ended := c.Outcome == rundir.OutcomePassed
	msg := []any{"case %+v policy %+v", c, p}
	switch {
	case c.Skipped:
		require.Equal(t, ExitPassed, code, msg...)
	case testFailed && c.Known:
		require.Equal(t, ExitPassed, code, msg...)
	case testFailed:
		require.Equal(t, ExitTestFailed, code, msg...)
	case !ended:
		require.Equal(t, ExitInfra, code, msg...)
	case !c.Judged && len(c.Words) == 0 || c.Known:
		require.Equal(t, ExitPassed, code, msg...)
	case contains(verdict.Regression):
		require.Equal(t, ExitRegression, code, msg...)
	default:
		green := len(c.Words) > 0
		for _, w := range c.Words {
			green = green && (w == verdict.Pass || w == verdict.Improvement ||
				w == verdict.Collecting && p.AllowCollecting || w == verdict.NoBaseline && p.AllowNoBaseline)
		}
		want := ExitNoVerdict
		if green {
			want = ExitPassed
		}
		require.Equal(t, want, code, msg...)
	}
}

func TestExitCodeOrder(t *testing.T) {
	t.Parallel()
	order := []int{ExitUsage, ExitTestFailed, ExitInfra, ExitRegression, ExitNoVerdict, ExitPassed}
	for i, a := range order {
		for j, b := range order {
			want := order[min(i, j)]
			require.Equal(t, want, ExitCode([]int{a, b}, 0))
			for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
				require.Equal(t, 128+int(sig), ExitCode([]int{a, b}, sig))
			}
		}
	}
	require.Equal(t, ExitNoVerdict, ExitCode(nil, 0), "a run without a case proves nothing")
}

func TestWorstOutcomeIsATestFailure(t *testing.T) {
	t.Parallel()
	for _, o := range allOutcomes {
		require.Equal(t, rundir.OutcomeTestFailed, worstOutcome(o, rundir.OutcomeTestFailed))
		require.Equal(t, rundir.OutcomeTestFailed, worstOutcome(rundir.OutcomeTestFailed, o))
		if o != rundir.OutcomePassed {
			require.Equal(t, o, worstOutcome(rundir.OutcomePassed, o), "a failed repetition is not hidden by one that passed")
		}
	}
}
