package slurm

import (
	"context"
	"slices"
	"strings"
	"time"

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

// NodeTrouble is what slurmctld has against a node.
type NodeTrouble struct {
	Name   string
	Lost   bool      // it is down, failed, or does not answer
	Since  time.Time // when somebody gave the reason; zero = nobody has
	By     string    // uid of who that was
	Reason string
}

// Troubles are what slurmctld has against the nodes: those that it has lost, and those that somebody has drained.
func (c *Client) Troubles(ctx context.Context, cluster string, nodes []string) ([]NodeTrouble, error) {
	if len(nodes) == 0 {
		return nil, nil
	}
	out, err := c.call(ctx, host.Cmd{Argv: withCluster(TroubleQuery(nodes), cluster), Env: queryEnv()})
	if err != nil {
		return nil, err
	}
	return ParseTroubles(out), nil
}

// TroubleQuery is the command whose output ParseTroubles reads.
func TroubleQuery(nodes []string) []string {
	return []string{"sinfo", "-h", "-a", "-N", "-n", strings.Join(nodes, ","), "-o", "%N %T %H %U %E"}
}

// ParseTroubles reads which nodes are down, failed or do not answer, and which somebody has drained, in the order of
// the list: name, state, time, user(uid) and reason.
func ParseTroubles(text string) []NodeTrouble {
	const columns = 5
	var out []NodeTrouble
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.SplitN(strings.TrimSpace(line), " ", columns)
		if len(f) < 2 || f[0] == "CLUSTER:" || slices.ContainsFunc(out, func(n NodeTrouble) bool { return n.Name == f[0] }) {
			continue // one line per partition
		}
		n := NodeTrouble{Name: f[0]}
		// A trailing * means that the node does not answer.
		n.Lost = strings.HasPrefix(f[1], "down") || strings.HasPrefix(f[1], "fail") || strings.HasSuffix(f[1], "*")
		if len(f) == columns && strings.HasPrefix(f[1], "drain") {
			n.Since, n.Reason = parseTime(f[2]), f[4]
			_, by, _ := strings.Cut(f[3], "(")
			n.By = strings.TrimSuffix(by, ")")
		}
		if n.Lost || !n.Since.IsZero() {
			out = append(out, n)
		}
	}
	return out
}

// LostNodes are the names of those that slurmctld does not trust any more.
func LostNodes(all []NodeTrouble) []string {
	var lost []string
	for _, n := range all {
		if n.Lost {
			lost = append(lost, n.Name)
		}
	}
	return lost
}
