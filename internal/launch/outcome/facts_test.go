package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var t0 = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return t0.Add(d) }

// fact builds Facts step by step.
type fact func(*Facts)

func facts(now time.Duration, fs ...fact) Facts {
	submitted := t0
	f := Facts{
		Now: at(now), Since: t0, Roles: []string{"GEN_0", "BENCHMARK"}, Looked: at(now),
		Job: rundir.Job{Backend: "slurm", ID: "7", Name: "cid-x", Intent: t0, Submitted: &submitted},
	}
	for _, g := range fs {
		g(&f)
	}
	return f
}

// queue: squeue answered at "when" with this state and reason, unchanged since.
func queue(when, since time.Duration, state slurm.State, reason string) fact {
	return func(f *Facts) {
		row := slurm.QueueRow{ID: "7", Name: "cid-x", State: state, Reason: reason, Submit: t0}
		if state.Class() != slurm.Waiting {
			row.Start, row.NodeList = at(time.Second), "gpu[0-1]"
		}
		f.Queue = Seen[slurm.QueueRow]{At: at(when), Row: &row}
		f.StateSince = at(since)
	}
}

// notListed: squeue answered at "when" without the job, for the first time at since.
func notListed(when, since time.Duration) fact {
	return func(f *Facts) {
		f.Queue = Seen[slurm.QueueRow]{At: at(when)}
		f.AbsentSince = at(since)
	}
}

func control(when time.Duration, state slurm.State, exit string) fact {
	return func(f *Facts) {
		j := slurm.ControlJob{ID: "7", State: state, Start: at(time.Second), NodeList: "gpu[0-1]"}
		j.Exit = exitOf(exit)
		f.Control = Seen[slurm.ControlJob]{At: at(when), Row: &j}
	}
}

func unknownToControl(when time.Duration) fact {
	return func(f *Facts) { f.Control = Seen[slurm.ControlJob]{At: at(when)} }
}

func acct(when, end time.Duration, state, exit string) fact {
	return func(f *Facts) {
		r := slurm.AcctRow{ID: "7", Name: "cid-x", Submit: t0, Start: at(time.Second), NodeList: "gpu[0-1]", Exit: exitOf(exit)}
		r.State, r.By = slurm.ParseState(state)
		if r.State.Class() == slurm.Terminal {
			r.End = at(end)
		}
		f.Acct = Seen[slurm.AcctRow]{At: at(when), Row: &r}
	}
}

func noAcctRow(when time.Duration) fact {
	return func(f *Facts) { f.Acct = Seen[slurm.AcctRow]{At: at(when)} }
}

// down: sinfo named these of the job's nodes.
func down(nodes ...string) fact {
	var all []slurm.NodeTrouble
	for _, n := range nodes {
		all = append(all, slurm.NodeTrouble{Name: n, Lost: true})
	}
	return trouble(all...)
}

// trouble: sinfo has this against the job's nodes.
func trouble(all ...slurm.NodeTrouble) fact {
	return func(f *Facts) { f.Trouble = Seen[[]slurm.NodeTrouble]{At: f.Now, Row: &all} }
}

// drained: somebody drained gpu1.
func drained(when time.Duration, by, reason string) fact {
	return trouble(slurm.NodeTrouble{Name: "gpu1", Since: at(when), By: by, Reason: reason})
}

func acctOff(f *Facts) { f.AcctOff = true }

func exitOf(s string) slurm.ExitCode {
	rows, err := slurm.ParseAcct("JobID|JobName|State|ExitCode\n7|x|FAILED|" + s + "\n")
	if err != nil {
		panic(err)
	}
	return rows[0].Exit
}

// agentIn: the agent's record is in this phase, last changed at "changed".
func agentIn(changed time.Duration, phase rundir.Phase) fact {
	return func(f *Facts) {
		f.Agent = &rundir.AgentRecord{JobID: "7", RunAccount: rundir.RunAccount{Phase: phase}, Nodes: []string{"gpu0", "gpu1"}, Started: at(time.Second)}
		f.AgentSeen, f.AgentChanged = at(changed), at(changed)
	}
}

// agentEnd: the agent's end record, written and seen at "when".
func agentEnd(when time.Duration, o rundir.Outcome, root string, rootEnded time.Duration) fact {
	return func(f *Facts) {
		ended := at(rootEnded)
		f.Agent = &rundir.AgentRecord{JobID: "7", RunAccount: rundir.RunAccount{Phase: rundir.PhaseDone}, Nodes: []string{"gpu0", "gpu1"}, Started: at(time.Second)}
		for _, n := range f.Roles {
			f.Agent.Roles = append(f.Agent.Roles, rundir.RoleRecord{Name: n, State: rundir.RoleEnded, Ended: &ended})
		}
		f.Agent.End = &rundir.AgentEnd{At: at(when), Outcome: o, Reason: "because"}
		if root != "" {
			f.Agent.End.Finding = &rundir.Finding{Root: root, Class: "test", Kind: "role-crash"}
		}
		f.AgentSeen, f.AgentChanged, f.EndSeen = at(when), at(when), at(when)
	}
}

// room: slurmctld says how many nodes the job asks for, and how many it may have.
func room(asks, most int) fact {
	return func(f *Facts) {
		f.Control = Seen[slurm.ControlJob]{At: f.Now, Row: &slurm.ControlJob{ID: "7", State: slurm.Pending, Reason: slurm.PartitionNodeLimit, Asks: asks, Partition: "batch", Room: most}}
	}
}

func roleMissing(f *Facts) { f.Agent.Roles = f.Agent.Roles[:1] }

func weCancelled(o rundir.Outcome, why string) fact {
	return func(f *Facts) { f.Job.Cancel = &rundir.Cancel{At: at(0), Reason: why, Outcome: o} }
}

// stopped is a cancellation of our own whose text says nothing to the program.
func stopped(cause rundir.CancelCause, why string) fact {
	return func(f *Facts) {
		f.Job.Cancel = &rundir.Cancel{At: at(0), Reason: why, Outcome: rundir.OutcomeInfra, Cause: cause}
	}
}

func outOfMemory(f *Facts) { f.Agent.Roles[0].OOM = true }

func draft(f *Facts) { f.Draft = true }

func queueBudget(d time.Duration) fact {
	return func(f *Facts) { f.Budget.Queue = rundir.Duration(d) }
}

// check holds what is made of the facts against what is wanted.
func check(t *testing.T, f Facts, w want) {
	t.Helper()
	r := Resolve(f)
	require.Equal(t, w.done, r.Done, "%+v", r)
	require.Equal(t, w.outcome, r.Outcome, r.Reason)
	if w.done {
		require.Equal(t, w.conf, r.Confidence)
		require.NotEmpty(t, r.Reason)
	}
	if w.kind != "" {
		require.NotNil(t, r.Finding)
		require.Equal(t, w.kind, r.Finding.Kind)
		require.Equal(t, w.bad, r.Finding.BadNodes)
	}
	if w.cancel == "" {
		require.Empty(t, r.Cancel)
	}
	require.Contains(t, r.Cancel, w.cancel)
	require.Contains(t, r.Reason, w.reason)
	require.Equal(t, w.ask, r.Ask)
	if w.phase != "" {
		require.Equal(t, w.phase, r.Phase)
	}
}
