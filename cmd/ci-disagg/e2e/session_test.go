package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// sessions is a pipeline of one task whose figure is that of its build, a little off in each run.
const sessions = `
stage: pairs
clusters: {here: {gpus: none}}
pipelines:
  quick:
    roles:
    - name: work
      kind: task
      command: |
        k=${CI_DISAGG_RUN##*-}; sleep ${NAP:-0}
        [ "$FAIL" != always ] && [ "$FAIL" != "$k" ] || { echo "it breaks"; exit 3; }
        v=$((SPEED + k * 7 %% 5))
        printf '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n"SET","%%d.00","1","1","1","1","1","1"\n' $v > {out}/bench.csv
      bench: [{reader: redis-benchmark, files: bench.csv}]
builds:
  base: {env: {SPEED: "1000"}}
  head: {env: {%s}}
ab: {mode: always, answer_wait: 1m%s}
budgets: {ready: 5m, benchmark: 5m, job: 10m}
retry: {max: 0}
`

func sessionConfig(t *testing.T, head, more string) string {
	t.Helper()
	need.Long(t, "the built binary and a Slurm cluster")
	file := filepath.Join(t.TempDir(), "ci-disagg.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, sessions, head, more), 0o600))
	return file
}

// sessionReport is what a run's report says of its only case.
func sessionReport(t *testing.T, j *job) report.CaseReport {
	t.Helper()
	var doc report.Report
	require.NoError(t, rundir.ReadJSON(filepath.Join(j.dir.Report(), rundir.ReportVerdict), &doc))
	require.NotNil(t, doc.Cases[0].AB, doc.Headline)
	return doc.Cases[0]
}

// Two builds are measured in pairs until the evidence is enough, whatever becomes of single runs.
func TestPairedSession(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		b       backend
		head    string
		more    string
		exit    int
		word    string
		pairs   int
		message string
	}{
		{name: "nothing changed", b: local, head: `SPEED: "1000"`, exit: 0, word: "pass", pairs: 4, message: "no change that matters"},
		{name: "slower, on Slurm", b: slurm, head: `SPEED: "900"`, exit: 4, word: "regression", pairs: 4, message: "SET request_throughput is 10.0 % worse"},
		{name: "a run breaks, and its pair is measured again", b: local, head: `SPEED: "900", FAIL: "3"`, exit: 4, word: "regression", pairs: 4, message: "10.0 % worse"},
		{name: "head breaks by itself", b: local, head: `SPEED: "1000", FAIL: always`, exit: 1, word: "failed", message: "[work] exit 3"},
		{name: "the time limit", b: local, head: `SPEED: "900", NAP: "4"`, more: ", time: 15s", exit: 5, word: "inconclusive", message: "cut short"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := start(t, tt.b, sessionConfig(t, tt.head, tt.more), nil, "--backend", string(tt.b))
			require.Equal(t, tt.exit, j.wait(t), "%s\n%s", &j.stdout, &j.stderr)
			c := sessionReport(t, j)
			require.Equal(t, tt.word, string(c.AB.Verdict))
			require.Contains(t, c.Message, tt.message)
			if tt.word != "inconclusive" {
				require.Equal(t, tt.pairs, c.AB.Pairs)
			}
			j.nothingLeft(t, tt.b)
		})
	}
}

// A driver that is killed leaves the job to itself; who resumes gets the decision that it would have come to.
func TestPairedSessionWithoutItsDriver(t *testing.T) {
	t.Parallel()
	j := start(t, local, sessionConfig(t, `SPEED: "900", NAP: "0.1"`, ""), nil, "--backend", "local")
	answered := func() bool { return len(j.glob("answers/*.json")) > 0 }
	cluster.Eventually(t, runtest.Soon, "the first answer", answered)
	require.NoError(t, j.cmd.Process.Kill())
	_ = j.cmd.Wait()
	resume := exec.CommandContext(t.Context(), binary, "resume", "--quiet", string(j.dir))
	out, err := resume.CombinedOutput()
	require.Equal(t, 4, runtest.Exit(t, resume, err), string(out))
	c := sessionReport(t, j)
	require.Equal(t, "regression", string(c.AB.Verdict))
	require.Equal(t, 4, c.AB.Pairs)
	j.nothingLeft(t, local)
}

// SIGTERM ends the session with its job.
func TestPairedSessionIsAborted(t *testing.T) {
	t.Parallel()
	j := start(t, local, sessionConfig(t, `SPEED: "900", NAP: "1"`, ""), nil, "--backend", "local")
	cluster.Eventually(t, runtest.Soon, "a run that has ended", func() bool { return len(j.glob("run-0/record.json")) > 0 })
	require.NoError(t, j.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 143, j.wait(t), "%s\n%s", &j.stdout, &j.stderr)
	require.Contains(t, strings.ToUpper(j.stdout.String()), "INTERRUPTED")
	j.nothingLeft(t, local)
}
