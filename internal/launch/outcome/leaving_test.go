package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A job whose processes nobody can end stays in COMPLETING until an administrator sees to its node. sacct knows how it
// ended long before.
func TestStuckInCompleting(t *testing.T) {
	t.Parallel()
	leaving := func(now time.Duration) fact { return queue(now, 10*m, slurm.Completing, "") }
	silent := agentIn(9*m, rundir.PhaseBenchmark)
	for name, tc := range map[string]struct {
		f Facts
		w want
	}{
		"not for long":          {facts(11*m, leaving(11*m), silent), want{}},
		"sacct is asked":        {facts(13*m, leaving(13*m), silent), want{ask: AskControl | AskAccounting}},
		"slurmctld alone":       {facts(13*m, leaving(13*m), silent, acctOff), want{ask: AskControl}},
		"what it said before":   {facts(13*m, leaving(13*m), silent, acct(9*m, 8*m, "FAILED", "1:0")), want{ask: AskControl | AskAccounting}},
		"what ctld said before": {facts(13*m, leaving(13*m), silent, control(m, slurm.Pending, "0:0")), want{ask: AskControl | AskAccounting}},
		"it goes on":            {facts(13*m, leaving(13*m), silent, acct(13*m, 0, "RUNNING", "0:0"), control(13*m, slurm.Completing, "0:0")), want{ask: AskControl | AskAccounting}},
		"its agent lives":       {facts(13*m, leaving(13*m), agentIn(13*m-s, rundir.PhaseDrain), acct(13*m, 10*m, "CANCELLED by 9", "0:0")), want{}},
		"its record may be late": {
			facts(13*m, leaving(13*m), silent, acct(13*m, 10*m, "TIMEOUT", "0:0")), want{},
		},
		"time limit": {
			facts(14*m, leaving(14*m), silent, acct(13*m, 10*m, "TIMEOUT", "0:0")),
			want{done: true, outcome: "timeout:benchmark", kind: KindTimeLimit, conf: "sacct+squeue"},
		},
		"cancelled by others": {
			facts(13*m, leaving(13*m), silent, acct(13*m, 10*m, "CANCELLED by 9", "0:0"), down()),
			want{done: true, outcome: "cancelled", kind: KindCancelled, reason: "uid 9", conf: "sacct+squeue"},
		},
		"cancelled by us": {
			facts(13*m, leaving(13*m), silent, acct(13*m, 10*m, "CANCELLED by 0", "0:0"), weCancelled("", "--fail-fast")),
			want{done: true, outcome: "cancelled", kind: KindCancelled, reason: "--fail-fast", conf: "sacct+squeue"},
		},
		"cancelled by us, no accounting": {
			facts(13*m, leaving(13*m), silent, acctOff, control(13*m, slurm.Completing, "0:0"), weCancelled("", "--fail-fast")),
			want{done: true, outcome: "cancelled", kind: KindCancelled, reason: "--fail-fast", conf: "squeue"},
		},
		"nobody says how it ended": {
			facts(42*m, leaving(42*m), silent, acctOff, control(42*m, slurm.Completing, "0:0")),
			want{done: true, outcome: "lost", kind: KindLost, reason: "has been COMPLETING for 32m", conf: "squeue"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Resolve(tc.f)
			require.Equal(t, tc.w.done, r.Done, "%+v", r)
			require.Equal(t, tc.w.ask, r.Ask)
			require.Equal(t, tc.w.outcome, r.Outcome, r.Reason)
			require.Contains(t, r.Reason, tc.w.reason)
			require.Empty(t, r.Cancel)
			if tc.w.done {
				require.Equal(t, tc.w.conf, r.Confidence)
				require.Equal(t, tc.w.kind, r.Finding.Kind)
			}
		})
	}
}

// For a moment accounting lists only the nodes that a job on its way out still holds; the one whose prolog failed is
// none.
func TestNodesOfAJobOnItsWayOut(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]string{"all": "n[0-1]", "what is left": "n0", "none": ""} {
		f := facts(2*m, queue(2*m, m, slurm.Cancelled, ""), acct(2*m, m, "CANCELLED by 0", "0:0"))
		f.Queue.Row.NodeList, f.Acct.Row.NodeList = "n[0-1]", row
		require.Equal(t, []string{"n0", "n1"}, Resolve(f).Nodes, name)
	}
}
