package outcome

import (
	"errors"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Record is the last word on an attempt, as it is written down: r is done. What no
// source has dated is dated at.
func Record(r Resolution, j rundir.Job, agent *rundir.AgentRecord, at time.Time) rundir.AttemptOutcome {
	o := rundir.AttemptOutcome{
		Schema: rundir.Schema, Outcome: r.Outcome, Phase: r.Phase, Confidence: r.Confidence, Reason: r.Reason, Finding: r.Finding,
		JobID: j.ID, State: string(r.State), ExitCode: r.Exit, Nodes: r.Nodes, Queued: r.Queued, Started: r.Started, Ended: r.Ended,
		Suspended: rundir.Duration(r.Suspended),
	}
	if o.Ended.IsZero() {
		o.Ended = at
	}
	if o.Queued == nil {
		o.Queued = j.Submitted
	}
	if agent != nil {
		o.Switches = agent.Switches
	}
	if agent != nil && o.Started == nil {
		o.Started = &agent.Started
	}
	return o
}

// Planted is how an attempt ended whose records err says something else stands in the place of. Any other error changes
// nothing.
func Planted(o rundir.AttemptOutcome, err error) rundir.AttemptOutcome {
	var node *rundir.NodeError
	if !errors.As(err, &node) {
		return o
	}
	if f := blame.Planted(o.Outcome, node.Error()); f != nil {
		o.Outcome, o.Reason, o.Finding = rundir.OutcomeTestFailed, f.Message, f
	}
	return o
}
