package verdict

import (
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// nodesOf is the node group of each run's first value.
func nodesOf(runs []Run) []string {
	out := make([]string, len(runs))
	for k, r := range runs {
		out[k] = r.node(0)
	}
	return out
}

// newNodes names the node group if everything from run onset on was measured on
// groups that the runs before it hardly know, in a history whose runs do keep to
// a few groups: then nodes and a change cannot be told apart. "" = they can.
func newNodes(past []Run, newest Run, onset int) string {
	before := past[max(0, min(onset, len(past))-bws.LevelRuns):min(onset, len(past))]
	groups := bws.CountNodes(nodesOf(before))
	known := 0
	for _, n := range groups {
		if n >= bws.NodeRuns {
			known += n
		}
	}
	if known == 0 || 3*known < 2*len(before) {
		return ""
	}
	name := ""
	for _, r := range append(slices.Clone(past[min(onset, len(past)):]), newest) {
		for q := range r.Values {
			node := r.node(q)
			if node == "" || groups[node] >= bws.NodeRuns {
				return ""
			}
			name = node
		}
	}
	return name
}
