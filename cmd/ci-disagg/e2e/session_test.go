package e2e_test

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
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
	return configOf(t, fmt.Sprintf(sessions, head, more))
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
		{name: "the time limit", b: local, head: `SPEED: "900", NAP: "1"`, more: ", time: 3s", exit: 5, word: "inconclusive", message: "cut short"},
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

// repeated is a server, and a client that says how fast it is the n-th time that it runs against it.
const repeated = `
stage: pairs
clusters: {here: {gpus: none}}
pipelines:
  quick:
    roles:
    - {name: server, kind: server, command: "echo >>$CI_DISAGG_RUN/started; echo up; exec sleep 300", ready: {log: up}}
    - name: load
      kind: client
      command: |
        echo >>$CI_DISAGG_RUN/asked; n=$(wc -l <$CI_DISAGG_RUN/asked)
        printf '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n"SET","%d.00","1","1","1","1","1","1"\n' $((SPEED + 100 * n)) > {out}/bench.csv
      bench: [{reader: redis-benchmark, files: bench.csv}]
builds:
  base: {env: {SPEED: "1000"}}
  head: {env: {SPEED: "900"}}
ab: {mode: always, answer_wait: 1m, repeat: 3}
budgets: {ready: 5m, benchmark: 5m, job: 10m}
retry: {max: 0}
`

// A client runs several times against the servers of each run, and a run's value is the mean.
func TestPairedSessionOfARepeatedClient(t *testing.T) {
	t.Parallel()
	j := start(t, local, configOf(t, repeated), nil, "--backend", "local")
	require.Equal(t, 4, j.wait(t), "%s\n%s", &j.stdout, &j.stderr)
	c := sessionReport(t, j)
	require.Equal(t, 4, c.AB.Pairs)
	require.InDelta(t, math.Cbrt(1100*1200*1300), c.AB.Series[0].A, 1e-6, "the mean of logs")
	require.InDelta(t, math.Cbrt(1000*1100*1200), c.AB.Series[0].B, 1e-6)
	files := j.glob("run-*/*ed")
	require.Len(t, files, 2*10, "two warm-ups and four pairs")
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"started": 1, "asked": 3}[filepath.Base(file)], strings.Count(string(data), "\n"), file)
	}
	j.nothingLeft(t, local)
}

func configOf(t *testing.T, text string) string {
	t.Helper()
	need.Long(t, "the built binary and a Slurm cluster")
	file := filepath.Join(t.TempDir(), "ci-disagg.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// nights is a nightly whose server of each commit is as fast as its build says.
const nights = `
stage: nightly
clusters: {here: {gpus: none}}
perf: {store: "dir:store"}
pipelines:
  quick:
    roles:
    - name: work
      kind: task
      command: |
        v=$(cat $CI_DISAGG_SOURCE/speed).$(date +%%N)
        printf '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n"SET","%%s","1","1","1","1","1","1"\n' $v > {out}/bench.csv
      bench: [{reader: redis-benchmark, files: bench.csv}]
builds:
  make: mkdir -p builds/{commit}; case {commit} in bad*) echo 700;; *) echo %d;; esac >builds/{commit}/speed
  head: {source: "builds/{commit}"}
ab: {confirm: true, answer_wait: 1m}
budgets: {ready: 5m, benchmark: 5m, job: 10m}
retry: {max: 0}
`

// A nightly's regression is measured again in pairs, the last good commit against the first bad one, before the run
// ends.
func TestANightlyIsConfirmed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		good, exit int
		says       string
	}{
		"confirmed":     {1000, 4, "Measured again in pairs: confirmed: SET request_throughput is"},
		"not confirmed": {700, 5, "Measured again in pairs: not confirmed: SET request_throughput is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := configOf(t, fmt.Sprintf(nights, tt.good))
			store, err := baseline.OpenDir(filepath.Join(filepath.Dir(file), "store"), true)
			require.NoError(t, err)
			var past []baseline.Record
			for i := range 20 {
				r := baseline.Record{
					Kind: baseline.KindRun, Case: "quick", Match: map[string]string{"cluster": "here", "pipeline": "quick"}, Source: baseline.SourceOwn, Run: fmt.Sprint("night-", i),
					Time: time.Now().AddDate(0, 0, i-21), Build: rundir.Build{Mode: baseline.ModeNightly, Commit: "600d600"}, Valid: true, Verdict: verdict.Pass,
					Measurements: []baseline.Measurement{{Point: "SET", Metric: "request_throughput", Unit: "req/s", Values: []float64{float64(1000 + i*7%5)}}},
				}.Normal()
				r.ID = r.NewID()
				past = append(past, r)
			}
			_, err = store.Save(t.Context(), past...)
			require.NoError(t, err)
			source := filepath.Join(filepath.Dir(file), "builds/bad0bad")
			require.NoError(t, os.MkdirAll(source, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(source, "speed"), []byte("700\n"), 0o600))
			j := start(t, local, file, nil, "--backend", "local", "--mode", "nightly", "--commit", "bad0bad", "--reruns", "3")
			require.Equal(t, tt.exit, j.wait(t), "%s\n%s", &j.stdout, &j.stderr)
			c := runtest.Document(t, j.dir).Cases[0]
			require.Contains(t, c.Confirmed, tt.says)
			require.Contains(t, j.stdout.String(), c.Confirmed[:40])
			j.nothingLeft(t, local)
		})
	}
}
