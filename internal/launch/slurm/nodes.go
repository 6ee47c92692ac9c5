package slurm

import (
	"context"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
)

// NodeRow is one node in one partition, as sinfo lists it.
type NodeRow struct {
	Name      string
	Partition string
	Default   bool // the partition is that of jobs which name none
	Usable    bool // jobs run there, now or when those that run have ended
}

// ClusterNodes lists all nodes of the cluster, once per partition.
func (c *Client) ClusterNodes(ctx context.Context) ([]NodeRow, error) {
	out, err := c.call(ctx, host.Cmd{Argv: []string{"sinfo", "-h", "-a", "-N", "-o", "%N %P %t"}, Env: queryEnv()})
	if err != nil {
		return nil, err
	}
	return ParseNodes(out), nil
}

// ParseNodes reads what ClusterNodes asks for. A line that is none is left out.
func ParseNodes(text string) []NodeRow {
	var rows []NodeRow
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		r := NodeRow{Name: f[0], Usable: usable(f[2])}
		r.Partition, r.Default = strings.CutSuffix(f[1], "*")
		rows = append(rows, r)
	}
	return rows
}

// usable reads sinfo's compact state: a word, then signs for what goes on beside
// it. A * means that the node does not answer. A word that is not known is no
// promise.
func usable(state string) bool {
	word := strings.TrimRight(state, "~#!%$@^-+*")
	return !strings.Contains(state[len(word):], "*") && slices.Contains([]string{"idle", "mix", "alloc", "comp", "resv", "plnd"}, word)
}

// DownNodes are those of the nodes that slurmctld does not trust any more.
func (c *Client) DownNodes(ctx context.Context, cluster string, nodes []string) ([]string, error) {
	if len(nodes) == 0 {
		return nil, nil
	}
	out, err := c.call(ctx, host.Cmd{Argv: withCluster(DownQuery(nodes), cluster), Env: queryEnv()})
	if err != nil {
		return nil, err
	}
	return ParseDown(out), nil
}

// DownQuery is the command whose output ParseDown reads.
func DownQuery(nodes []string) []string {
	return []string{"sinfo", "-h", "-a", "-N", "-n", strings.Join(nodes, ","), "-o", "%N %T"}
}

// ParseDown reads which nodes are down, failed or do not answer, in the order of
// the list.
func ParseDown(text string) []string {
	var down []string
	for line := range strings.SplitSeq(text, "\n") {
		name, state, ok := strings.Cut(strings.TrimSpace(line), " ")
		// A trailing * means that the node does not answer. One line per partition.
		lost := strings.HasPrefix(state, "down") || strings.HasPrefix(state, "fail") || strings.HasSuffix(state, "*")
		if ok && lost && !strings.HasPrefix(name, "CLUSTER:") && !slices.Contains(down, name) {
			down = append(down, name)
		}
	}
	return down
}
