package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// pipelines are a server and its client, on a node each, and tasks on two nodes.
const pipelines = `
stage: own

clusters: {here: {gpus: none}}
pipelines:
  redis:
    roles:
    - name: server
      kind: server
      nodes: 1
      command: [redis-server, --port, "{port}", --protected-mode, "no", --save, ""]
      dir: "{out}"
      ready: {tcp: true, log: Ready to accept connections}
    - name: client
      kind: client
      nodes: 1
      command: redis-benchmark -h {server.host} -p {server.port} -c {case.clients} -n 2000 -t set,get --csv > {out}/bench.csv
      bench: [{reader: redis-benchmark, files: "*.csv"}]
      expect: {name: [SET, GET], concurrency: "{case.clients}"}
  tasks:
    roles:
    - {name: first, kind: task, nodes: 2, tasks: 4, command: 'echo $SLURM_PROCID of {tasks} > {out}/"$SLURM_PROCID"'}
    - {name: then, kind: task, needs: [first], command: 'cat {first.out}/* && test "$(cat {first.out}/* | wc -l)" = {case.n}'}
cases:
- {pipeline: redis, vars: {clients: 4}}
- {pipeline: tasks, vars: {n: [4, 5]}}
perf: {allow_no_baseline: true}
`

// Roles of a config's own pipelines, real servers among them, here and on a real Slurm.
func TestPipelinesOfAConfig(t *testing.T) {
	t.Parallel()
	need.Programs(t, "redis-server, redis-tools", "redis-server", "redis-benchmark")
	for _, b := range []backend{local, slurm} {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "ci-disagg.yaml")
			require.NoError(t, os.WriteFile(file, []byte(pipelines), 0o600))
			j := start(t, b, file, nil, "--backend", string(b))
			require.Equal(t, 1, j.wait(t), "5 is not 4")
			require.Equal(t, report.Counts{Cases: 3, Passed: 2, Failed: 1}, runtest.Document(t, j.dir).Counts)
			require.Contains(t, j.stdout.String(), "tasks[n=5]")
			require.Eventually(t, func() bool { return len(j.processes()) == 0 }, runtest.Soon, runtest.Soon/100)
		})
	}
}
