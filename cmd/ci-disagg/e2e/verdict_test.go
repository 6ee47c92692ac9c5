package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// aggregated is the stand-in's shortest case.
const aggregated = "perf/test_perf_sanity.py::test_e2e[aggr_upload-tiny_grace_blackwell-tiny_tp4_1k1k]"

// The life of a case: a history is collected, what is unchanged or was slow by chance passes, what is slower is a regression
// until someone accepts it, and what was not measured or cannot be compared is no pass.
func TestVerdictOverManyRuns(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "store")
	plain := config(t, local, "")
	text, err := os.ReadFile(plain)
	require.NoError(t, err)
	// What the other tests do to the machine meanwhile is not what this one is about: less than 10 % is no change.
	judged := strings.Replace(string(text), "perf: {pins: pins.yaml, reruns: 0}", "perf: {store: \"dir:"+store+"\", reruns: 3, metrics: {"+
		"output_token_throughput: {min_effect: 0.1}, ttft_median_ms: {min_effect: 0.1}, tpot_median_ms: {min_effect: 0.1}}}", 1)
	require.NotEqual(t, string(text), judged)
	require.NoError(t, os.WriteFile(plain, []byte(judged), 0o600))
	chance := filepath.Join(t.TempDir(), "ci-disagg.yaml")
	slowOnce := strings.Replace(judged, "setup: ", `setup: case "$jobWorkspace" in */rep-0/*) export CI_DISAGG_SLOW=25 ;; esac; `, 1)
	require.NoError(t, os.WriteFile(chance, []byte(slowOnce), 0o600))
	measure := func(configFile string, env ...string) (int, *job, report.CaseReport) {
		j := start(t, local, configFile, env, aggregated)
		code := j.wait(t)
		d := runtest.Document(t, j.dir)
		require.Len(t, d.Cases, 1)
		require.Equal(t, code, d.ExitCode)
		return code, j, d.Cases[0]
	}
	words := func(c report.CaseReport) map[string]verdict.Word {
		out := map[string]verdict.Word{}
		for _, row := range c.Metrics {
			if row.Gate {
				out[row.Metric] = row.Verdict
			}
		}
		return out
	}
	all := func(w verdict.Word) map[string]verdict.Word {
		return map[string]verdict.Word{"output_token_throughput": w, "ttft_median_ms": w, "tpot_median_ms": w}
	}
	slow := "CI_DISAGG_SLOW=25"

	for i := range 12 {
		code, _, c := measure(plain)
		if i < 7 {
			require.Equal(t, 5, code, c.Message)
			require.Equal(t, all(verdict.Collecting), words(c))
		}
	}
	code, _, c := measure(plain)
	require.Equal(t, 0, code, c.Message)

	code, _, c = measure(chance)
	require.Equal(t, 0, code, c.Message)
	require.NotEmpty(t, c.Attempts[1:], "it was measured again")

	code, _, c = measure(plain, slow)
	require.Equal(t, 4, code, c.Message)
	require.Equal(t, all(verdict.Regression), words(c))
	require.NotEmpty(t, c.Attempts[1:], "it was measured again")
	for _, row := range c.Metrics {
		require.Equal(t, len(c.Attempts), len(row.Values), "all repetitions count")
	}

	code, _, c = measure(plain, slow)
	require.Equal(t, 4, code, c.Message)
	for _, row := range c.Metrics {
		require.True(t, row.Open || !row.Gate, row.Metric)
	}

	accept := exec.Command(binary, "baseline", "accept", "--store", "dir:"+store, "--case", aggregated, "--by", "ana", "--reason", "intended")
	out, err := accept.CombinedOutput()
	require.NoError(t, err, string(out))
	code, last, c := measure(plain, slow)
	require.Equal(t, 0, code, c.Message)
	for _, row := range c.Metrics {
		if row.Gate {
			require.InDelta(t, 0, *row.Worse, 0.1, "the new level is the baseline of %s", row.Metric)
		}
	}

	code, _, c = measure(plain, slow, "CI_DISAGG_STORE=postgres://nobody@127.0.0.1:1/perf?connect_timeout=2")
	require.Equal(t, 5, code, c.Message)
	require.Equal(t, all(verdict.BaselineUnavailable), words(c))

	half := last.benchmarkLog(t)
	info, err := os.Stat(half)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(half, info.Size()/2))
	again := exec.Command(binary, "report", string(last.dir))
	out, err = again.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 5, again.ProcessState.ExitCode(), string(out))
	for metric, word := range words(runtest.Document(t, last.dir).Cases[0]) {
		require.Equal(t, verdict.Invalid, word, metric)
	}
}

// benchmarkLog is what the client of the only case printed.
func (j *job) benchmarkLog(t *testing.T) string {
	t.Helper()
	logs, err := filepath.Glob(runtest.Attempt(j.dir).Run(0).Output() + "/trtllm-benchmark.*.log")
	require.NoError(t, err)
	require.Len(t, logs, 1)
	return logs[0]
}
