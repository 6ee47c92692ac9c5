package drive

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func (c Cluster) limited() bool { return c.MaxJobs > 0 || c.MaxNodes > 0 }

// room says why a case may not be submitted now, "" when it may. blind reports that
// this is only not known yet, which the next answer of the cluster will change.
func (t *transition) room(c *caseState) (why string, blind bool) {
	mine, myNodes := t.liveCount(), 0
	if t.maxJobs > 0 && mine >= t.maxJobs {
		return fmt.Sprintf("%d of this run's %d jobs are under way", mine, t.maxJobs), false
	}
	if t.backend == rundir.BackendLocal && t.gpusTaken(c) {
		return "another case has its GPUs", false
	}
	if t.backend == rundir.BackendLocal || !t.cluster.limited() {
		return "", false
	}
	for i := range t.cases {
		if t.cases[i].live() {
			myNodes += t.cases[i].plan.Nodes
		}
	}
	age := t.at.Sub(t.queue.at)
	if !t.queue.at.IsZero() && age <= 2*t.poll.Pending {
		count, nodes := othersJobs(t.queue.rows, t.tag, t.far)
		why = t.cluster.full(count+mine, nodes+myNodes, c.plan.Nodes)
		if why != "" || age <= freshLook {
			return why, false
		}
	}
	if t.queue.failing.IsZero() { // else the question stands already, at its own pace
		t.queue.soon(t.at, 0)
	}
	return "the cluster has not said yet what of ours runs there", true
}

// gpusTaken reports whether a case under way has one of this machine's GPUs that the case is to run on.
func (t *transition) gpusTaken(c *caseState) bool {
	mine := c.plan.Devices()
	for i := range t.cases {
		if other := &t.cases[i]; other != c && other.live() &&
			slices.ContainsFunc(other.plan.Devices(), func(n int) bool { return slices.Contains(mine, n) }) {
			return true
		}
	}
	return false
}

// freshLook is how old the list may be that a submission to a limited cluster rests on: other runs submit as well.
const freshLook = 5 * time.Second

// full says why the cluster has no room for a job of so many nodes beside our
// other jobs, "" when it has. A single job too large for the limit may run alone.
func (c Cluster) full(count, nodes, more int) string {
	switch {
	case c.MaxJobs > 0 && count >= c.MaxJobs:
		return fmt.Sprintf("all our runs have %d jobs on the cluster, the limit is %d", count, c.MaxJobs)
	case c.MaxNodes > 0 && nodes > 0 && nodes+more > c.MaxNodes:
		return fmt.Sprintf("all our runs have %d nodes on the cluster, the limit is %d and this job takes %d", nodes, c.MaxNodes, more)
	}
	return ""
}

// holdToLimits takes a job back that this driver has just submitted if others of
// ours fill the cluster: drivers that look at the same moment all find room. Slurm
// numbers jobs in order, so all drivers agree on which were first, and those stay.
func (t caseTransition) holdToLimits() {
	c := t.c
	id, err := strconv.Atoi(c.job.ID)
	if !c.unchecked || c.facts.Queue.Row == nil || err != nil {
		return
	}
	c.unchecked = false
	if c.facts.Queue.Row.State.Class() == slurm.Terminal {
		return
	}
	count, nodes := 0, 0
	for _, r := range t.queue.rows {
		n, err := strconv.Atoi(r.ID)
		_, _, ours := jobs.Ours(r)
		if class := r.State.Class(); err == nil && ours && n < id && class != slurm.Terminal && class != slurm.Leaving {
			count, nodes = count+1, nodes+r.Nodes
		}
	}
	if why := t.cluster.full(count, nodes, c.plan.Nodes); why != "" {
		t.cancel(rundir.CauseLimit, rundir.OutcomeCancelled, "withdrawn: "+why)
	}
}

// blind reports whether the cluster has not answered for too long to go on waiting.
func (t *transition) blind() bool {
	return !t.queue.failing.IsZero() && t.at.Sub(t.queue.failing) > notReadyFor
}

// othersJobs counts jobs and nodes of our other runs that are pending or running.
func othersJobs(rows []slurm.QueueRow, mine string, dir rundir.Dir) (count, nodes int) {
	for _, r := range rows {
		tag, in, ours := jobs.Ours(r)
		if !ours || tag == mine || in == dir || r.State.Class() == slurm.Terminal {
			continue
		}
		count++
		nodes += r.Nodes
	}
	return count, nodes
}
