package trtllm

import "github.com/ci-disagg/ci-disagg/internal/rundir"

// slicer hands out whole nodes, in order, to one server after the other.
type slicer struct {
	perNode int
	next    int
}

// take gives a server with that many GPUs its nodes: full ones, and what is left
// on the last (6 GPUs on nodes of 4 are 4+2). A server under the launcher has one
// task per GPU; another one has a single task, on its first node.
func (s *slicer) take(gpus int, launcher bool) []rundir.NodeShare {
	var out []rundir.NodeShare
	for left := gpus; left > 0; left -= s.perNode {
		share := rundir.NodeShare{Node: s.next, GPUs: min(left, s.perNode)}
		if launcher {
			share.Tasks = share.GPUs
		} else if len(out) == 0 {
			share.Tasks = 1
		}
		out = append(out, share)
		s.next++
	}
	return out
}

// nodesFor is how many nodes a server with that many GPUs takes.
func nodesFor(gpus, perNode int) int {
	if perNode < 1 {
		return 0
	}
	return (gpus + perNode - 1) / perNode
}

// layout is where the roles of a case run.
type layout struct {
	gen, ctx [][]rundir.NodeShare
	agg      []rundir.NodeShare
	nodes    int
}

func (c *caseBuilder) place(launcher bool) layout {
	s := &slicer{perNode: c.m.gpusPerNode}
	var l layout
	if c.g.Roles {
		for range c.numGen {
			l.gen = append(l.gen, s.take(c.m.gen.gpus, launcher))
		}
		for range c.numCtx {
			l.ctx = append(l.ctx, s.take(c.m.ctx.gpus, launcher))
		}
	} else {
		l.agg = s.take(c.aggGPUs, launcher)
	}
	l.nodes = s.next
	return l
}
