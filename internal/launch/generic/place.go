package generic

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxInstances bounds what a count is, and maxRoles how many roles the cases of a config have together, and so how many
// cases there are: all are planned, those too that are not chosen.
const (
	maxInstances = 1000
	maxRoles     = 100_000
)

// sizes reads the numbers of the roles and makes their instances. It gives how many more there may be of the left ones.
func (b *building) sizes(left int) int {
	s := &scope{combination: b.combination}
	b.groups = map[string][]*instance{}
	for i, r := range b.p.Roles {
		b.at = b.rolePath(i)
		count := max(1, b.number(s, "count", r.Count, 1))
		if left -= count; left < 0 {
			b.bad("count", "makes more than the %d roles that all cases together may have", maxRoles)
			return left
		}
		proto := instance{Role: r, nodes: b.number(s, "nodes", r.Nodes, 1), gpus: b.number(s, "gpus", r.GPUs, 0), ntasks: b.number(s, "tasks", r.Tasks, 1), port: b.number(s, "port", r.Port, 1)}
		proto.hasPort = r.hasPort(b.p)
		proto.published = proto.hasPort || r.mentions(b.p, "host")
		for n := range count {
			one := proto
			one.index, one.name = n, r.Name
			if r.Count != "" {
				one.name = r.Name + "_" + strconv.Itoa(n)
			}
			b.groups[r.Name] = append(b.groups[r.Name], &one)
			b.all = append(b.all, &one)
		}
	}
	return left
}

// number is the whole number that a text stands for; 0 where it is not given.
func (b *building) number(s *scope, key, text string, least int) int {
	if text == "" {
		return 0
	}
	v, err := plain(text, s, asItIs)
	if err != nil {
		b.bad(key, "%v", err)
		return 0
	}
	n, wrong := whole(key, v, least)
	if wrong != "" {
		b.bad(key, "%s", wrong)
	}
	return n
}

// whole reads a whole number of at least least, and says what is wrong with another.
func whole(key, v string, least int) (n int, wrong string) {
	n, err := strconv.Atoi(v)
	switch {
	case err != nil || n < least || strconv.Itoa(n) != v:
		return least, fmt.Sprintf("expects a whole number, %d or more, got %q", least, v)
	case key == "port" && n > 65535:
		return least, fmt.Sprintf("%d is no port", n)
	case key == "count" && n > maxInstances:
		return least, fmt.Sprintf("%d is more than the %d that are allowed", n, maxInstances)
	}
	return n, ""
}

// layOut gives every instance its nodes: those with GPUs or with nodes: of their own,
// one after the other; those that share, the nodes of the others; the rest, the first.
func (b *building) layOut() {
	perNode := b.gpusPerNode()
	for i, r := range b.p.Roles {
		if r.With != "" && r.With != r.Name {
			continue
		}
		b.at = b.rolePath(i)
		for n, one := range b.groups[r.Name] {
			switch {
			case r.With == r.Name && n > 0:
				b.share(one, b.groups[r.Name][0], perNode)
			case one.gpus > 0 || one.nodes > 0:
				b.own(one, perNode)
			default:
				one.overlap = true
				one.slice = []rundir.NodeShare{{Node: 0, Tasks: max(1, one.ntasks)}}
			}
		}
	}
	for range b.p.Roles { // chains of with: are as long as there are roles
		b.shareAll(perNode)
	}
	b.nodes = max(1, b.nodes)
	b.samePorts()
}

// shareAll puts the instances that share on the nodes of those that have some by now.
func (b *building) shareAll(perNode int) {
	for i, r := range b.p.Roles {
		b.at = b.rolePath(i)
		host := b.groups[r.With]
		if r.With == r.Name || len(host) == 0 {
			continue
		}
		for n, one := range b.groups[r.Name] {
			if on := host[n%len(host)]; one.slice == nil && on.slice != nil {
				b.share(one, on, perNode)
			}
		}
	}
}

// samePorts finds instances that would want one port of one node. On this machine all
// nodes are one.
func (b *building) samePorts() {
	type place struct{ node, port int }
	taken := map[place]string{}
	for _, one := range b.all {
		if one.port == 0 || len(one.slice) == 0 {
			continue
		}
		at := place{one.slice[0].Node, one.port}
		if b.in.Local {
			at.node = 0
		}
		if other, twice := taken[at]; twice {
			b.at = b.rolePath(slices.IndexFunc(b.p.Roles, func(r Role) bool { return r.Name == one.Name }))
			b.bad("port", "%s and %s would both listen at %d of one node: use {port}, or nodes of their own", other, one.name, one.port)
			return
		}
		taken[at] = one.name
	}
}

// gpusPerNode is what the cluster's nodes have. This machine, of which nobody has said
// it, has what the largest instance takes.
func (b *building) gpusPerNode() int {
	if n := b.in.Cluster.GPUsPerNode; n > 0 {
		return n
	}
	most := 0
	for _, one := range b.all {
		if one.gpus > 0 && !b.in.Local {
			b.at = b.rolePath(slices.IndexFunc(b.p.Roles, func(r Role) bool { return r.Name == one.Name }))
			b.bad("gpus", "how many GPUs has a node? Say it in clusters.<name>.gpus_per_node, or run with --backend local")
			return max(1, one.gpus)
		}
		most = max(most, one.gpus/max(1, one.nodes))
	}
	return most
}

// own gives an instance nodes of its own.
func (b *building) own(one *instance, perNode int) {
	nodes := cmp.Or(one.nodes, (one.gpus+max(1, perNode)-1)/max(1, perNode))
	if one.gpus > nodes*perNode {
		b.bad("gpus", "%d do not fit on %d nodes with %d each: take more nodes, or leave out nodes:", one.gpus, nodes, perNode)
	}
	if one.nodes > 0 && one.gpus%nodes != 0 {
		b.bad("gpus", "%d cannot be spread evenly over %d nodes", one.gpus, nodes)
	}
	left := one.gpus
	for range nodes {
		take := min(left, perNode)
		if one.nodes > 0 {
			take = one.gpus / nodes
		}
		one.slice = append(one.slice, rundir.NodeShare{Node: b.nodes, GPUs: take})
		left -= take
		b.nodes++
	}
	one.nodes = nodes
	b.spread(one)
}

// share puts an instance on nodes of another, beside what is there.
func (b *building) share(one, on *instance, perNode int) {
	nodes := cmp.Or(one.nodes, len(on.slice))
	if nodes > len(on.slice) {
		b.bad("nodes", "%d, but %s, with which it shares, has %d", nodes, on.name, len(on.slice))
		nodes = len(on.slice)
	}
	if one.gpus%nodes != 0 {
		b.bad("gpus", "%d cannot be spread evenly over %d nodes", one.gpus, nodes)
	}
	for i := range nodes {
		one.slice = append(one.slice, rundir.NodeShare{Node: on.slice[i].Node, GPUs: one.gpus / nodes})
	}
	one.nodes, one.overlap = nodes, true
	if one.gpus > 0 {
		b.divide(one, on, perNode)
	}
	b.spread(one)
}

// divide gives instances that compute on one node different GPUs of it, by number:
// Slurm gives a step whole counts, and would let the second wait for the first.
func (b *building) divide(one, on *instance, perNode int) {
	node, taken := one.slice[0].Node, 0
	for _, other := range b.all {
		if other == one || other.gpus == 0 || len(other.slice) == 0 || !slices.ContainsFunc(other.slice, func(s rundir.NodeShare) bool { return s.Node == node }) {
			continue
		}
		if other.devices == nil && !b.in.Local {
			other.devices, other.overlap = sequence(taken, other.slice[0].GPUs), true
		}
		taken += other.slice[0].GPUs
	}
	per := one.slice[0].GPUs
	if taken+per > perNode && !b.in.Local {
		b.bad("gpus", "%s takes %d GPUs of a node, and %d of its %d are taken by those it shares it with (%s)", one.name, per, taken, perNode, on.name)
	}
	if b.in.Local {
		one.overlap = false // the local backend hands out the GPUs of this machine itself
		return
	}
	one.devices = sequence(taken, per)
}

func sequence(from, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = from + i
	}
	return out
}

// spread gives the nodes of an instance its tasks.
func (b *building) spread(one *instance) {
	n := len(one.slice)
	if one.ntasks == 0 {
		if one.ntasks = n; one.Launcher == launcherMPI && one.gpus > 0 {
			for i, s := range one.slice {
				one.slice[i].Tasks = s.GPUs
			}
			one.ntasks = one.gpus
			return
		}
	}
	each, left := (one.ntasks+n-1)/n, one.ntasks
	for i := range one.slice {
		one.slice[i].Tasks = min(each, left)
		left -= one.slice[i].Tasks
	}
}
