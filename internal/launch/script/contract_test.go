package script_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// contract plans one case as a team's pipeline would, with a given
// pytestCommand, and gives the variables that bash has after the generated
// job.sh has run down to the draft.
func contract(t *testing.T, test, command string, env map[string]string) map[string]string {
	t.Helper()
	if env == nil {
		env = map[string]string{}
	}
	env["pytestCommand"] = command
	plans, err := trtllm.Resolve(trtllm.Input{
		Config: trtllm.Config{Source: "/llm", Tests: trtllm.Tests{DisaggConfigs: absConfigs(t, "disaggregated"), AggConfigs: absConfigs(t, "aggregated")}, Commands: trtllm.Commands{Precheck: "precheck --now"}},
		Stage:  "stage", Tests: []string{test}, Env: env, Base: "/",
	})
	require.NoError(t, err)
	require.Len(t, plans, 1)
	prof := script.Profile{}
	draft := `for v in $(compgen -e); do printf '%s=%s\0' "$v" "${!v}"; done; printf 'srunArgs=%s\0' "${srunArgs[*]}"`
	dir := write(t, script.Apply(plans[0], prof), prof, script.Attempt{Dir: filepath.Join(t.TempDir(), "a"), JobName: "j", Draft: []byte(draft), DraftName: "draft.sh"})
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	lint(t, dir)
	out, err := exec.CommandContext(context.Background(), "env", "-i", "PATH="+os.Getenv("PATH"), "bash", filepath.Join(dir, "job.sh")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	vars := map[string]string{"": dir}
	for _, v := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	return vars
}

const seedCase = "disagg_upload-gb200_deepseek-v3-lite-fp8_1k1k_con256_ctx1_tp1_gen1_tp2_eplb0_mtp0_ccb-NIXL"

// The two scenarios of the pipeline: without the launcher in pytestCommand both
// bases are the same text; with it workers keep it, router and client lose it,
// and the variable keeps its name.
func TestDraftVariablesOfTheSeedPipeline(t *testing.T) {
	t.Parallel()
	const worker = "TLLM_LOG_LEVEL=INFO TRTLLM_SERVER_DISABLE_GC=1 TRTLLM_WORKER_DISABLE_GC=1 TRTLLM_ENABLE_PDL=1 ENROOT_ALLOW_DEV=yes "
	const junit = ` --junit-xml="$CI_DISAGG_RUN/roles/${CI_DISAGG_ROLE:-${DISAGG_SERVING_TYPE:-AGG}}/results.${SLURM_PROCID:-0}.xml"`
	base := "pytest perf/test_perf_sanity.py::test_e2e[" + seedCase + "] -vv"
	for name, launcher := range map[string]string{"absent": "", "present": "trtllm-llmapi-launch "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := launcher + base + " --junit-xml=/ws/results.xml"
			v := contract(t, seedCase, given, nil)
			require.Equal(t, given, v["pytestCommand"])
			require.Equal(t, base+" --junit-xml=/ws/results.xml", v["pytestCommandNoLLMAPILaunch"])
			require.Equal(t, "unset UCX_TLS && "+worker+launcher+base+junit, v["pytestCommandWorker"])
			require.Equal(t, v["pytestCommandWorker"], v["pytestCommandGENWorker"])
			require.Equal(t, v["pytestCommandWorker"], v["pytestCommandCTXWorker"])
			require.Equal(t, "TRTLLM_SERVER_DISABLE_GC=1 "+base+junit, v["pytestCommandDisaggServer"])
			require.Equal(t, base+junit, v["pytestCommandBenchmark"])
			dir := v[""]
			for name, want := range map[string]string{
				"numCtxServers": "1", "numGenServers": "1", "gpusPerNode": "4", "totalNodes": "2", "totalGpus": "8",
				"gpusPerCtxServer": "1", "nodesPerCtxServer": "1", "gpusPerNodePerCtxServer": "1", "gpusPerfNodePerfCtxServer": "1",
				"gpusPerGenServer": "2", "nodesPerGenServer": "1", "gpusPerNodePerGenServer": "2", "gpusPerfNodePerfGenServer": "2",
				"jobWorkspace": dir, "testOutputDir": dir + "/run-0/output", "runScript": dir + "/run.sh", "installScript": dir + "/install.sh",
				"llmSrcNode": "/llm", "perfMode": "true", "stageName": "stage", "resourcePathNode": "/llm", "NVIDIA_IMEX_CHANNELS": "0",
				"NVIDIA_VISIBLE_DEVICES": "0,1,2,3", "ctPrecheckEnabled": "0", "ctPrecheckTimeout": "900", "coverageConfigFile": "",
				"configYamlPath": absConfigs(t, "disaggregated") + "/" + strings.TrimPrefix(seedCase, "disagg_upload-") + ".yaml",
			} {
				require.Equal(t, want, v[name], name)
			}
			require.Regexp(t, `^local\.0\.\d+$`, v["TRTLLM_PERF_RUN_TOKEN"])
		})
	}
}

func TestDraftVariablesOfOtherModes(t *testing.T) {
	t.Parallel()
	t.Run("aggregated", func(t *testing.T) {
		t.Parallel()
		v := contract(t, "aggr_upload-deepseek_r1_fp4_v2_2_nodes_grace_blackwell-r1_fp4_v2_tep8_mtp3", "trtllm-llmapi-launch pytest {test_id}", nil)
		for name, want := range map[string]string{"world_size": "8", "nodesPerServer": "2", "gpusPerNodePerServer": "4", "totalNodes": "2", "totalGpus": "8"} {
			require.Equal(t, want, v[name], name)
		}
		require.True(t, strings.HasPrefix(v["pytestCommand"], "TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS=3 trtllm-llmapi-launch pytest 'perf"), v["pytestCommand"])
		require.NotContains(t, v, "numCtxServers")
	})
	t.Run("gen_only", func(t *testing.T) {
		t.Parallel()
		v := contract(t, "disagg-gen_only-deepseek-r1-fp4_8k1k_ctx8_gen1_dep32_bs16_eplb288_mtp3_ccb-UCX", "trtllm-llmapi-launch pytest {test_id}", map[string]string{"NVIDIA_IMEX_CHANNELS": "3"})
		require.Contains(t, v["pytestCommandGENWorker"], "TRTLLM_DISABLE_KV_CACHE_TRANSFER_OVERLAP=1 TLLM_BENCHMARK_REQ_QUEUES_SIZE=512 ")
		require.Contains(t, v["pytestCommandCTXWorker"], "TRTLLM_DISABLE_KV_CACHE_TRANSFER_OVERLAP=1 ")
		require.NotContains(t, v["pytestCommandCTXWorker"], "QUEUES_SIZE")
		require.NotContains(t, v, "TRTLLM_DISAGG_BENCHMARK_GEN_ONLY")
		require.Equal(t, "8", v["numCtxServers"], "context servers run in gen_only")
		require.Equal(t, "3", v["NVIDIA_IMEX_CHANNELS"])
	})
	t.Run("precheck", func(t *testing.T) {
		t.Parallel()
		v := contract(t, seedCase, "trtllm-llmapi-launch pytest {test_id}", map[string]string{"TRTLLM_DISAGG_CT_PRECHECK": "1"})
		require.Equal(t, "1", v["ctPrecheckEnabled"])
		require.Contains(t, v["pytestCommandGENPrecheck"], "ENROOT_ALLOW_DEV=yes precheck --now")
		require.Contains(t, v["pytestCommandCTXPrecheck"], "ENROOT_ALLOW_DEV=yes precheck --now")
	})
}

// Upstream's own check: what a draft starts evaluates $pytestCommand; the
// process has to get each argument as the user wrote it.
func TestRunScriptEvaluatesTheDraftsCommand(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	record := filepath.Join(bin, "args")
	require.NoError(t, rundir.WriteFile(filepath.Join(bin, "pytest"), []byte("#!/bin/bash\nprintf '%s\\0' \"$@\" >"+quoted(t, record)+"\n"), rundir.ExecMode))
	v := contract(t, seedCase, "trtllm-llmapi-launch pytest {test_id} -k "+quoted(t, awkward), nil)
	cmd := exec.Command("bash", v["runScript"])
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "pytestCommand=" + v["pytestCommandBenchmark"], "DISAGG_SERVING_TYPE=BENCHMARK", "SLURM_PROCID=0"}
	// run.sh goes to the checkout's test folder, which is not here.
	script, err := os.ReadFile(v["runScript"])
	require.NoError(t, err)
	script = []byte(strings.ReplaceAll(string(script), "cd /llm/tests/integration/defs", "cd /"))
	require.NoError(t, rundir.WriteFile(v["runScript"], script, rundir.ExecMode))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	got, err := os.ReadFile(record)
	require.NoError(t, err)
	require.Equal(t, []string{
		"perf/test_perf_sanity.py::test_e2e[" + seedCase + "]", "-k", awkward, "--junit-xml=" + v[""] + "/run-0/roles/BENCHMARK/results.0.xml",
	}, strings.Split(strings.TrimSuffix(string(got), "\x00"), "\x00"))
}

// Nothing that the profile says is lost on the way to sbatch, and the same input
// gives the same bytes.
func TestJobScript(t *testing.T) {
	t.Parallel()
	prof := script.Profile{
		Queue: script.Queue{Partition: "gb200", Account: "perf", QOS: "high", Reservation: "ci"}, Hardware: script.Hardware{Arch: "arm64"}, GPUs: script.GPUsGres, Exclusive: true, Segment: true, Exclude: []string{"bad2", "bad1"},
		Comment: `{"owner":"{owner}"}`, Sbatch: []string{"--switches=1", "--wckey=a b"}, Srun: []string{"--no-container-entrypoint"}, AccountArg: true, MPI: "pmi2",
		Container: &script.Container{Image: "docker://trt#1", Name: "perf", Workdir: "/tmp", Mounts: []string{"/lustre:/lustre:ro"}, Args: []string{"--container-remap-root"}},
		Env:       map[string]string{"NCCL_DEBUG": "INFO"}, Agent: map[string]string{"arm64": "/opt/ci-disagg-arm64", "amd64": "/opt/ci-disagg-amd64"},
	}
	require.NoError(t, prof.Validate("gb200"))
	plans, err := trtllm.Resolve(trtllm.Input{
		Config: trtllm.Config{
			Source:   "/llm",
			Secrets:  []trtllm.Secret{{Name: "HF_TOKEN"}, {Name: "DB_PASSWORD", From: "JENKINS_DB"}, {Name: "KEY", File: "/etc/ci/key"}},
			Tests:    trtllm.Tests{DisaggConfigs: "../../../testdata/configs/synthetic"},
			Commands: trtllm.Commands{Install: "pip install -q trtllm.whl", Setup: "ulimit -c 0"},
		},
		Stage: "GB200-PerfSanity", Tests: []string{"disagg-gen_only-six_gpus"}, Base: ".",
	})
	require.NoError(t, err)
	p := script.Apply(plans[0], prof)
	a := script.Attempt{Dir: "/runs/1/attempt-1", JobName: "ci-disagg-abc", Owner: "build-7", Exclude: []string{"bad3", "bad1"}}
	files, err := script.Render(p, prof, a)
	require.NoError(t, err)
	again, err := script.Render(p, prof, a)
	require.NoError(t, err)
	require.Equal(t, files, again)
	var all strings.Builder
	for _, f := range files {
		if f.Path == "plan.json" || strings.Contains(f.Path, "CTX_1") {
			continue
		}
		fmt.Fprintf(&all, "=== %s %v\n%s", f.Path, f.Mode, f.Data)
	}
	at, err := script.Place(p, rundir.AttemptDir(a.Dir), p.Runs[0])
	require.NoError(t, err)
	for _, r := range p.Roles() {
		fmt.Fprintf(&all, "=== srun of %s\n%s\n", r.Name, strings.Join(script.StepArgs(p, at, r, []string{"n0", "n1", "n2", "n3"}), "\n"))
	}
	fmt.Fprintf(&all, "=== srun of the install step\n%s\n", strings.Join(script.InstallArgs(p, at, []string{"n0", "n1", "n2", "n3"}), "\n"))
	golden(t, "job.txt", all.String())
	dir := write(t, p, prof, script.Attempt{JobName: "j"})
	lint(t, dir)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// Every script of every config is clean, for Slurm and for the local backend.
func TestScriptsOfAllConfigsAreClean(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"disaggregated", "aggregated", "synthetic"} {
		files, err := filepath.Glob(absConfigs(t, folder) + "/*.yaml")
		require.NoError(t, err)
		for _, f := range files {
			stem := strings.TrimSuffix(filepath.Base(f), ".yaml")
			prefix := "disagg-"
			if folder == "aggregated" || strings.HasPrefix(stem, "agg_") {
				prefix = "aggr-"
			}
			for _, local := range []bool{false, true} {
				plans, err := trtllm.Resolve(trtllm.Input{
					Config: trtllm.Config{Env: map[string]string{"AWKWARD": awkward}, Tests: trtllm.Tests{DisaggConfigs: absConfigs(t, folder), AggConfigs: absConfigs(t, folder)}, Commands: trtllm.Commands{Setup: "export X=1"}},
					Tests:  []string{prefix + stem}, Stage: awkward, Base: "/", Local: local,
				})
				require.NoError(t, err)
				prof := script.Profile{Comment: awkward, GPUs: script.GPUsNone}
				lint(t, write(t, script.Apply(plans[0], prof), prof, script.Attempt{JobName: awkward, Owner: awkward, AgentPath: "/a b/ci-disagg"}))
			}
		}
	}
}

// A planted secret is in no file of an attempt and reaches the role.
func TestSecretsStayOutOfScripts(t *testing.T) {
	t.Parallel()
	const planted = "s3cr3t-p1anted"
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, rundir.WriteFile(file, []byte("file-"+planted+"\n"), 0o600))
	plans, err := trtllm.Resolve(trtllm.Input{
		Config: trtllm.Config{
			OutputLayout: "none",
			Secrets:      []trtllm.Secret{{Name: "HF_TOKEN"}, {Name: "DB", From: "JENKINS_DB"}, {Name: "KEY", File: file}},
			Tests:        trtllm.Tests{DisaggConfigs: absConfigs(t, "synthetic")},
			Commands:     trtllm.Commands{Command: `test {test_id} && printenv HF_TOKEN DB KEY`},
		},
		Tests: []string{"disagg-quoting"}, Base: "/", Env: map[string]string{},
	})
	require.NoError(t, err)
	prof := script.Profile{ExportEnv: []string{"PATH"}, Container: &script.Container{Image: "i"}}
	dir := write(t, script.Apply(plans[0], prof), prof, script.Attempt{JobName: "j", AgentPath: "/bin/echo"})
	lint(t, dir)
	var names []string
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		require.NoError(t, err)
		if !info.IsDir() {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(data), planted)
			names = append(names, path)
		}
		return nil
	}))
	require.Greater(t, len(names), 5)
	job, err := os.ReadFile(filepath.Join(dir, "job.sh"))
	require.NoError(t, err)
	require.Contains(t, string(job), "#SBATCH --export=PATH,HF_TOKEN,JENKINS_DB\n")
	run := func(env ...string) (string, error) {
		cmd := exec.Command("bash", filepath.Join(dir, "run-0/roles/BENCHMARK/role.sh"))
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("HF_TOKEN=hf-"+planted, "JENKINS_DB=db-"+planted)
	require.NoError(t, err, out)
	require.Equal(t, []string{"hf-" + planted, "db-" + planted, "file-" + planted}, strings.Fields(out))
	out, err = run("HF_TOKEN=hf-" + planted)
	require.Error(t, err)
	require.Contains(t, out, "secret DB is not set")
	require.NotContains(t, out, planted)
}

func TestUnevenSharesHideGPUs(t *testing.T) {
	t.Parallel()
	plans, err := trtllm.Resolve(trtllm.Input{
		Config: trtllm.Config{OutputLayout: "none", Tests: trtllm.Tests{DisaggConfigs: absConfigs(t, "synthetic")}, Commands: trtllm.Commands{Command: `echo {test_id}`, UCX: "none"}},
		Tests:  []string{"disagg-gen_only-context_parallel"}, Base: "/", Env: map[string]string{},
	})
	require.ErrorContains(t, err, "does not run under trtllm-llmapi-launch")
	require.Empty(t, plans)
	plans, err = trtllm.Resolve(trtllm.Input{
		Config: trtllm.Config{OutputLayout: "none", Tests: trtllm.Tests{DisaggConfigs: absConfigs(t, "synthetic")}, Commands: trtllm.Commands{Command: `trtllm-llmapi-launch echo {test_id}`}},
		Tests:  []string{"disagg-gen_only-six_gpus"}, Base: "/", Env: map[string]string{},
	})
	require.NoError(t, err)
	p := script.Apply(plans[0], script.Profile{GPUs: script.GPUsNone})
	p.Builds[0].Roles[0].Command = `echo "$CUDA_VISIBLE_DEVICES"`
	p.Builds[0].Roles[1].Command = `echo "$CUDA_VISIBLE_DEVICES"`
	dir := write(t, p, script.Profile{}, script.Attempt{JobName: "j", AgentPath: "/bin/echo"})
	for _, c := range []struct{ role, node, given, want string }{
		{"GEN_0", "0", "", "0,1,2,3"}, {"GEN_0", "1", "", "0,1"}, {"GEN_0", "1", "4,5,6,7", "4,5"}, {"GEN_0", "1", "GPU-a,GPU-b,GPU-c", "GPU-a,GPU-b"}, {"CTX_0", "0", "", "0,1,2"},
	} {
		cmd := exec.Command("bash", filepath.Join(dir, "run-0/roles", c.role, "role.sh"))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SLURM_NODEID=" + c.node}
		if c.given != "" {
			cmd.Env = append(cmd.Env, "CUDA_VISIBLE_DEVICES="+c.given)
		}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, c.want, strings.TrimSpace(string(out)), c)
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	good := rundir.Plan{
		Case: rundir.Case{ID: "x"},
		Runs: rundir.OneRun(),
		Builds: []rundir.BuildPlan{{
			Name: rundir.HeadBuild, Roles: []rundir.RolePlan{{Name: "AGG", Slice: []rundir.NodeShare{{Tasks: 1}}}},
		}},
		Allocation: rundir.Allocation{Nodes: 1},
	}
	for want, change := range map[string]func(*rundir.Plan, *script.Attempt){
		"is not an absolute path": func(_ *rundir.Plan, a *script.Attempt) { a.Dir = "runs/1" },
		"job name":                func(_ *rundir.Plan, a *script.Attempt) { a.JobName = "a\n#SBATCH --wrap" },
		"no ci-disagg binary":     func(_ *rundir.Plan, a *script.Attempt) { a.AgentPath = "" },
		"is not absolute":         func(_ *rundir.Plan, a *script.Attempt) { a.AgentPath = "bin/x" },
		"needs 0 nodes":           func(p *rundir.Plan, _ *script.Attempt) { p.Nodes = 0 },
		"is not a file name":      func(p *rundir.Plan, _ *script.Attempt) { p.Builds[0].Roles[0].Name = "../x" },
		"no task on any node":     func(p *rundir.Plan, _ *script.Attempt) { p.Builds[0].Roles[0].Slice = nil },
		"is not a variable name":  func(p *rundir.Plan, _ *script.Attempt) { p.Env = []rundir.EnvVar{{Name: "A;b"}} },
		"has a NUL byte":          func(p *rundir.Plan, _ *script.Attempt) { p.Env = []rundir.EnvVar{{Name: "A", Value: "\x00"}} },
	} {
		p, a := good, script.Attempt{Dir: "/a", JobName: "j", AgentPath: "/x"}
		p.Builds = []rundir.BuildPlan{good.Builds[0]}
		p.Builds[0].Roles = slices.Clone(good.Builds[0].Roles)
		change(&p, &a)
		_, err := script.Render(p, script.Profile{}, a)
		require.ErrorContains(t, err, want)
	}
}

func TestStepArgsOfEveryShape(t *testing.T) {
	t.Parallel()
	nodes := []string{"a", "b", "c"}
	for want, slice := range map[string][]rundir.NodeShare{
		"--nodes=2 --ntasks=8 --ntasks-per-node=4 --nodelist=a,b":              {{Node: 0, Tasks: 4}, {Node: 1, Tasks: 4}},
		"--nodes=2 --ntasks=6 --distribution=plane=4 --nodelist=b,c":           {{Node: 1, Tasks: 4}, {Node: 2, Tasks: 2}},
		"--nodes=2 --ntasks=6 --distribution=arbitrary --nodelist=a,a,b,b,b,b": {{Node: 0, Tasks: 2}, {Node: 1, Tasks: 4}},
		"--nodes=2 --ntasks=5 --distribution=arbitrary --nodelist=c,c,c,a,a":   {{Node: 2, Tasks: 3}, {Node: 0, Tasks: 2}},
		"--nodes=1 --ntasks=1 --ntasks-per-node=1 --nodelist=no-such-node-7":   {{Node: 7, Tasks: 1}},
		"--nodes=3 --ntasks=9 --distribution=plane=4 --nodelist=a,b,c":         {{Node: 0, Tasks: 4}, {Node: 1, Tasks: 4}, {Node: 2, Tasks: 1}},
	} {
		args := script.StepArgs(rundir.Plan{}, script.RunPlace{Attempt: "/d", Run: "/d/run-0"}, rundir.RolePlan{Name: "R", Slice: slice}, nodes)
		require.Equal(t, "--job-name=R --export=ALL --kill-on-bad-exit=1 "+want+" bash /d/run-0/roles/R/role.sh", strings.Join(args, " "))
	}
}

func TestProfileProblemsAllAtOnce(t *testing.T) {
	t.Parallel()
	err := script.Profile{
		Queue: script.Queue{Partition: "<partition>", Account: "-A", MaxNodes: -1}, Hardware: script.Hardware{Arch: "sparc"}, GPUs: "some", Sbatch: []string{"gres=gpu:4", "--a\n--b"},
		Env: map[string]string{"1X": ""}, ExportEnv: []string{"A=b"}, Comment: "a\nb", Container: &script.Container{},
	}.Validate("c")
	require.Error(t, err)
	for _, key := range []string{"partition", "account", "gpus", "arch", "max_nodes", "sbatch", "env", "export", "comment", "container.image"} {
		require.Regexp(t, `(?m)^clusters\.c\.`+regexp.QuoteMeta(key)+`: `, err.Error())
	}
	require.NoError(t, script.Profile{}.Validate("c"))
	require.EqualError(t, script.Profile{Sbatch: []string{"--mail-type END", "--wckey=a b", "-Cx"}}.Validate("c"), `clusters.c.sbatch: "--mail-type END" is not one option; write each as --name=value`)
}

// Of an array there is no job to watch, and after --test-only none at all.
func TestSbatchOptionsMakeOneJob(t *testing.T) {
	t.Parallel()
	for opt, refused := range map[string]bool{
		"--array=1-2": true, "-a1-2": true, "--test-only": true, "--wait": true, "-W": true, "--wait-all-nodes=1": false, "--account=a": false, "-Aa": false,
	} {
		err := script.Profile{Sbatch: []string{opt}}.Validate("c")
		require.Equal(t, refused, err != nil, "%s: %v", opt, err)
	}
}

// A job that sbatch routes elsewhere cannot be found by its name.
func TestProfileMayNotRouteJobs(t *testing.T) {
	t.Parallel()
	for opt, refused := range map[string]bool{
		"-Mother": true, "-M": true, "-HMother": true, "--clusters=a,b": true, "--cluster=a": true, "--clusters": true,
		"--mem=0": false, "-CM40": false, "--cluster-constraint=x": false, "--mail-type=END": false,
	} {
		for key, p := range map[string]script.Profile{"sbatch": {Sbatch: []string{opt}}, "srun": {Srun: []string{opt}}} {
			err := p.Validate("c")
			if !refused {
				require.NoError(t, err, opt)
				continue
			}
			require.ErrorContains(t, err, "clusters.c."+key+": ", opt)
			require.ErrorContains(t, err, "an entry of its own under clusters:", opt)
		}
	}
}

func TestAgentForAnArchitecture(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		arch, goarch, want, err string
		agents                  map[string]string
	}{
		{goarch: "amd64"},
		{arch: "amd64", goarch: "amd64"},
		{arch: "arm64", goarch: "amd64", err: "agent.arm64 is missing"},
		{arch: "arm64", goarch: "amd64", agents: map[string]string{"arm64": "/a"}, want: "/a"},
		{goarch: "arm64", agents: map[string]string{"amd64": "/x"}},
	} {
		got, err := script.Profile{Hardware: script.Hardware{Arch: c.arch}, Agent: c.agents}.AgentFor(c.goarch)
		require.Equal(t, c.want, got)
		if c.err == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, c.err)
		}
	}
}

func TestSettingsNameWhatIsSet(t *testing.T) {
	t.Parallel()
	settings := script.Profile{Queue: script.Queue{Partition: "p", MaxNodes: 3}, Exclusive: true, Env: map[string]string{"B": "2", "A": "1"}, Container: &script.Container{Image: "i"}}.Settings("arm64")
	for _, want := range []script.Setting{
		{Key: "partition", Value: "p", Set: true},
		{Key: "exclusive", Value: "true", Set: true},
		{Key: "max_nodes", Value: "3", Set: true},
		{Key: "env.A", Value: "1", Set: true},
		{Key: "container.image", Value: "i", Set: true},
		{Key: "arch", Value: "arm64"},
		{Key: "gpus", Value: "gpus-per-node"},
		{Key: "signal", Value: "TERM@120"},
	} {
		require.Contains(t, settings, want)
	}
}

// What is unset for workers can be set again by the cluster, the workload or the
// config.
func TestUnsetComesBeforeTheEnvironment(t *testing.T) {
	t.Parallel()
	plans, err := trtllm.Resolve(trtllm.Input{
		Config: trtllm.Config{OutputLayout: "none", Tests: trtllm.Tests{DisaggConfigs: absConfigs(t, "synthetic")}, Commands: trtllm.Commands{Command: `trtllm-llmapi-launch echo {test_id}`}},
		Tests:  []string{"disagg-quoting"}, Base: "/",
	})
	require.NoError(t, err)
	for set, want := range map[string]string{"": "unset", "tcp": "tcp"} {
		prof := script.Profile{}
		if set != "" {
			prof.Env = map[string]string{"UCX_TLS": set}
		}
		p := script.Apply(plans[0], prof)
		p.Builds = slices.Clone(p.Builds)
		p.Builds[0].Roles = slices.Clone(p.Builds[0].Roles)
		p.Builds[0].Roles[0].Command = `echo "${UCX_TLS-unset}"`
		dir := write(t, p, prof, script.Attempt{JobName: "j", AgentPath: "/x"})
		cmd := exec.Command("bash", filepath.Join(dir, "run-0/roles/GEN_0/role.sh"))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "UCX_TLS=from-the-image"}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, strings.TrimSpace(string(out)))
	}
}

// A pytest that takes its tests from a list takes the test's timeout from there.
func TestListOfTheCaseKeepsItsTimeout(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		seedCase: "perf/test_perf_sanity.py::test_e2e[" + seedCase + "]\n",
		seedCase + " ISOLATION TIMEOUT (90) # note": "perf/test_perf_sanity.py::test_e2e[" + seedCase + "] TIMEOUT (90)\n",
		seedCase + " TIMEOUT (0.5)":                 "perf/test_perf_sanity.py::test_e2e[" + seedCase + "] TIMEOUT (1)\n",
	} {
		plans, err := trtllm.Resolve(trtllm.Input{Config: trtllm.Config{Tests: trtllm.Tests{DisaggConfigs: absConfigs(t, "disaggregated")}}, Stage: "s", Tests: []string{line}, Base: "/"})
		require.NoError(t, err)
		files, err := script.Render(plans[0], script.Profile{}, script.Attempt{Dir: "/a", JobName: "j", AgentPath: "/x"})
		require.NoError(t, err)
		i := slices.IndexFunc(files, func(f rundir.File) bool { return f.Path == script.TestList })
		require.Equal(t, want, string(files[i].Data))
	}
}
