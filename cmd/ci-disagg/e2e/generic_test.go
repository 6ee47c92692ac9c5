package e2e_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// genericConfig has two pipelines of software that nobody here wrote: redis on one node, and a router in front of two
// nginx on a node each.
const genericConfig = `stage: e2e
backend: slurm
workload: {grace: 5s}
pipelines:
  redis:
    roles:
    - name: server
      kind: server
      command: [redis-server, --port, "{port}", --save, ""]
      dir: "{out}"
      ready: {tcp: true}
    - name: client
      kind: client
      command: redis-benchmark -h {server.host} -p {server.port} -c 2 -n 5000 -t set,get --csv >{out}/bench.csv
      bench: [{reader: redis-benchmark, files: bench.csv}]
  nginx:
    roles:
    - name: server
      count: 2
      nodes: 1
      kind: server
      dir: "{out}"
      command: |
        echo "daemon off; pid nginx.pid; events { worker_connections 256; }
          http { access_log off; server { listen {port}; location / { return 200 $SLURMD_NODENAME; } } }" >nginx.conf
        exec nginx -p {out} -c nginx.conf -e stderr
      ready: {http: /}
    - name: router
      kind: router
      dir: "{out}"
      command: |
        servers={server.addresses}
        echo "daemon off; pid nginx.pid; events { worker_connections 256; }
          http { access_log off; upstream all { server ${servers//,/; server }; }
          server { listen {port}; location / { proxy_pass http://all; } } }" >nginx.conf
        exec nginx -p {out} -c nginx.conf -e stderr
      ready: {http: /}
    - name: client
      kind: client
      command: curl -sS --fail -w '\n' "{router.url}/?[1-20]" | sort | uniq -c | tee {out}/nodes.txt
budgets: {queue: 5m, ready: 5m, benchmark: 5m, drain: 2m, job: 15m}
clusters:
  testbed: {gpus_per_node: 4, partition: batch, exclusive: true, env: {PATH: %q}}
retry: {max: 0}
perf: {off: true}
`

// Pipelines that are data, on a real Slurm: roles meet by their published addresses, over nodes too, are started in
// order, measured, and ended in the reverse one.
func TestConfiguredPipelines(t *testing.T) {
	t.Parallel()
	need.Programs(t, "redis-server redis-tools nginx-light curl", "redis-server", "redis-benchmark", "nginx", "curl")
	file := filepath.Join(t.TempDir(), "ci-disagg.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, genericConfig, os.Getenv("PATH")), 0o600))
	j := start(t, slurm, file, nil)
	require.Equal(t, 0, j.wait(t), j.stdout.String())
	cluster.Eventually(t, runtest.Soon, "the run's processes to end", func() bool { return len(j.processes()) == 0 })

	d := runtest.Document(t, j.dir)
	require.Equal(t, 2, d.Counts.Passed)
	for _, c := range d.Cases {
		attempt := j.dir.CaseDir(c.Slug).Attempt(0, 1)
		run := attempt.Run(0)
		var rec rundir.AgentRecord
		require.NoError(t, rundir.ReadJSON(attempt.AgentFile(), &rec))
		role := map[string]rundir.RoleRecord{}
		for _, r := range rec.Roles {
			role[r.Name] = r
		}
		switch c.ID {
		case "redis":
			var points []string
			for _, row := range c.Metrics {
				if row.Metric == "request_throughput" {
					points = append(points, row.Point)
				}
			}
			require.Equal(t, []string{"GET", "SET"}, points)
			require.Equal(t, "agent", role["server"].StoppedBy)
		case "nginx":
			require.Len(t, rec.Nodes, 2)
			text, err := os.ReadFile(filepath.Join(run.RoleOut("client"), "nodes.txt"))
			require.NoError(t, err)
			// How many each has answered depends on when the router's health was asked for in between.
			require.Regexp(t, `^\d+ `+rec.Nodes[0]+` \d+ `+rec.Nodes[1]+`$`, strings.Join(strings.Fields(string(text)), " "), "each server has answered on its own node")
			for _, name := range []string{"server_0", "server_1", "router"} {
				address, err := os.ReadFile(run.Address(name))
				require.NoError(t, err)
				host, _, err := net.SplitHostPort(strings.TrimSpace(string(address)))
				require.NoError(t, err)
				require.NotEqual(t, "127.0.0.1", host, "that is another machine on each node")
				require.Equal(t, "agent", role[name].StoppedBy)
			}
			require.True(t, role["router"].Started.After(*role["server_1"].Ready), "the router needs the servers")
			require.True(t, role["server_0"].StopSent.After(*role["router"].StopSent), "and is ended before them")
		default:
			t.Fatal(c.ID)
		}
	}
}
