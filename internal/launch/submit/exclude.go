package submit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// exclude settles which nodes a job is kept from: those that the cluster knows, and
// only while enough of the others remain.
func (s *Submitter) exclude(ctx context.Context, o Order, res *Submitted) {
	avoid := slices.Concat(o.Avoid, o.Plan.Avoid)
	if s.set.Backend == rundir.BackendLocal || len(o.Bad)+len(avoid) == 0 {
		return
	}
	if s.nodes == nil {
		nodes, err := s.set.Slurm.ClusterNodes(ctx)
		if err != nil {
			res.Warnings = append(res.Warnings, "the cluster's nodes could not be listed: "+err.Error())
		}
		s.nodes = nodes
	}
	res.Job.Excluded, res.Warnings = chooseExclusions(o.Bad, avoid, s.nodes, s.set.Partition, o.Plan.Nodes, res.Warnings)
	res.Job.Avoided = slices.DeleteFunc(slices.Clone(res.Job.Excluded), func(n string) bool { return slices.Contains(o.Bad, n) })
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
