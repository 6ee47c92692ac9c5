package drive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
)

// exclude settles which nodes a job is kept from: those that the cluster knows, and
// only while enough of the others remain.
func (s *submitter) exclude(work context.Context, in order, res *submitted) {
	if s.o.Backend == jobs.BackendLocal || len(in.bad)+len(in.avoid) == 0 {
		return
	}
	if s.nodes == nil {
		nodes, err := s.o.Slurm.ClusterNodes(work)
		if err != nil {
			res.warnings = append(res.warnings, "the cluster's nodes could not be listed: "+err.Error())
		}
		s.nodes = nodes
	}
	res.job.Excluded, res.warnings = chooseExclusions(in.bad, in.avoid, s.nodes, s.o.Cluster.Partition, in.plan.Nodes, res.warnings)
	res.job.Avoided = slices.DeleteFunc(slices.Clone(res.job.Excluded), func(n string) bool { return slices.Contains(in.bad, n) })
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
