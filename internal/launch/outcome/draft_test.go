package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A draft cancels its own job in order to clean up. Anybody else is named as such.
func TestWhoCancelledADraft(t *testing.T) {
	t.Parallel()
	const end = 10 * time.Minute
	for name, tc := range map[string]struct {
		by, user string
		asked    bool
		draft    bool
		rule     string
	}{
		"its own user":      {by: "1000", user: "1000", draft: true, rule: blame.RuleOwnUser},
		"nobody knows":      {draft: true, rule: blame.RuleOwnUser},
		"somebody else":     {by: "0", user: "1000", draft: true, rule: "job-state"},
		"no user is known":  {by: "1000", draft: true, rule: "job-state"},
		"the driver asked":  {by: "1000", user: "1000", draft: true, asked: true, rule: "job-state"},
		"there is no draft": {by: "1000", user: "1000", rule: "job-state"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := "CANCELLED"
			if tc.by != "" {
				state += " by " + tc.by
			}
			f := facts(end, queue(end, end, slurm.Cancelled, ""), acct(end, end, state, "0:0"), trouble())
			f.Acct.Row.User, f.Draft = tc.user, tc.draft
			if tc.asked {
				f.Job.Cancel = &rundir.Cancel{Outcome: rundir.OutcomeCancelled, Reason: "as asked", At: at(end)}
			}
			if !tc.draft {
				f.Now = at(end + time.Hour) // an agent's record may come late
			}
			r := Resolve(f)
			require.Equal(t, rundir.OutcomeCancelled, r.Outcome)
			require.Equal(t, []string{KindCancelled, tc.rule}, []string{r.Finding.Kind, r.Finding.Rule})
		})
	}
}

// Without accounting only slurmctld tells a draft's exit code, whatever it said before the end; by its name, COMPLETED
// is 0.
func TestDraftWithoutAccounting(t *testing.T) {
	t.Parallel()
	over := queue(10*m, 10*m, slurm.Completed, "")
	r := Resolve(facts(10*m+s, over, acctOff, room(4, 16), draft))
	require.False(t, r.Done)
	require.Equal(t, AskControl, r.Ask, "it was asked while the job waited")
	r = Resolve(facts(10*m+11*s, over, acctOff, room(4, 16), draft))
	require.Equal(t, rundir.OutcomePassed, r.Outcome, "it does not answer: %s", r.Reason)
}
