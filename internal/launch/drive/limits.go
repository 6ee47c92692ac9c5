package drive

import (
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
)

func (c Cluster) limited() bool { return c.MaxJobs > 0 || c.MaxNodes > 0 }

// room says why a case may not be submitted now, "" when it may. blind says that
// this is only not known yet, which the next answer of the cluster will change.
func (d *driver) room(c *theCase) (why string, blind bool) {
	mine, myNodes := d.live(), 0
	if d.o.MaxJobs > 0 && mine >= d.o.MaxJobs {
		return fmt.Sprintf("%d of this run's %d jobs are under way", mine, d.o.MaxJobs), false
	}
	if d.o.Backend == BackendLocal || !d.o.Cluster.limited() {
		return "", false
	}
	if d.queue.at.IsZero() || d.o.Now().Sub(d.queue.at) > 2*d.o.Poll.Pending {
		if d.queue.failing.IsZero() { // else the question stands already, at its own pace
			d.queue.soon(d.o.Now(), 0)
		}
		return "the cluster has not said yet what of ours runs there", true
	}
	for _, k := range d.cases {
		if k.cur != nil {
			myNodes += k.plan.Nodes
		}
	}
	jobs, nodes := othersJobs(d.queue.rows, OwnerTag(d.run))
	jobs, nodes = jobs+mine, nodes+myNodes
	cl := d.o.Cluster
	switch {
	case cl.MaxJobs > 0 && jobs >= cl.MaxJobs:
		return fmt.Sprintf("all our runs have %d jobs on the cluster, the limit is %d", jobs, cl.MaxJobs), false
	case cl.MaxNodes > 0 && nodes > 0 && nodes+c.plan.Nodes > cl.MaxNodes:
		return fmt.Sprintf("all our runs have %d nodes on the cluster, the limit is %d and this job takes %d", nodes, cl.MaxNodes, c.plan.Nodes), false
	}
	return "", false
}

// othersJobs counts jobs and nodes of our other runs that are pending or running.
func othersJobs(rows []slurm.QueueRow, mine string) (jobs, nodes int) {
	for _, r := range rows {
		tag, ok := tagOf(r.Name)
		if !ok || tag == mine || r.State.Class() == slurm.Terminal {
			continue
		}
		jobs++
		nodes += r.Nodes
	}
	return jobs, nodes
}

const tagLength = 12

// tagOf reads the owner tag out of the name of one of our jobs.
func tagOf(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok || len(rest) <= tagLength || rest[tagLength] != '-' {
		return "", false
	}
	for _, c := range rest[:tagLength] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return rest[:tagLength], true
}
