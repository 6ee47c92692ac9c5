package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// aggregated is the stand-in's shortest case.
const aggregated = "perf/test_perf_sanity.py::test_e2e[aggr_upload-tiny_grace_blackwell-tiny_tp4_1k1k]"

// The life of a case: a history is collected, what is unchanged or was slow by chance passes, what is slower is a
// regression until someone accepts it, and what was not measured or cannot be compared is no pass.
func TestVerdictOverManyRuns(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "store")
	plain := config(t, local, "")
	text, err := os.ReadFile(plain)
	require.NoError(t, err)
	// What the other tests do to the machine meanwhile is not what this one is about: less than twice as slow is no
	// change, and what takes few tokens leaves the machine its time.
	judged := strings.Replace(string(text), "perf: {pins: pins.yaml, reruns: 0}", "perf: {store: \"dir:"+store+"\", mode: nightly, reruns: 3, metrics: {"+
		"output_token_throughput: {min_effect: 0.9}, ttft_median_ms: {min_effect: 0.9}, tpot_median_ms: {min_effect: 0.9}}}", 1)
	require.NotEqual(t, string(text), judged)
	few := filepath.Join(t.TempDir(), "aggregated")
	require.NoError(t, os.CopyFS(few, os.DirFS(filepath.Join(root, "testdata/workload/configs/aggregated"))))
	upload := filepath.Join(few, "tiny_grace_blackwell.yaml")
	points, err := os.ReadFile(upload)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(upload, []byte(strings.ReplaceAll(string(points), "osl: 64", "osl: 5")), 0o600))
	judged = strings.NewReplacer("setup: ", "setup: export CI_DISAGG_TOKEN_MS=40 CI_DISAGG_PREFILL_US=150; ",
		filepath.Join(root, "testdata/workload/configs/aggregated"), few).Replace(judged)
	require.NoError(t, os.WriteFile(plain, []byte(judged), 0o600))
	chance := filepath.Join(t.TempDir(), "ci-disagg.yaml")
	slowOnce := strings.Replace(judged, "setup: ", `setup: case "$jobWorkspace" in */rep-0/*) export CI_DISAGG_SLOW=400 ;; esac; `, 1)
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
	slow := "CI_DISAGG_SLOW=400"

	code, _, c := measure(plain)
	require.Equal(t, 5, code, c.Message)
	require.Equal(t, all(verdict.Collecting), words(c))
	// The history is the pace that the stand-in is told, in two waves: one measurement of it would have the machine's
	// pauses for ever.
	const ttft, wave = 1024*0.150 + 40, 1024*0.150 + 5*40 // ms
	told := map[string]float64{"output_token_throughput": 8 * 5 * 1000 / wave, "ttft_median_ms": ttft, "tpot_median_ms": 40}
	for i := range c.Metrics {
		if pace, ok := told[c.Metrics[i].Metric]; ok {
			c.Metrics[i].Value = &pace
		}
	}
	for day := range 12 {
		addToHistory(t, plain, day+1, c)
	}
	code, _, c = measure(plain)
	require.Equal(t, 0, code, c.Message)
	require.Equal(t, all(verdict.Pass), words(c))

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
			require.InDelta(t, 0, *row.Worse, 0.9, "the new level is the baseline of %s", row.Metric)
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

// addToHistory adds what was measured once more, as of so many days ago: most of a history need not be waited for.
func addToHistory(t *testing.T, configFile string, daysAgo int, measured report.CaseReport) {
	t.Helper()
	args := []string{
		"baseline", "add", "--config", configFile, "--case", measured.ID, "--by", "ana", "--reason", "measured before",
		"--time", strconv.FormatInt(time.Now().AddDate(0, 0, -daysAgo).Unix(), 10),
	}
	for k, v := range measured.Match {
		args = append(args, "--match", k+"="+v)
	}
	noise := 1 + float64(daysAgo%5-2)/100
	for _, row := range measured.Metrics {
		args = append(args, "--point", row.Point, "--value", fmt.Sprintf("%s=%g", row.Metric, *row.Value*noise))
	}
	out, err := exec.Command(binary, args...).CombinedOutput()
	require.NoError(t, err, string(out))
}

// benchmarkLog is what the client of the only case printed.
func (j *job) benchmarkLog(t *testing.T) string {
	t.Helper()
	logs, err := filepath.Glob(runtest.Attempt(j.dir).Run(0).Output() + "/trtllm-benchmark.*.log")
	require.NoError(t, err)
	require.Len(t, logs, 1)
	return logs[0]
}

// A nightly that is not green measures the pinned build beside it, once, and its report knows whether the environment
// did it.
func TestReferenceIsMeasuredBesideARun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pinned string
		exit         int
		says         string
	}{
		{"the change is slower", "1000", 4, "The environment has not moved"},
		{"everything is slower", "900", 5, "The environment has moved: the reference quick@0123456789ab, the same build as ever, is worse by 10."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := "dir:" + filepath.Join(t.TempDir(), "store")
			config := sessionConfig(t, `SPEED: "900"`, "")
			text, err := os.ReadFile(config)
			require.NoError(t, err)
			// No two runs may have the same figure, or the later one is no measurement.
			text = []byte(strings.NewReplacer(`"SET","%d.00"`, `"SET","%d.%s"`, "' $v >", "' $v $(date +%N) >").Replace(string(text)))
			require.Contains(t, string(text), `"%d.%s"`)
			require.Contains(t, string(text), "$v $(date +%N)")
			text = []byte(strings.Replace(string(text), "ab: {mode: always, answer_wait: 1m}", fmt.Sprintf("perf: {store: %q, reference: quick@0123456789ab, reruns: 3, rerun_delay: 2s}", store), 1))
			text = []byte(strings.Replace(string(text), `base: {env: {SPEED: "1000"}}`, fmt.Sprintf(`reference: {env: {SPEED: %q}}`, tt.pinned), 1))
			require.NoError(t, os.WriteFile(config, text, 0o600))
			add := func(days, value int, args ...string) {
				at := time.Now().AddDate(0, 0, -days).Format(time.RFC3339)
				cmd := exec.Command(binary, append([]string{
					"baseline", "add", "-c", config, "--by", "ana", "--reason", "history", "--store", store, "--case", "quick", "--match", "cluster=here",
					"--match", "pipeline=quick", "--point", "SET", "--time", at, "--value", "request_throughput=" + strconv.Itoa(value),
				}, args...)...)
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, string(out))
			}
			for day := range 9 {
				add(day+1, 1000+day*7%5, "--commit", fmt.Sprintf("%012x", 100-day))
			}
			for _, day := range []int{2, 5, 8} {
				add(day, 1000+day%3, "--mode", "reference", "--commit", "0123456789ab")
			}
			j := start(t, local, config, nil, "--backend", "local", "--commit", "bbbbbbbbbbbb")
			require.Equal(t, tt.exit, j.wait(t), "%s\n%s", &j.stdout, &j.stderr)
			require.Contains(t, j.stdout.String(), tt.says)
			require.Contains(t, j.stderr.String(), "measuring the reference quick@0123456789ab: quick is not green")
			c := runtest.Document(t, j.dir).Cases[0]
			require.Equal(t, tt.exit == 5, c.EnvironmentMoved)
			require.NotEmpty(t, c.Attempts[1:], "it was measured again")
			for k, a := range c.Attempts[1:] { // a bad night repeats itself
				require.False(t, a.Started.Before(c.Attempts[k].Ended.Add(2*time.Second)), "perf.rerun_delay: %s after %s", a.Started, c.Attempts[k].Ended)
			}
			j.nothingLeft(t, local)

			j = start(t, local, config, nil, "--backend", "local", "--commit", "cccccccccccc")
			require.Equal(t, tt.exit, j.wait(t), "%s\n%s", &j.stdout, &j.stderr)
			require.NotContains(t, j.stderr.String(), "measuring the reference", "it was measured since this began")
		})
	}
}

// A second cluster begins a history of its own in the same store: runs of before that name none are nobody's until
// somebody says whose they are, and what is usual on one cluster hides nothing on the other.
func TestTwoClustersInOneStore(t *testing.T) {
	t.Parallel()
	store := "dir:" + filepath.Join(t.TempDir(), "store")
	config := sessionConfig(t, "", "")
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	text = []byte(strings.NewReplacer(
		"{here: {gpus: none}}", "{east: {gpus: none}, west: {gpus: none}}",
		"ab: {mode: always, answer_wait: 1m}", fmt.Sprintf("perf: {store: %q, reruns: 0}", store),
		`"SET","%d.00"`, `"SET","%d.%s"`, "' $v >", "' $v $(date +%N) >").Replace(string(text)))
	require.NoError(t, os.WriteFile(config, text, 0o600))
	baseline := func(args ...string) string {
		cmd := exec.Command(binary, append([]string{"baseline"}, args...)...)
		cmd.Env = append(os.Environ(), "USER=ana")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	for day := range 17 {
		baseline("add", "-c", config, "--by", "ana", "--reason", "of before", "--case", "quick", "--match", "pipeline=quick", "--point", "SET",
			"--time", time.Now().AddDate(0, 0, -day-1).Format(time.RFC3339), "--value", fmt.Sprintf("request_throughput=%d", 1000+day*7%5))
	}
	for _, night := range []struct {
		cluster, speed, does string
		exit                 int
		says                 string
	}{
		{cluster: "east", speed: "1000", exit: 0},
		{cluster: "west", speed: "880", exit: 5, says: "A new history begins here: the case has one with cluster east (here west)"},
		{cluster: "east", speed: "1001", exit: 5, says: "17 older runs name no cluster and are left out, since the case is measured on cluster west too: 'ci-disagg baseline split'"},
		{cluster: "east", speed: "1001", exit: 0, does: "east"},
		{cluster: "east", speed: "500", exit: 4, says: " % worse than 100"},
	} {
		if night.does != "" {
			require.Contains(t, baseline("split", "--by", "cluster", "--to", night.does, "--store", store, "--reason", "a second one"), "17 runs to cluster east")
		}
		j := start(t, local, config, []string{"SPEED=" + night.speed}, "--backend", "local", "--cluster", night.cluster)
		require.Equal(t, night.exit, j.wait(t), "%v\n%s\n%s", night, &j.stdout, &j.stderr)
		require.Contains(t, j.stdout.String()+j.stderr.String(), night.says)
		j.nothingLeft(t, local)
	}
}
