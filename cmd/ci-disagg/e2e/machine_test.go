package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
	"github.com/ci-disagg/ci-disagg/internal/testkit/smi"
)

// hotConfig measures 1,000 tokens a second, and 500 on a machine whose card is hot: the one on which the attempts run
// that HOT names. The server stays until the card has been looked at again: what is asked when a run is over has little
// time.
const hotConfig = `stage: e2e
backend: %s
workload: {grace: 2m}
pipelines:
  heat:
    roles:
    - name: server
      kind: server
      command: |
        trap 'until grep -qs "\"after\"" "$CI_DISAGG_RUN"/nodes/*.machine.json; do sleep 0.05; done; exit' TERM
        echo up; while :; do sleep 0.1; done
      ready: {log: up}
    - name: client
      kind: client
      gpus: 1
      command: |
        hot="$SMI_DIR/%s" tokens=1000
        until grep -qs '"before"' "$CI_DISAGG_RUN"/nodes/*.machine.json; do sleep 0.05; done
        case "$CI_DISAGG_ATTEMPT" in $HOT) echo 5000000 >"$hot" ;; esac
        if [[ -e $hot ]]; then tokens=500; fi
        printf '{"backend": "vllm", "max_concurrency": 8, "duration": 10, "completed": 64, "failed": 0, "num_prompts": 64, "total_input_tokens": 64,
          "total_output_tokens": %%d, "request_throughput": 6.4, "output_throughput": %%d.%%d, "mean_ttft_ms": 10, "median_ttft_ms": 10, "p99_ttft_ms": 11,
          "mean_tpot_ms": 4, "median_tpot_ms": 4, "p99_tpot_ms": 5}' $((tokens * 10)) $tokens $RANDOM >{out}/bench.json
      bench: [{reader: vllm, files: bench.json}]
budgets: {queue: 5m, ready: 5m, benchmark: 5m, drain: 2m, job: 15m}
clusters:
  testbed: {gpus_per_node: 4, partition: batch, exclusive: true, export: [PATH, SMI_DIR, HOT]}
retry: {max: 0}
perf: {store: "dir:%s", reruns: %d}
`

// A card that throttles through a whole run: the regression is told as the machine's wherever people look; where there
// are other nodes it is measured there first, and is none.
func TestRegressionOfAHotCard(t *testing.T) {
	t.Parallel()
	cards := map[backend]*smi.Machine{}
	for _, b := range []backend{local, slurm} {
		cards[b] = smi.New(t, smi.Card{UUID: "GPU-a", SM: 1410, Power: 400, Temp: 88, Util: 97})
	}
	measure := func(b backend, config, hot string) (int, *job, report.CaseReport) {
		dir := cards[b].Dir()
		j := start(t, b, config, []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "SMI_DIR=" + dir, "HOT=" + hot})
		code := j.wait(t)
		d := runtest.Document(t, j.dir)
		require.Len(t, d.Cases, 1)
		return code, j, d.Cases[0]
	}
	with := func(b backend, reruns int) string {
		file := filepath.Join(t.TempDir(), "ci-disagg.yaml")
		store := filepath.Join(t.TempDir(), "store")
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, hotConfig, b, map[backend]string{local: "us", slurm: "us.$SLURMD_NODENAME"}[b], store, reruns), 0o600))
		code, _, c := measure(b, file, "none")
		require.Equal(t, 5, code, c.Message)
		for day := range 20 {
			addToHistory(t, file, day+1, c)
		}
		return file
	}
	const probably = "The machine, probably: GPU 0 of "

	// Measured twice: one bad night of all metrics, measured once, is no red case.
	code, j, c := measure(local, with(local, 1), "*")
	require.Equal(t, 4, code, c.Message)
	require.Contains(t, c.Machine, probably)
	require.Contains(t, c.Machine, "was slowed down for its heat")
	for _, file := range []string{rundir.ReportJUnit, rundir.ReportSummary, rundir.ReportIndex} {
		text, err := os.ReadFile(filepath.Join(j.dir.Report(), file))
		require.NoError(t, err)
		require.Contains(t, string(text), probably, file)
	}
	require.Contains(t, j.stdout.String(), probably)
	if !runtest.All() {
		return
	}
	code, _, c = measure(slurm, with(slurm, 3), "*/rep-0/*")
	require.Equal(t, 0, code, c.Message)
	require.NotEmpty(t, c.Attempts[1:])
	require.NotEqual(t, c.Attempts[0].Nodes, c.Attempts[1].Nodes, "it was measured elsewhere")
	require.NotEmpty(t, c.Attempts[0].Machine.Suspects)
	require.Empty(t, c.Attempts[1].Machine.Suspects)
	require.Positive(t, c.Spent.Useful)
}
