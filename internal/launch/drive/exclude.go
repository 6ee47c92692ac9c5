package drive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// exclusions settles which nodes the job is kept from: those that the cluster
// knows, and only while enough of the others remain.
func (r *result) exclusions(work context.Context, d *driver, p rundir.Plan, in order) {
	if d.o.Backend == jobs.BackendLocal || len(in.bad)+len(in.avoid) == 0 {
		return
	}
	if r.nodes == nil {
		nodes, err := d.o.Slurm.ClusterNodes(work)
		if err != nil {
			r.warnings = append(r.warnings, "the cluster's nodes could not be listed: "+err.Error())
		}
		r.nodes = nodes
	}
	r.job.Excluded, r.warnings = chooseExclusions(in.bad, in.avoid, r.nodes, d.o.Cluster.Partition, p.Nodes, r.warnings)
	r.job.Avoided = slices.DeleteFunc(slices.Clone(r.job.Excluded), func(n string) bool { return slices.Contains(in.bad, n) })
}

// chooseExclusions drops names that the cluster does not know (sbatch refuses a
// job that excludes one), and as many others as are needed for enough usable nodes
// to remain in the job's partition: first those that were only to be avoided.
func chooseExclusions(bad, avoid []string, known []slurm.NodeRow, partition string, need int, warnings []string) (exclude, warned []string) {
	left := usableIn(known, partition)
	var out []string
	for _, n := range slices.Concat(bad, avoid) {
		switch {
		case slices.Contains(out, n):
		case known == nil: // sbatch has the last word
			out = append(out, n)
		case !slices.ContainsFunc(known, func(r slurm.NodeRow) bool { return r.Name == n }):
			warnings = append(warnings, fmt.Sprintf("node %s is not known to this cluster: not excluded", n))
		case left[n] && len(left) <= need:
			warnings = append(warnings, fmt.Sprintf("node %s is not excluded: too few others would remain", n))
		default:
			delete(left, n)
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, warnings
}

// usableIn are the usable nodes of a partition.
func usableIn(known []slurm.NodeRow, partition string) map[string]bool {
	names := strings.Split(partition, ",")
	left := map[string]bool{}
	for _, r := range known {
		if r.Usable && (partition == "" && r.Default || slices.Contains(names, r.Partition)) {
			left[r.Name] = true
		}
	}
	return left
}

func (d *driver) badList() []string {
	out := make([]string, 0, len(d.badNodes))
	for n := range d.badNodes {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (d *driver) noteBadNodes(nodes []string, why string) {
	for _, n := range nodes {
		if d.badNodes[n] == "" {
			d.badNodes[n] = why
		}
	}
}
