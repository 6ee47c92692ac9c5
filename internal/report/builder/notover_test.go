package builder

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What is still open in a run is no failure of the infrastructure, and no pass. How its agent says that an attempt
// failed counts before anybody has closed it.
func TestWhatIsStillOpen(t *testing.T) {
	t.Parallel()
	passed := attemptSpec{outcome: rundir.OutcomePassed, tput: 1000}
	failed := attemptSpec{outcome: rundir.OutcomeTestFailed, exit: 1, finding: &rundir.Finding{Root: "GEN_0", Kind: "crash", Class: string(blame.Test), Message: "[GEN_0] exit 1"}}
	for name, tt := range map[string]struct {
		state    string
		attempts []attemptSpec
		open     bool // nobody has closed the last attempt
		known    bool
		exit     int
		result   string
		headline string
	}{
		"it waits":                       {state: rundir.CaseWaiting, exit: 3, result: "interrupted", headline: "1 case: 1 not begun"},
		"its job goes on":                {state: rundir.CaseRunning, attempts: []attemptSpec{{}}, open: true, exit: 3, result: "interrupted", headline: "1 case: 1 not finished"},
		"a retry is to come":             {state: rundir.CaseRunning, attempts: []attemptSpec{{outcome: rundir.OutcomeLost}}, exit: 3, result: "interrupted", headline: "1 case: 1 not finished"},
		"a repetition is to come":        {state: rundir.CaseRunning, attempts: []attemptSpec{passed}, exit: 3, result: "interrupted", headline: "1 case: 1 not finished"},
		"the agent alone says passed":    {state: rundir.CaseRunning, attempts: []attemptSpec{passed}, open: true, exit: 3, result: "interrupted", headline: "1 case: 1 not finished"},
		"the agent alone says failed":    {state: rundir.CaseRunning, attempts: []attemptSpec{failed}, open: true, exit: 1, result: "test_failed", headline: "1 case: 1 failed"},
		"it says so, which is known":     {state: rundir.CaseRunning, attempts: []attemptSpec{failed}, open: true, known: true, exit: 3, result: "interrupted", headline: "1 case: 1 not finished"},
		"the test failed, and is closed": {state: rundir.CaseRunning, attempts: []attemptSpec{failed}, exit: 1, result: "test_failed", headline: "1 case: 1 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := runDir(t, func(p *rundir.Plan) {
				if tt.known {
					p.Case.KnownBug = "nvbugs/2"
				}
			}, tt.attempts...)
			edit(t, dir, func(r *rundir.Run) {
				r.Cases[0].State = tt.state
				if tt.open {
					r.Cases[0].Attempts[0].Outcome = ""
				}
			})
			if tt.open {
				attempt := dir.CaseDir("tiny").Attempt(0, 1)
				require.NoError(t, os.Remove(attempt.OutcomeFile()))
				if tt.attempts[0].outcome == "" {
					var a rundir.AgentRecord
					require.NoError(t, rundir.ReadJSON(attempt.AgentFile(), &a))
					a.End = nil
					require.NoError(t, rundir.WriteJSON(attempt.AgentFile(), a))
				}
			}
			d := build(t, builder(t, 10), dir, 0).Document
			require.Equal(t, tt.headline, d.Headline)
			require.Equal(t, []any{tt.exit, tt.result, tt.result}, []any{d.ExitCode, d.Result, d.Cases[0].Result})
			if d.ExitCode == exit.Infra {
				require.Contains(t, d.Next, "ci-disagg resume ")
				require.Contains(t, d.Fault, "not over")
			}
		})
	}
}
