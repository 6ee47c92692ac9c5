package blame_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestJobOverrules(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ended := func(before time.Duration) *time.Time { at := end.Add(-before); return &at }
	timeout := rundir.TimeoutOf(rundir.PhaseReady)
	for _, tt := range []struct {
		name string
		job  blame.JobEnd
		said blame.Blamed
		want bool
	}{
		{"the role died with its job", blame.JobEnd{State: "NODE_FAIL", At: end}, blame.Blamed{Outcome: rundir.OutcomeTestFailed, Ended: ended(time.Second)}, true},
		{"the role died within the skew", blame.JobEnd{State: "TIMEOUT", At: end}, blame.Blamed{Outcome: rundir.OutcomeTestFailed, Ended: ended(blame.ClockSkew)}, true},
		{"the role died long before", blame.JobEnd{State: "TIMEOUT", At: end}, blame.Blamed{Outcome: rundir.OutcomeTestFailed, Ended: ended(time.Minute)}, false},
		{"nobody is blamed", blame.JobEnd{State: "TIMEOUT", At: end}, blame.Blamed{Outcome: rundir.OutcomeTestFailed}, false},
		{"Slurm knows no time", blame.JobEnd{State: "TIMEOUT"}, blame.Blamed{Outcome: rundir.OutcomeTestFailed, Ended: ended(0)}, false},
		{"the job failed as the agent did", blame.JobEnd{State: "FAILED", At: end}, blame.Blamed{Outcome: rundir.OutcomeTestFailed, Ended: ended(0)}, false},
		{"the job is over in order", blame.JobEnd{State: "COMPLETED", At: end}, blame.Blamed{Outcome: rundir.OutcomeTestFailed, Ended: ended(0)}, false},
		{"the agent saw infrastructure", blame.JobEnd{State: "NODE_FAIL", At: end}, blame.Blamed{Outcome: rundir.OutcomeInfra, Ended: ended(0)}, false},
		{"the agent was cancelled", blame.JobEnd{State: "CANCELLED", At: end}, blame.Blamed{Outcome: rundir.OutcomeCancelled, Ended: ended(0)}, false},
		{"the agent saw no more than the signal of a node's end", blame.JobEnd{State: "NODE_FAIL", At: end}, blame.Blamed{Outcome: rundir.OutcomeCancelled}, true},
		{"the signal was asked for", blame.JobEnd{State: "NODE_FAIL", At: end}, blame.Blamed{Outcome: rundir.OutcomeCancelled, Asked: true}, false},
		{"the agent saw a deadline", blame.JobEnd{State: "TIMEOUT", At: end}, blame.Blamed{Outcome: timeout, Ended: ended(0)}, false},
		{"the role was the one out of memory", blame.JobEnd{State: "OUT_OF_MEMORY", At: end}, blame.Blamed{Outcome: rundir.OutcomeTestFailed, Ended: ended(0), OOM: true}, false},
		{"the job was out of memory first", blame.JobEnd{State: "OUT_OF_MEMORY", At: end}, blame.Blamed{Outcome: rundir.OutcomeInfra, Ended: ended(0)}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, blame.JobOverrules(tt.job, tt.said))
		})
	}
}
