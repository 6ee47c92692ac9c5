package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/runview"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// The demo as `make demo` runs it, but for the pins.
func TestDemo(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "testdata/demo/ci-disagg.yaml"))
	require.NoError(t, err)
	file := configOf(t, strings.ReplaceAll(string(text), "../workload", filepath.Join(root, "testdata/workload")))
	pinned(t, filepath.Join(filepath.Dir(file), "baselines.yaml"), true)
	j := start(t, local, file, nil, "--test-list", filepath.Join(root, "testdata/demo/suite.txt"))
	require.Equal(t, 0, j.wait(t))
	for _, f := range []string{rundir.ReportJUnit, rundir.ReportVerdict, rundir.ReportSummary} {
		require.FileExists(t, filepath.Join(j.dir.Report(), f))
	}
	d := runtest.Document(t, j.dir)
	require.Equal(t, report.Counts{Cases: 3, Passed: 3}, d.Counts)
	require.Len(t, runtest.Cases(t, j.dir, "")["demo"], 3)
	require.LessOrEqual(t, strings.Count(j.stdout.String(), "\n"), 30, "the console's last word")
}

// Every way to end that the tour shows, here and on a real Slurm.
func TestEndings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		env     []string
		kill    bool // GEN_0's pytest, from outside
		exit    int
		outcome rundir.Outcome
		class   string
		says    string // on the console
	}{
		{name: "pass", exit: 0, outcome: rundir.OutcomePassed, says: "1 passed"},
		{name: "slow", env: []string{"CI_DISAGG_SLOW=100"}, exit: 4, outcome: rundir.OutcomePassed, says: "tpot_median_ms"},
		// Slow, so that the benchmark is not through before the end that is done to it.
		{name: "killed", env: []string{"CI_DISAGG_TOKEN_MS=1000"}, kill: true, exit: 3, outcome: rundir.OutcomeInfra, class: "infra", says: "[GEN_0] killed by SIGKILL"},
		{
			name: "exception", env: []string{"CI_DISAGG_FAULT=GEN_0:crash-while-serving,BENCHMARK:patient", "CI_DISAGG_TOKEN_MS=1000"}, exit: 1,
			outcome: rundir.OutcomeTestFailed, class: "test", says: "CUDA error: an illegal memory access was encountered",
		},
	}
	for _, b := range []backend{local, slurm} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s_%s", b, tt.name), func(t *testing.T) {
				t.Parallel()
				args := []string{runtest.Wide}
				if b == slurm && tt.name == "pass" {
					args = append(args, "--detach")
				}
				file := config(t, b, "")
				if tt.name == "slow" {
					pinned(t, filepath.Join(filepath.Dir(file), "pins.yaml"), false)
				}
				j := start(t, b, file, tt.env, args...)
				if tt.kill {
					j.killGen0(t)
				}
				if len(args) > 1 {
					j.seenFromElsewhere(t)
				}
				require.Equal(t, tt.exit, j.wait(t))
				o := runtest.Outcome(t, j.dir)
				require.Equal(t, tt.outcome, o.Outcome, o.Reason)
				require.Contains(t, j.stdout.String(), tt.says)
				verdictCase := runtest.Cases(t, j.dir, "")["e2e"]
				require.Len(t, verdictCase, 1)
				if tt.class != "" {
					require.NotNil(t, o.Finding)
					require.Equal(t, "GEN_0", o.Finding.Root)
					require.Equal(t, tt.class, o.Finding.Class)
					j.blamesGen0(t)
				}
				j.nothingLeft(t, b)
				if b == slurm {
					j.stepsAsPlanned(t, o)
				}
			})
		}
	}
}

// seenFromElsewhere looks at a detached run as somebody does who has nothing but its directory: another folder, no
// config, no Slurm. Then it is gone on with.
func (j *job) seenFromElsewhere(t *testing.T) {
	t.Helper()
	require.Equal(t, 0, j.wait(t))
	look := func(args ...string) string {
		var errs bytes.Buffer
		c := exec.CommandContext(t.Context(), binary, args...)
		c.Dir, c.Stderr = t.TempDir(), &errs
		out, err := c.Output()
		require.NoError(t, err, "%v\n%s", args, &errs)
		return string(out)
	}
	require.Regexp(t, `\n\S+ +detached +\S+ +- +0/1, 1 running `, look("list", "--runs-dir", filepath.Dir(string(j.dir))))
	require.Contains(t, look("logs", "-f", string(j.dir), "con8", "BENCHMARK"), " passed in ") // until the job is over
	var status runview.Status
	require.NoError(t, json.Unmarshal([]byte(look("status", "-o", "json", string(j.dir))), &status))
	require.Equal(t, runview.Detached, status.State)
	require.Len(t, status.List, 1)
	require.NotNil(t, status.List[0].Over)
	require.NotEmpty(t, status.List[0].Job)
	require.Len(t, status.List[0].Roles, 4)
	require.Positive(t, status.Cost)

	j.stdout.Reset()
	j.args = []string{"resume", "--quiet", string(j.dir)}
	again := exec.CommandContext(t.Context(), binary, j.args...)
	again.Env, again.Stdout, again.Stderr = j.cmd.Env, &j.stdout, &j.stderr
	j.cmd = again
	require.NoError(t, j.cmd.Start())
}

// killGen0 waits until GEN_0 serves and kills its pytest.
func (j *job) killGen0(t *testing.T) {
	t.Helper()
	cluster.Eventually(t, runtest.Soon, "GEN_0 to serve", func() bool {
		logs, _ := filepath.Glob(string(j.dir) + "/cases/*/rep-0/attempt-1/run-0/output/gen_server_0.log")
		if len(logs) != 1 {
			return false
		}
		text, err := os.ReadFile(logs[0])
		return err == nil && strings.Contains(string(text), "iter = 3,")
	})
	for pid, line := range j.processes("DISAGG_SERVING_TYPE=GEN_0") {
		if strings.Contains(line, "-m pytest") && !strings.Contains(line, "trtllm-llmapi-launch") && !strings.Contains(line, "srun") {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			return
		}
	}
	t.Fatal("GEN_0 has no pytest to kill")
}

// blamesGen0 asserts that the report names GEN_0 as the root cause, shows its last lines, and calls no other role
// guilty.
func (j *job) blamesGen0(t *testing.T) {
	t.Helper()
	d := runtest.Document(t, j.dir)
	require.Len(t, d.Cases, 1)
	require.Equal(t, "GEN_0", d.Cases[0].Finding.Root)
	require.Empty(t, d.Cases[0].Finding.Roots, "nobody but GEN_0 is to blame")
	last := d.Cases[0].Attempts[len(d.Cases[0].Attempts)-1]
	for _, r := range last.Roles {
		if r.Name == "GEN_0" {
			require.Equal(t, "root", r.Status)
			require.NotEmpty(t, r.Tail)
		} else {
			require.NotContains(t, []string{"root", "failed"}, r.Status, r.Name)
		}
	}
	failure := runtest.Cases(t, j.dir, "")["e2e"][0]
	require.Error(t, failure.Error)
	require.Truef(t, strings.HasPrefix(failure.Message, "[GEN_0] "), "message begins with the root role: %s", failure.Message)
}

// stepsAsPlanned asserts that Slurm's accounting has one step per role, named after it, on the planned nodes.
func (j *job) stepsAsPlanned(t *testing.T, o rundir.AttemptOutcome) {
	t.Helper()
	var p rundir.Plan
	require.NoError(t, rundir.ReadJSON(runtest.Attempt(j.dir).PlanFile(), &p))
	want := map[string]string{}
	for _, r := range p.Roles() {
		var nodes []string
		for _, s := range r.Slice {
			nodes = append(nodes, o.Nodes[s.Node])
		}
		want[r.Name] = strings.Join(nodes, ",")
	}
	got := map[string]string{}
	for _, row := range cluster.Sacct(t, o.JobID, "JobID", "JobName", "NodeList") {
		if _, step, ok := strings.Cut(row[0], "."); ok && step != "batch" && step != "extern" && row[1] != "node-helper" {
			require.NotContains(t, got, row[1], "two steps of one role")
			got[row[1]] = strings.Join(strings.Fields(cluster.Command(t, "scontrol", "show", "hostnames", row[2])), ",")
		}
	}
	require.Equal(t, want, got)
}

// What is wrong before submission ends with 2 and one message, and reaches no cluster.
func TestUsageErrors(t *testing.T) {
	t.Parallel()
	noSbatch := t.TempDir()
	tests := []struct {
		name string
		more string
		env  []string
		test string
		says []string
	}{
		{name: "config", more: "retri: {max: 1}\n", test: runtest.Wide, says: []string{"ci-disagg.yaml:", "retri", "retry"}},
		{name: "test_id", test: "perf/test_perf_sanity.py::test_e2e[nonsense]", says: []string{"nonsense"}},
		{name: "yaml", test: "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-no_such_config]", says: []string{"no_such_config.yaml"}},
		{name: "sbatch", env: []string{"PATH=" + noSbatch}, test: runtest.Wide, says: []string{"sbatch"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := start(t, slurm, config(t, slurm, tt.more), tt.env, tt.test)
			require.Equal(t, 2, j.wait(t))
			require.Empty(t, j.stdout.String())
			for _, s := range tt.says {
				require.Contains(t, j.stderr.String(), s)
			}
			require.LessOrEqual(t, strings.Count(j.stderr.String(), "\n"), 3, "one clear message")
			jobs, err := filepath.Glob(string(j.dir) + "/cases/*/*/*/job.json")
			require.NoError(t, err)
			require.Empty(t, jobs, "nothing was submitted")
		})
	}
}

// What was measured on other GPUs than planned is no measurement. Here is none, so nvidia-smi is what it would print.
func TestWrongGPU(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		gpu    string
		number int // of GPUs that a node shows; its share is 4
		exit   int
		reason []string
	}{
		"planned":                    {gpu: "NVIDIA GB200", number: 4},
		"silent":                     {},
		"one has fallen off the bus": {gpu: "NVIDIA GB200", number: 3, exit: 5, reason: []string{"CTX_0 takes 4 GPUs of a node; ", "has shown 3 (nvidia-smi)"}},
		"another":                    {gpu: "NVIDIA B200", number: 4, exit: 5, reason: []string{"CTX_0 ran on NVIDIA B200 of ", "GEN_0 ran on NVIDIA B200 of "}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			if tt.gpu == "" {
				tt.gpu = " " // as good as no nvidia-smi, also where the machine has one
			}
			smi := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = '--query-gpu=name --format=csv,noheader' ] && printf '%%s\\n' %s\n", strings.Repeat(fmt.Sprintf(" %q", tt.gpu), max(1, tt.number)))
			require.NoError(t, rundir.WriteFile(filepath.Join(bin, "nvidia-smi"), []byte(smi), rundir.ExecMode))
			j := start(t, slurm, config(t, slurm, "", "gpu_type: GB200"), []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, runtest.Wide)
			require.Equal(t, tt.exit, j.wait(t))
			problems := strings.Join(runtest.Document(t, j.dir).Cases[0].Problems, "\n")
			for _, reason := range tt.reason {
				require.Contains(t, problems, reason)
			}
			if tt.exit == 0 {
				require.Empty(t, problems)
			}
			page, err := os.ReadFile(filepath.Join(j.dir.Report(), rundir.ReportIndex))
			require.NoError(t, err)
			require.Equal(t, name == "silent", strings.Contains(string(page), "gpu_type GB200 is not verified"))
		})
	}
}
