package drive

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A failure that is known ends no other case, and one that only the result files show does.
func TestFailFastGoesByTheCase(t *testing.T) {
	t.Parallel()
	passed, failed := rundir.OutcomePassed, rundir.OutcomeTestFailed
	for _, tt := range []struct {
		attempt, stands rundir.Outcome
		ends            bool
	}{{failed, passed, false}, {passed, failed, true}, {failed, "", true}, {passed, "", false}} {
		p := newPlayer(t, 2, func(o *Options) { o.FailFast, o.MaxJobs = true, 1 })
		p.feed(event{kind: evBegin, at: after(0), found: make([]found, 2)})
		p.s.cases[0].stage = stageDeciding
		p.feed(event{kind: evDecided, at: after(1), of: p.s.cases[0].key(0), outcome: rundir.AttemptOutcome{Outcome: tt.attempt}, decision: retry.Decision{Action: retry.Done, Stands: tt.stands}})
		require.Equal(t, tt.ends, p.s.mode == modeEnd, tt)
	}
}
