package drive

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func (c Cluster) limited() bool { return c.MaxJobs > 0 || c.MaxNodes > 0 }

// room says why a case may not be submitted now, "" when it may. blind says that
// this is only not known yet, which the next answer of the cluster will change.
func (d *driver) room(c *theCase) (why string, blind bool) {
	mine, myNodes := d.live(), 0
	if d.o.MaxJobs > 0 && mine >= d.o.MaxJobs {
		return fmt.Sprintf("%d of this run's %d jobs are under way", mine, d.o.MaxJobs), false
	}
	if d.o.Backend == jobs.BackendLocal || !d.o.Cluster.limited() {
		return "", false
	}
	for _, k := range d.cases {
		if k.cur != nil {
			myNodes += k.plan.Nodes
		}
	}
	age := d.o.Now().Sub(d.queue.at)
	if !d.queue.at.IsZero() && age <= 2*d.o.Poll.Pending {
		jobs, nodes := othersJobs(d.queue.rows, jobs.OwnerTag(d.run))
		why = d.o.Cluster.full(jobs+mine, nodes+myNodes, c.plan.Nodes)
		if why != "" || age <= freshLook {
			return why, false
		}
	}
	if d.queue.failing.IsZero() { // else the question stands already, at its own pace
		d.queue.soon(d.o.Now(), 0)
	}
	return "the cluster has not said yet what of ours runs there", true
}

// freshLook is how old the list may be that a submission to a limited cluster
// rests on: other runs submit as well.
const freshLook = 5 * time.Second

// full says why the cluster has no room for a job of so many nodes beside our
// other jobs, "" when it has. A single job too large for the limit may run alone.
func (c Cluster) full(jobs, nodes, more int) string {
	switch {
	case c.MaxJobs > 0 && jobs >= c.MaxJobs:
		return fmt.Sprintf("all our runs have %d jobs on the cluster, the limit is %d", jobs, c.MaxJobs)
	case c.MaxNodes > 0 && nodes > 0 && nodes+more > c.MaxNodes:
		return fmt.Sprintf("all our runs have %d nodes on the cluster, the limit is %d and this job takes %d", nodes, c.MaxNodes, more)
	}
	return ""
}

// withdrawnPrefix begins the reason for which a job over a limit is taken back.
const withdrawnPrefix = "withdrawn: "

// holdToLimits takes a job back that this driver has just submitted if others of
// ours fill the cluster: drivers that look at the same moment all find room. Slurm
// numbers jobs in order, so all drivers agree on which were first, and those stay.
func (d *driver) holdToLimits(work context.Context, c *theCase) {
	a := c.cur
	id, err := strconv.Atoi(a.job.ID)
	if !a.fresh || a.facts.Queue.Row == nil || err != nil {
		return
	}
	a.fresh = false
	if a.facts.Queue.Row.State.Class() == slurm.Terminal {
		return
	}
	count, nodes := 0, 0
	for _, r := range d.queue.rows {
		n, err := strconv.Atoi(r.ID)
		_, ours := jobs.TagOf(r.Name)
		if class := r.State.Class(); err == nil && ours && n < id && class != slurm.Terminal && class != slurm.Leaving {
			count, nodes = count+1, nodes+r.Nodes
		}
	}
	if why := d.o.Cluster.full(count, nodes, c.plan.Nodes); why != "" {
		d.cancelJob(work, c, withdrawnPrefix+why, rundir.OutcomeCancelled)
	}
}

// blindFor is how long a detached run waits for the cluster to say whether there
// is room.
const blindFor = 10 * time.Minute

// blind says that the cluster has not answered for too long to go on waiting.
func (d *driver) blind() bool {
	return !d.queue.failing.IsZero() && d.o.Now().Sub(d.queue.failing) > blindFor
}

// othersJobs counts jobs and nodes of our other runs that are pending or running.
func othersJobs(rows []slurm.QueueRow, mine string) (count, nodes int) {
	for _, r := range rows {
		tag, ok := jobs.TagOf(r.Name)
		if !ok || tag == mine || r.State.Class() == slurm.Terminal {
			continue
		}
		count++
		nodes += r.Nodes
	}
	return count, nodes
}
