package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

var updatePlan = flag.Bool("update-plan", false, "rewrite the golden files of plan")

const planConfig = `stage: nightly
runs_dir: /runs
workload:
  source: /llm
  disagg_configs: configs/synthetic
  agg_configs: configs/synthetic
  env: {NCCL_DEBUG: INFO}
  secrets: [{name: HF_TOKEN}, {name: KEY, file: /run/key}]
clusters:
  gb200:
    partition: batch
    gpus_per_node: 4
    gpu_type: GB200
    max_nodes: 16
  b200:
    partition: other
perf:
  pins: pins.yaml
`

const planPins = `schema: 1
cases:
  "perf/test_perf_sanity.py::test_e2e[disagg-gen_only-six_gpus]":
    output_token_throughput: 12500
`

// planHost is a host in a directory with a config and the synthetic test
// configs.
func planHost(t *testing.T, env ...string) (h host, out, errs *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	configs, err := filepath.Abs("../../testdata/configs")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(configs, filepath.Join(dir, "configs")))
	for name, text := range map[string]string{"ci-disagg.yaml": planConfig, "pins.yaml": planPins} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	getenv := func(name string) string {
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v
			}
		}
		return ""
	}
	return host{
		stdout: out, stderr: errs, getenv: getenv, environ: func() []string { return env },
		now:   func() time.Time { return time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC) },
		getwd: func() (string, error) { return dir, nil }, executable: func() (string, error) { return "/opt/ci-disagg", nil },
		readFile: os.ReadFile,
	}, out, errs
}

func TestPlanTable(t *testing.T) {
	t.Parallel()
	h, out, errs := planHost(t, "PERF_TEST_FUNCTION=test_e2e")
	code := run(t.Context(), h, []string{"plan", "--cluster", "gb200", "disagg-gen_only-six_gpus TIMEOUT (90)", "aggr-agg_two_sizes-big-tp8", "disagg-e2e-quoting SKIP (nvbugs/1)"})
	require.Equal(t, exit.Passed, code, errs.String())
	got := strings.ReplaceAll(out.String(), runtime.GOARCH, "amd64")
	golden := filepath.Join("testdata", "plan.txt")
	if *updatePlan {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// A recorded nvidia-smi on PATH: servers get different GPUs of this machine, and no more than there are.
func TestPlanOnThisMachine(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	machine := func(gpus int) []string {
		var text strings.Builder
		text.WriteString("#!/bin/sh\n[ \"$*\" = '--query-gpu=index --format=csv,noheader' ] || exit 2\n")
		for i := range gpus {
			fmt.Fprintf(&text, "echo %d\n", i)
		}
		dir := filepath.Join(bin, fmt.Sprint(gpus))
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, rundir.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(text.String()), rundir.ExecMode))
		return []string{"plan", "--cluster", "gb200", "--backend", "local", "disagg-gen_only-six_gpus", "-o", "json"}
	}
	args := machine(8)
	h, _, errs := planHost(t, "PATH="+filepath.Join(bin, "8"))
	require.Equal(t, exit.Usage, run(t.Context(), h, args))
	require.Contains(t, errs.String(), "takes 12 GPUs, and this machine has 8 (nvidia-smi): use fewer or smaller servers, a cluster, or")

	machine(16)
	h, out, errs := planHost(t, "PATH="+filepath.Join(bin, "16"))
	require.Equal(t, exit.Passed, run(t.Context(), h, args), errs.String())
	var doc pipeline.Document
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	var got []int
	for _, r := range doc.Cases[0].Roles() {
		for _, share := range r.Slice {
			got = append(got, share.Devices...)
		}
	}
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, got, "numbered through")
	require.Equal(t, 12, doc.Cases[0].AllocatedGPUs, "what GPU-hours count")

	h, out, errs = planHost(t, "PATH="+bin)
	require.Equal(t, exit.Passed, run(t.Context(), h, args[:6]), errs.String())
	require.Contains(t, out.String(), "make-believe GPUs")
	require.NotContains(t, out.String(), "nvidia-smi is here")

	broken := filepath.Join(bin, "broken")
	require.NoError(t, os.MkdirAll(broken, 0o755))
	require.NoError(t, rundir.WriteFile(filepath.Join(broken, "nvidia-smi"), []byte("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n"), rundir.ExecMode))
	h, out, errs = planHost(t, "PATH="+broken)
	require.Equal(t, exit.Passed, run(t.Context(), h, args[:6]), errs.String())
	require.Contains(t, out.String(), "nvidia-smi is here and says nothing of GPUs (exit 9: NVIDIA-SMI has failed)")
}

// plan says what a comparison of two builds is and costs, and refuses what would cost too much.
func TestPlanOfASession(t *testing.T) {
	t.Parallel()
	h, out, errs := planHost(t)
	ab := []string{"plan", "--cluster", "gb200", "--ab", "--ab-base-image=old.sqsh", "--ab-base-commit=1234567", "disagg-gen_only-six_gpus"}
	require.Equal(t, exit.Passed, run(t.Context(), h, ab), errs.String())
	require.Regexp(t, `session +base against head in pairs, always`, out.String())
	require.Regexp(t, `build +base: .*old.sqsh, 1234567`, out.String())
	require.Regexp(t, `costs +4 pairs: at most 10 runs, 8h, 128.0 GPU-hours`, out.String())
	require.Regexp(t, `costs +10 pairs: at most 22 runs, 8h, 128.0 GPU-hours`, out.String())
	require.Equal(t, exit.Usage, run(t.Context(), h, []string{"plan", "--cluster", "gb200", "--ab", "disagg-gen_only-six_gpus"}))
	require.Contains(t, errs.String(), "which build is it to be compared with?")
	file := filepath.Join(mustWD(t, h), "ci-disagg.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(text, "\nab: {max_gpu_hours: 100}\n"...), 0o600))
	errs.Reset()
	require.Equal(t, exit.Usage, run(t.Context(), h, ab))
	require.Contains(t, errs.String(), "ab.max_gpu_hours: the paired sessions of 1 cases may take 128.0 GPU-hours")
	errs.Reset()
	require.Equal(t, exit.Usage, run(t.Context(), h, []string{"plan", "--backend=local", "--cluster", "gb200", "--ab", "--ab-base-image=old.sqsh", "disagg-gen_only-six_gpus"}))
	require.Contains(t, errs.String(), "the local backend runs no container")
}

func mustWD(t *testing.T, h host) string {
	t.Helper()
	wd, err := h.getwd()
	require.NoError(t, err)
	return wd
}

func TestPlanJSON(t *testing.T) {
	t.Parallel()
	h, out, errs := planHost(t)
	code := run(t.Context(), h, []string{"plan", "-o", "json", "--cluster", "gb200", "disagg-gen_only-six_gpus"})
	require.Equal(t, exit.Passed, code, errs.String())
	var doc pipeline.Document
	dec := json.NewDecoder(bytes.NewReader(out.Bytes()))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&doc))
	require.Equal(t, pipeline.Schema, doc.Schema)
	require.Len(t, doc.Cases, 1)
	require.Equal(t, 4, doc.Cases[0].Nodes)
	require.Equal(t, []rundir.NodeShare{{Node: 0, Tasks: 4, GPUs: 4}, {Node: 1, Tasks: 2, GPUs: 2}}, doc.Cases[0].Roles()[0].Slice)
	require.Contains(t, doc.Cases[0].Baseline, "1 pinned value in")
	require.Contains(t, doc.Settings, pipeline.Setting{Key: "cluster", Value: "gb200", From: "--cluster"})
	require.Contains(t, doc.Settings, pipeline.Setting{Key: "clusters.gb200.gpus", Value: "gpus-per-node", From: "default"})
	require.Contains(t, doc.Settings, pipeline.Setting{Key: "clusters.gb200.max_nodes", Value: "16", From: "ci-disagg.yaml:14:5"})
}

// docs/plan.md describes every key of the JSON and no other.
func TestPlanDocumentIsDocumented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/plan.md")
	require.NoError(t, err)
	documented := map[string]bool{}
	for line := range strings.Lines(string(data[bytes.Index(data, []byte("## JSON")):])) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			key, _, _ := strings.Cut(rest, "`")
			documented[key] = true
		}
	}
	for _, key := range jsonKeys(reflect.TypeFor[pipeline.Document](), "") {
		require.True(t, documented[key], "docs/plan.md does not describe %s", key)
		delete(documented, key)
	}
	require.Empty(t, documented, "docs/plan.md describes keys that do not exist")
}

// jsonKeys lists every key path of a type; elements of lists are []. Types that
// have been described once (prechecks are roles, exports are variables) are not
// described again.
func jsonKeys(t reflect.Type, path string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			path += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			keys = append(keys, jsonKeys(f.Type, path)...)
			continue
		}
		key := strings.TrimPrefix(path+"."+name, ".")
		keys = append(keys, key)
		switch key {
		case "cases[].pre_roles", "cases[].env", "cases[].exports", "cases[].paths":
		default:
			keys = append(keys, jsonKeys(f.Type, key)...)
		}
	}
	return keys
}

func TestPlanScript(t *testing.T) {
	t.Parallel()
	h, out, errs := planHost(t)
	code := run(t.Context(), h, []string{"plan", "--script", "--cluster", "gb200", "disagg-gen_only-six_gpus"})
	require.Equal(t, exit.Passed, code, errs.String())
	for _, want := range []string{"==> /runs/RUN/cases/", "/attempt-1/job.sh <==", "#SBATCH --partition=batch", "exec /opt/ci-disagg agent /runs/RUN/", "/run-0/roles/BENCHMARK/role.sh <=="} {
		require.Contains(t, out.String(), want)
	}
	draft := filepath.Join(t.TempDir(), "draft.sh")
	require.NoError(t, os.WriteFile(draft, []byte("srun \"${srunArgs[@]}\" \"$runScript\"\n"), 0o600))
	out.Reset()
	code = run(t.Context(), h, []string{"plan", "--script", "--draft", draft, "--cluster", "gb200", "disagg-gen_only-six_gpus"})
	require.Equal(t, exit.Passed, code, errs.String())
	require.Contains(t, out.String(), "srun \"${srunArgs[@]}\" \"$runScript\"")
	require.NotContains(t, out.String(), "exec /opt/ci-disagg")
	out.Reset()
	code = run(t.Context(), h, []string{"plan", "--draft", draft, "--cluster", "gb200", "disagg-gen_only-six_gpus"})
	require.Equal(t, exit.Passed, code, errs.String())
	require.Contains(t, out.String(), "   launch    by the draft, not by the agent")
	require.Contains(t, out.String(), "under a draft servers are not watched")
	require.NotContains(t, out.String(), "ucx has no effect")
	require.Contains(t, out.String(), "GEN_0 is made of 6 GPUs; a draft that multiplies nodes by GPUs per node starts 8 tasks for it: run this case without "+draft)
}

func TestPlanWrite(t *testing.T) {
	t.Parallel()
	h, out, errs := planHost(t)
	dir := filepath.Join(t.TempDir(), "new", "attempt")
	code := run(t.Context(), h, []string{"plan", "--write", dir, "--cluster", "gb200", "disagg-gen_only-six_gpus"})
	require.Equal(t, exit.Passed, code, errs.String())
	require.Equal(t, dir+"/job.sh\n", out.String())
	var p rundir.Plan
	require.NoError(t, rundir.ReadJSON(rundir.AttemptDir(dir).PlanFile(), &p))
	for _, r := range p.Roles() {
		require.FileExists(t, rundir.AttemptDir(dir).Run(0).RoleScript(r.Name))
	}
	code = run(t.Context(), h, []string{"plan", "--write", dir, "--cluster", "gb200", "disagg-gen_only-six_gpus", "disagg-quoting"})
	require.Equal(t, exit.Usage, code)
	require.Contains(t, errs.String(), "this is 2 cases")
	again := []string{"plan", "--write", dir, "--cluster", "gb200", "disagg-gen_only-six_gpus"}
	require.Equal(t, exit.Passed, run(t.Context(), h, again), "the same files once more")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run-0", "roles", "GEN_0", "results.0.xml"), nil, 0o600))
	require.Equal(t, exit.Usage, run(t.Context(), h, again))
	require.Contains(t, errs.String(), "run-0/roles/GEN_0/results.0.xml is there from an earlier job: remove the directory, or choose another")
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"which tests?":                        {},
		`-o "yaml" is not table or json`:      {"-o", "yaml", "x"},
		"no config for disagg_upload-x":       {"--cluster", "gb200", "x"},
		"which cluster?":                      {"disagg-gen_only-six_gpus"},
		"--cluster c: the config has no such": {"--cluster", "c", "x"},
	} {
		h, _, errs := planHost(t)
		require.Equal(t, exit.Usage, run(t.Context(), h, append([]string{"plan"}, args...)), args)
		require.Contains(t, strings.ToLower(errs.String()), strings.ToLower(want))
	}
}

func TestPlanLooksForProgramsHere(t *testing.T) {
	t.Parallel()
	h, out, errs := planHost(t, "PATH=/usr/bin:/bin")
	require.Equal(t, exit.Usage, run(t.Context(), h, []string{"plan", "--check", "--backend", "local", "--cluster", "gb200", "disagg-gen_only-six_gpus"}))
	require.Contains(t, errs.String(), "1 of 1 case cannot run here:")
	require.Contains(t, out.String(), "trtllm-llmapi-launch (GEN_0)")
}

// The config that docs/moving-over.md begins with is one, down to every key.
func TestConfigOfMovingOver(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/moving-over.md")
	require.NoError(t, err)
	_, text, ok := strings.Cut(string(data), "```yaml\n")
	require.True(t, ok)
	text, _, _ = strings.Cut(text, "```")
	c, err := configfile.Parse("moving-over.md", []byte(text))
	require.NoError(t, err)
	_, profile, err := c.Profile("gb200")
	require.NoError(t, err)
	require.NotNil(t, profile.Container)
	path, err := profile.AgentFor("amd64")
	require.NoError(t, err)
	require.NotEmpty(t, path)
}

// Without a config nothing is known of a cluster.
func TestPlanWithoutConfig(t *testing.T) {
	t.Parallel()
	h, _, errs := planHost(t)
	h.getwd = func() (string, error) { return t.TempDir(), nil }
	require.Equal(t, exit.Usage, run(t.Context(), h, []string{"plan", "--cluster", "gb200", "x"}))
	require.Contains(t, errs.String(), "--cluster gb200: no ci-disagg.yaml is here that would describe it: name one with --config")
}

// --check asks a real Slurm, which takes one job and refuses the other.
func TestPlanCheck(t *testing.T) {
	cluster := slurmtest.Start(t, slurmtest.Options{Nodes: "4x4", NoAccounting: true, Conf: slurmtest.Patient()})
	h, out, errs := planHost(t, cluster.Env(t)...)
	args := []string{"plan", "-o", "json", "--check", "--cluster", "gb200", "disagg-gen_only-six_gpus"}
	require.Equal(t, exit.Passed, run(t.Context(), h, args), errs.String())
	var doc pipeline.Document
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	require.True(t, doc.Cases[0].Check.OK)
	require.Contains(t, doc.Cases[0].Check.Answer, "on nodes gpu[0-3]")
	require.Empty(t, cluster.Running(t), "nothing was submitted")
	out.Reset()
	args[5] = "b200"
	require.Equal(t, exit.Usage, run(t.Context(), h, args))
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	require.False(t, doc.Cases[0].Check.OK)
	require.Contains(t, doc.Cases[0].Check.Answer, "nvalid partition")
	require.Contains(t, errs.String(), "slurm would not take 1 of 1 job:\nperf/test_perf_sanity.py::test_e2e[disagg-gen_only-six_gpus]: ")

	// A partition's limits, which sbatch does not name or, as for the time, not even mind.
	dir, _ := h.getwd()
	for profile, want := range map[string]string{
		"partition: limited, time: 4m":         "partition limited allows 2 nodes per job, the job needs 4",
		"partition: 'limited,batch', time: 4m": "",
	} {
		text := strings.Replace(planConfig, "    partition: other\n", "", 1)
		text = strings.Replace(text, "  b200:", "  b200: {"+profile+"}", 1)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "ci-disagg.yaml"), []byte(text), 0o600))
		out.Reset()
		code := run(t.Context(), h, args)
		require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
		require.Equal(t, want == "", doc.Cases[0].Check.OK, profile)
		require.Contains(t, doc.Cases[0].Check.Answer, want)
		require.Equal(t, want == "", code == exit.Passed)
	}
	require.Empty(t, cluster.Running(t), "nothing was submitted")
}

// A run that is new reads its config once, whether or not its directory is named.
func TestConfigIsReadOnce(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{false, true} {
		h, _, errs := planHost(t, "HF_TOKEN=hf_x1234", "HOME="+t.TempDir())
		var read []string
		h.readFile = func(path string) ([]byte, error) {
			read = append(read, filepath.Base(path))
			return os.ReadFile(path)
		}
		args := []string{"run", "--cluster", "gb200", "disagg-gen_only-six_gpus"}
		if named {
			args = append(args, "--run-dir", filepath.Join(t.TempDir(), "r"))
		}
		require.Equal(t, exit.Usage, run(t.Context(), h, args))
		require.Contains(t, errs.String(), "there is no sbatch on PATH", "it came as far as to submit")
		require.Equal(t, []string{"ci-disagg.yaml", "six_gpus.yaml"}, read)
	}
}
