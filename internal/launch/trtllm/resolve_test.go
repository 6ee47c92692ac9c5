package trtllm

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/testlist"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// resolveText plans one config given as text.
func resolveText(t testing.TB, yaml, test string, change func(*Input)) ([]rundir.Plan, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(yaml), 0o600))
	in := Input{Config: Config{Tests: Tests{DisaggConfigs: ".", AggConfigs: "."}}, ConfigFile: "ci-disagg.yaml", Base: dir, Tests: []string{test}, Stage: "s", Today: "2026-11-21"}
	if change != nil {
		change(&in)
	}
	plans, err := Resolve(in)
	if err != nil {
		err = errorText(strings.ReplaceAll(err.Error(), dir+"/", ""))
	}
	return plans, err
}

type errorText string

func (e errorText) Error() string { return string(e) }

const good = `metadata: {model_name: m, supported_gpus: [GB200]}
slurm: {job_time: 01:00:00}
benchmark: {mode: e2e, concurrency_list: 8, input_length: 8, output_length: 8}
hardware:
  gpus_per_node: 4
  num_ctx_servers: 1
  num_gen_servers: 1
environment: {worker_env_var: A=1}
worker_config:
  gen: {tensor_parallel_size: 8}
  ctx: {tensor_parallel_size: 4}
`

// Every mistake gives file, line and key, and what to do.
func TestProblemsOfConfigs(t *testing.T) {
	t.Parallel()
	for from, row := range map[string][2]string{
		"gpus_per_node: 4":                    {"", "c.yaml:6: hardware.gpus_per_node: missing: add it as a whole number of at least 1"},
		"gpus_per_node: 4#":                   {"gpus_per_node: 0", "c.yaml:5: hardware.gpus_per_node: 0 is too small: at least 1"},
		"gpus_per_node: 4##":                  {"gpus_per_node: '4'", `c.yaml:5: hardware.gpus_per_node: "4" is text, a whole number is expected: remove the quotes`},
		"gpus_per_node: 4###":                 {"gpus_per_node: null", "c.yaml:5: hardware.gpus_per_node: has no value: write a whole number of at least 1"},
		"gpus_per_node: 4####":                {"gpus_per_node: [4]", "c.yaml:5: hardware.gpus_per_node: is a list, a whole number is expected"},
		"gpus_per_node: 4#####":               {"gpus_per_node: 4.5", `"4.5" is not a whole number: write it in decimal digits`},
		"gpus_per_node: 4######":              {"gpus_per_node: 99999999999", "hardware.gpus_per_node:"},
		"gpus_per_node: 4#######":             {"gpus_per_node: 010", `"010" begins with 0`},
		"num_ctx_servers: 1":                  {"num_ctx_servers: -1", "c.yaml:6: hardware.num_ctx_servers: -1 is too small: at least 0"},
		"num_ctx_servers: 1#":                 {"num_ctx_servers: 0", "c.yaml:6: hardware.num_ctx_servers: 0, but mode e2e needs context servers"},
		"num_gen_servers: 1":                  {"num_gen_servers: 1\n  num_gen_servers: 2", "c.yaml:8: hardware.num_gen_servers: given twice, also on line 7: keep one"},
		"num_gen_servers: 1#":                 {"num_gen_servers: 5000", "more than 1024 of a kind are not supported"},
		"mode: e2e":                           {"mode: fast", `c.yaml:3: benchmark.mode: "fast" is not one of e2e, gen_only, gen_only_no_context`},
		"concurrency_list: 8":                 {"concurrency_list: '1 2 x'", `c.yaml:3: benchmark.concurrency_list: "x" is no concurrency`},
		"concurrency_list: 8#":                {"concurrency_list: []", "benchmark.concurrency_list: is empty"},
		"concurrency_list: 8##":               {"concurrency_list: {a: b}", "benchmark.concurrency_list: is a map, whole numbers are expected"},
		"concurrency_list: 8####":             {"concurrency_list: [1, [2]]", "benchmark.concurrency_list: is a list, whole numbers are expected"},
		"concurrency_list: 8#####":            {"concurrency_list: 8 16 8", "benchmark.concurrency_list: 8 is given twice"},
		"concurrency_list: 8######":           {"concurrency_list: null", "c.yaml:3: benchmark.concurrency_list: has no value"},
		"concurrency_list: 8###":              {"concurrency_list: 0", `"0" is no concurrency`},
		"job_time: 01:00:00":                  {"job_time: soon", `c.yaml:2: slurm.job_time: "soon" is no time`},
		"worker_env_var: A=1":                 {"worker_env_var: A=1 B", `c.yaml:8: environment.worker_env_var: item "B" is not KEY=VAL`},
		"worker_env_var: A=1#":                {"worker_env_var: <worker_env>", `"<worker_env>" is a placeholder that would be used`},
		"worker_env_var: A=1##":               {"worker_env_var: A=1 DISAGG_SERVING_TYPE=GEN_0", "DISAGG_SERVING_TYPE tells each process its role and is set for each: remove it"},
		"worker_env_var: A=1###":              {"worker_env_var: 'A=\"1'", "c.yaml:8: environment.worker_env_var: not a list of KEY=VAL items: reached EOF without closing quote"},
		"job_time: 01:00:00#":                 {"job_time: <time>", "c.yaml:2: slurm.job_time: is a placeholder that would be used"},
		"gen: {tensor_parallel_size: 8}#####": {"gen: {tensor_parallel_size: null}", "c.yaml:10: worker_config.gen.tensor_parallel_size: has no value"},
		"gen: {tensor_parallel_size: 8}":      {"", "worker_config.gen: missing"},
		"gen: {tensor_parallel_size: 8}#":     {"gen: 8", `c.yaml:10: worker_config.gen: is "8", a map of keys is expected`},
		"ctx: {tensor_parallel_size: 4}":      {"", "worker_config.ctx: missing, but hardware.num_ctx_servers is 1"},
		"ctx: {tensor_parallel_size: 4}#":     {"ctx: {tensor_parallel_size: 1048576, pipeline_parallel_size: 1048576}", "too many"},
		"ctx: {tensor_parallel_size: 4}##":    {"ctx: {enable_attention_dp: maybe}", `"maybe" is neither true nor false`},
		"metadata: {model_name: m":            {"metadata: {model_name: [m]", "c.yaml:1: metadata.model_name: is a list, text is expected"},
		"metadata: {model_name: m,#":          {"metadata: {precision: fp4,", "c.yaml:1: metadata.model_name: missing"},
		"A=1}":                                {"A=1, x: !magic y}", "c.yaml:8: environment.x: the tag !magic is not known here"},
		"A=1}#":                               {"*gone }", "c.yaml:8: not valid YAML: unknown anchor 'gone' referenced"},
		"A=1}##":                              {"\xff }", "c.yaml:8: not valid YAML"},
		"  ctx: {":                            {"  ctx: {}\n---\na: [\n", "not valid YAML"},
		"hardware:":                           {"---\nhardware:", "a second document (---) begins here"},
		"slurm: {":                            {"slurm: {{", "not valid YAML"},
		good:                                  {"", "the file is empty"},
		good + "#":                            {"- a\n", "the file is not a map of sections"},
		good + "##":                           {"server_configs: []\nhardware: {gpus_per_node: 4}\n", "this is an aggregated config"},
	} {
		text := strings.Replace(good, strings.TrimRight(from, "#"), row[0], 1)
		require.NotEqual(t, good, text)
		plans, err := resolveText(t, text, "disagg-c", nil)
		require.ErrorContains(t, err, row[1], "%s -> %s", from, row[0])
		require.Empty(t, plans)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("gpus_per_node: 4", "gpus_per_node: none", "mode: e2e", "mode: x", "A=1", "A").Replace(good)
	_, err := resolveText(t, text, "disagg-c", func(in *Input) {
		in.Config.KnownFailures = []testlist.KnownFailure{{}}
		in.Config.Command = "pytest 'x"
		in.Tests = append(in.Tests, "disagg-missing", "nonsense::", "x TIMEOUT (q)")
		in.Shard, in.Shards = 3, 2
	})
	require.Error(t, err)
	for _, want := range []string{
		"c.yaml:5: hardware.gpus_per_node", "c.yaml:3: benchmark.mode", "c.yaml:8: environment.worker_env_var", "workload.known_failures[0].bug", "workload.command: not a bash command",
		"no config for disagg-missing: none of missing.yaml exists; set DISAGG_CONFIG_FOLDER or workload.disagg_configs", `"nonsense::" names no case`, "TIMEOUT needs minutes", "--shard: 3/2 is not a part",
	} {
		require.Contains(t, err.Error(), want)
	}
}

func TestProblemsOfPlans(t *testing.T) {
	t.Parallel()
	hours := func(h float64) rundir.Duration { return rundir.Duration(time.Duration(h * float64(time.Hour))) }
	for want, change := range map[string]func(*Input){
		"c needs 3 nodes, cluster x allows 2 (max_nodes)":                              func(in *Input) { in.Cluster = Cluster{Name: "x", MaxNodes: 2} },
		"c.yaml:5: hardware.gpus_per_node: 4, but the nodes of cluster x have 2":       func(in *Input) { in.Cluster = Cluster{Name: "x", GPUsPerNode: 2} },
		"GEN_0 spans 2 nodes, but its command does not run under trtllm-llmapi-launch": func(in *Input) { in.Config.Command = "pytest {test_id}" },
		"the last of them can never fire":                                              func(in *Input) { in.Budgets = rundir.Budgets{Job: hours(1), Ready: hours(0.9), Benchmark: hours(0.2)} },
		`workload.server_logs: "serve.*.log" does not say whose log it is`:             func(in *Input) { in.Config.ServerLogs = []string{"serve.*.log"} },
		`workload.server_logs: "{role}[" is no pattern`:                                func(in *Input) { in.Config.ServerLogs = []string{"{role}["} },
		`workload.server_logs: "logs/{role}.log": name files`:                          func(in *Input) { in.Config.ServerLogs = []string{"logs/{role}.log"} },
		"workload.hang: 100h0m0s is not below what bounds the benchmark":               func(in *Input) { h := hours(100); in.Config.Hang = &h },
		`workload.source: "<repo>" is a placeholder`:                                   func(in *Input) { in.Config.Source = "<repo>"; in.Config.DisaggConfigs = "." },
		"workload.grace: 2h0m0s is more than budgets.collect":                          func(in *Input) { in.Config.Grace, in.Budgets.Collect = hours(2), hours(0.1) },
		"is listed twice, also at command line":                                        func(in *Input) { in.Tests = []string{"disagg-c", "perf/test_perf_sanity.py::test_e2e[disagg-c]"} },
		"does not name disagg_upload-c, and the run has 2 cases: write {test_id}": func(in *Input) {
			in.Tests = []string{"disagg_upload-c", "disagg-c"}
			in.Config.Command = "trtllm-llmapi-launch pytest x[disagg-c]"
		},
		"workload.output_layout: \"x\" is not trtllm or none": func(in *Input) { in.Config.OutputLayout = "x" },
		"workload.launcher": func(in *Input) { in.Config.Launcher = "a b" },
		"workload.secrets: \"A-B\" is not a variable name": func(in *Input) { in.Config.Secrets = []Secret{{Name: "A-B"}} },
		"workload.secrets: KEY: c.yaml can be read by others (mode 0644): chmod 600 it": func(in *Input) {
			in.Config.Secrets = []Secret{{Name: "KEY", File: "c.yaml"}}
			require.NoError(t, os.Chmod(filepath.Join(in.Base, "c.yaml"), 0o644))
		},
		"KEY: give from or file, not both":                              func(in *Input) { in.Config.Secrets = []Secret{{Name: "KEY", File: "x", From: "Y"}} },
		"workload.env.DISAGG_SERVING_TYPE: tells each process its role": func(in *Input) { in.Config.Env = map[string]string{"DISAGG_SERVING_TYPE": "GEN_0"} },
		"workload.env: \"1\" is not a variable name":                    func(in *Input) { in.Config.Env = map[string]string{"1": ""} },
		"gone.txt: cannot be read":                                      func(in *Input) { in.Waives = []string{"gone.txt"} },
		"nolist.txt: cannot be read":                                    func(in *Input) { in.Lists = []string{"nolist.txt"} },
		"empty.txt: names no test": func(in *Input) {
			in.Tests, in.Lists = nil, []string{"empty.txt"}
			require.NoError(t, os.WriteFile(filepath.Join(in.Base, "empty.txt"), []byte("# nothing\n"), 0o600))
		},
		"no test is named": func(in *Input) { in.Tests = nil },
	} {
		_, err := resolveText(t, good, "disagg-c", change)
		require.ErrorContains(t, err, want)
	}
	_, err := resolveText(t, "hardware: {gpus_per_node: 4}\nserver_configs:\n- {name: a, client_configs: [{concurrency: 1}]}\n- {name: a, gpus: 3}\n", "aggr-c-b", nil)
	for _, want := range []string{"c.yaml:4: server_configs[1].name: \"a\" is also the name of the server on line 3", "server_configs[1].gpus: 3 contradicts the parallel sizes, which make 1", "server_configs[1].client_configs: missing or empty"} {
		require.ErrorContains(t, err, want)
	}
	_, err = resolveText(t, "hardware: {gpus_per_node: 4}\nserver_configs:\n- {name: a, client_configs: [{concurrency: 1}]}\n", "aggr-c-b", nil)
	require.ErrorContains(t, err, `c.yaml: no server is called "b": it has a`)
	_, err = resolveText(t, good, "aggr-c", nil)
	require.ErrorContains(t, err, "this is a disaggregated config")
}

// What contradicts itself inside upstream's files is a warning: we did not write
// them.
func TestWarnings(t *testing.T) {
	t.Parallel()
	text := strings.Replace(good, "job_time: 01:00:00", "job_time: 01:00:00, timeout: 7200", 1)
	plans, err := resolveText(t, text, "disagg-gen_only-c TIMEOUT (90)", func(in *Input) { in.Cluster = Cluster{Name: "x", GPUsPerNode: 8, GPUType: "B200"} })
	require.NoError(t, err)
	all := strings.Join(plans[0].Warnings, "\n")
	for _, want := range []string{
		"the test's own timeout is 2h0m0s, above the job's time limit of 1h0m0s", "TIMEOUT (90) is above the job's time limit", "the others stay idle",
		"metadata.supported_gpus is GB200, the cluster has B200", "benchmark.mode is e2e, the test id says gen_only",
	} {
		require.Contains(t, all, want)
	}
	require.Equal(t, time.Hour, plans[0].Budgets.Job.D())
}

func TestConcurrencyForms(t *testing.T) {
	t.Parallel()
	for form, want := range map[string][]int{"'2048'": {2048}, "1 2 4 8 16 36": {1, 2, 4, 8, 16, 36}, "[1, '2', 4]": {1, 2, 4}, "7": {7}, "'1,2'": {1, 2}} {
		plans, err := resolveText(t, strings.Replace(good, "concurrency_list: 8", "concurrency_list: "+strings.ReplaceAll(form, ",", ","), 1), "disagg-c", nil)
		require.NoError(t, err, form)
		var got []int
		for _, q := range plans[0].Expected.Points {
			got = append(got, q.Concurrency)
		}
		require.Equal(t, want, got, form)
	}
}

// gen_only runs one concurrency; the others are not lost silently.
func TestGenOnlyMeasuresOneConcurrency(t *testing.T) {
	t.Parallel()
	plans, err := resolveText(t, strings.Replace(good, "concurrency_list: 8", "concurrency_list: 8 16 32", 1), "disagg-gen_only-c", nil)
	require.NoError(t, err)
	require.Len(t, plans[0].Expected.Points, 1)
	require.Contains(t, plans[0].Warnings, "mode gen_only measures the first concurrency of benchmark.concurrency_list, 8, and none of the 2 others")
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"02:00:00": 2 * time.Hour, "12:00:00": 12 * time.Hour, "90": 90 * time.Minute, "30:30": 30*time.Minute + 30*time.Second,
		"1-0": 24 * time.Hour, "1-02:03:04": 26*time.Hour + 3*time.Minute + 4*time.Second, "2-12:30": 60*time.Hour + 30*time.Minute,
	} {
		got, err := slurm.Duration(text)
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
	for _, bad := range []string{"", "0", "-1", "1:2:3:4", "a", "1-", "9999999999", "1h", "00:00:00"} {
		_, err := slurm.Duration(bad)
		require.Error(t, err, bad)
	}
}

// Budgets that nobody set share what is left, and always fit.
// A budget that nobody has set does not exist.
func TestBudgetsThatNobodySetDoNotExist(t *testing.T) {
	t.Parallel()
	hours := func(n int) rundir.Duration { return rundir.Duration(n) * rundir.Duration(time.Hour) }
	for _, tt := range []struct{ set, want rundir.Budgets }{
		{rundir.Budgets{}, rundir.Budgets{Job: hours(1)}}, // the YAML's own time
		{rundir.Budgets{Job: hours(3)}, rundir.Budgets{Job: hours(3)}},
		{rundir.Budgets{Job: hours(3), Ready: hours(2)}, rundir.Budgets{Job: hours(3), Ready: hours(2)}},
	} {
		plans, err := resolveText(t, good, "disagg-c", func(in *Input) { in.Budgets = tt.set })
		require.NoError(t, err)
		require.Equal(t, tt.want, plans[0].Budgets)
		require.Equal(t, defaultHang, plans[0].Hang)
	}
	plans, err := resolveText(t, good, "disagg-c", func(in *Input) { off := rundir.Duration(0); in.Config.Hang = &off })
	require.NoError(t, err)
	require.Zero(t, plans[0].Hang)
}

func TestEnvironmentOfTheCaller(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "llm/folder"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "llm/folder/c.yaml"), []byte(good), 0o600))
	in := Input{Base: dir, Config: Config{Source: "llm", Tests: Tests{DisaggConfigs: "elsewhere"}}, Env: map[string]string{"DISAGG_CONFIG_FOLDER": "folder"}, Tests: []string{"disagg-c"}}
	p := one(t, in)
	require.Equal(t, filepath.Join(dir, "llm/folder/c.yaml"), p.Case.Config, "relative to the checkout, and above the config")
	require.Equal(t, filepath.Join(dir, "llm/tests/integration/defs"), p.Workdir)
	require.Contains(t, p.Env, rundir.EnvVar{Name: "DISAGG_CONFIG_FOLDER", Value: filepath.Join(dir, "llm/folder")})
}

// A case without the launcher has one task per worker, which gets all its GPUs.
func TestWithoutLauncher(t *testing.T) {
	t.Parallel()
	plans, err := resolveText(t, strings.Replace(good, "tensor_parallel_size: 8", "tensor_parallel_size: 4", 1), "disagg-c", func(in *Input) { in.Config.Launcher = "none" })
	require.NoError(t, err)
	for _, r := range plans[0].Roles() {
		require.Equal(t, 1, r.Tasks(), r.Name)
		require.Empty(t, r.MPI)
		require.NotContains(t, r.Command, "launch")
	}
	require.Equal(t, 4, plans[0].Roles()[0].GPUs())
}

func TestPrechecks(t *testing.T) {
	t.Parallel()
	text := good + "cache_transceiver_precheck: {enabled: true}\n"
	plans, err := resolveText(t, text, "disagg-c", func(in *Input) { in.Config.Precheck = "python3 precheck.py" })
	require.NoError(t, err)
	p := plans[0]
	roles, pre := p.MainRoles(), p.Roles()[:2]
	require.Equal(t, "GEN_0_PRECHECK", pre[0].Name)
	require.Equal(t, roles[0].Slice, pre[0].Slice)
	require.Equal(t, "python3 precheck.py", pre[0].Command)
	require.Equal(t, rundir.EnvVar{Name: "DISAGG_SERVING_TYPE", Value: "GEN_PRECHECK_0"}, pre[0].Env[0])
	require.Equal(t, "GEN_0", roles[0].Env[0].Value, "the worker's own environment is untouched")
	plans, err = resolveText(t, text, "disagg-c", func(in *Input) {
		in.Config.Precheck = "x"
		in.Env = map[string]string{"TRTLLM_DISAGG_CT_PRECHECK": "0"}
	})
	require.NoError(t, err)
	require.Len(t, plans[0].Roles(), len(plans[0].MainRoles()))
	plans, err = resolveText(t, text, "disagg-c", nil)
	require.NoError(t, err)
	require.Contains(t, strings.Join(plans[0].Warnings, "\n"), "workload.precheck is not set")
}

// FuzzPlan: no input panics, and whatever plans also renders to scripts that
// bash parses, on GPUs that exist once.
func FuzzPlan(f *testing.F) {
	f.Add(good, "disagg-c", "trtllm-llmapi-launch pytest {test_id} --csv x")
	f.Add("hardware: {gpus_per_node: 4}\nserver_configs:\n- &a {name: a, world_size: 6, client_configs: [{concurrency: 1}]}\n", "aggr_upload-c-a TIMEOUT (5)", "")
	for _, folder := range []string{"synthetic", "disaggregated", "aggregated"} {
		files, err := filepath.Glob(configs + folder + "/*.yaml")
		require.NoError(f, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(string(data), "disagg-gen_only-c", "")
		}
	}
	f.Fuzz(func(t *testing.T, yaml, test, command string) {
		sub := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(sub, "c.yaml"), []byte(yaml), 0o600))
		plans, err := Resolve(Input{Config: Config{Tests: Tests{DisaggConfigs: ".", AggConfigs: "."}, Commands: Commands{Command: command}}, Base: sub, Tests: []string{test}, Stage: yaml[:min(len(yaml), 9)]})
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		for _, p := range plans {
			if p.Case.SkipReason != "" || p.Nodes > 64 {
				continue
			}
			checkSlices(t, p)
			files, err := script.Render(script.Apply(p, script.Profile{Comment: test}), script.Profile{}, script.Attempt{Dir: "/a b", JobName: "j", AgentPath: "/x"})
			if err != nil {
				require.ErrorContains(t, err, "NUL byte")
				continue
			}
			var all strings.Builder
			for _, file := range files {
				if strings.HasSuffix(file.Path, ".sh") {
					all.WriteString(string(file.Data) + "\n")
				}
			}
			cmd := exec.Command("bash", "-n")
			cmd.Stdin = strings.NewReader(all.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("bash does not parse the scripts of %q with %q: %s", test, command, out)
			}
		}
	})
}

// A command that takes its tests from a list gets a list with the one case, for
// as many cases as there are.
func TestCommandWithAList(t *testing.T) {
	t.Parallel()
	plans, err := resolveText(t, good, "disagg-c", func(in *Input) {
		in.Tests = append(in.Tests, "disagg-gen_only-c")
		in.Config.Command = "trtllm-llmapi-launch pytest perf/t.py --test-list=/ws/l.txt --splits 3 --group 1"
	})
	require.NoError(t, err)
	require.Len(t, plans, 2)
	require.Contains(t, plans[1].Roles()[0].Command, `--test-list="$CI_DISAGG_ATTEMPT/test_list.txt"`)
	require.NotContains(t, plans[1].Roles()[0].Command, "--group")
}

// A name of a hundred letters is mistyped easily and compared with difficulty.
func TestNearestConfigIsNamed(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"disagg-e2e-gb200_glm-5-fp4_1k1k_con1_ctx1_dep4_gen1_tp4_eplb0_mtp3_ccb-NIXL": "did you mean gb200_glm-5-fp4_1k1k_con1_ctx1_dep4_gen1_tep4_eplb0_mtp3_ccb-NIXL? Else set DISAGG_CONFIG_FOLDER or workload.disagg_configs",
		"disagg-gpt-2": "exists; set DISAGG_CONFIG_FOLDER or workload.disagg_configs",
	} {
		_, err := Resolve(input("disaggregated", id))
		require.ErrorContains(t, err, want)
	}
	_, err := Resolve(input("aggregated", "aggr-super_mtp_nvfp4_blackwell"))
	require.ErrorContains(t, err, "did you mean super_mtp_ad_nvfp4_blackwell? Else set AGG_CONFIG_FOLDER or workload.agg_configs")
}

// Each mistake in a shell text is told once, under the name of what holds it.
func TestShellTextThatIsNone(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Input){
		"ci-disagg.yaml: workload.args: not a bash command: 1:4: reached EOF without closing quote `'`: -k 'x":       func(in *Input) { in.Config.Args = "-k 'x" },
		"$pytestCommand: not a bash command: 1:8: reached EOF without closing quote `\"`: pytest \"":                 func(in *Input) { in.Env = map[string]string{"pytestCommand": `pytest "`} },
		`ci-disagg.yaml: workload.command: "# nothing" runs nothing`:                                                 func(in *Input) { in.Config.Command = "# nothing" },
		"command line: workload.command: nothing is left without the launcher: A=1 trtllm-llmapi-launch # {test_id}": func(in *Input) { in.Config.Command = "A=1 trtllm-llmapi-launch # {test_id}" },
	} {
		_, err := resolveText(t, good, "disagg-c", change)
		require.EqualError(t, err, strings.TrimPrefix(want, "command line: "))
	}
}

func TestTwoResultsOfOneNameAreRefused(t *testing.T) {
	t.Parallel()
	const text = "hardware: {gpus_per_node: 4}\nserver_configs:\n- name: a\n  client_configs:\n  - {concurrency: 1}\n  - {concurrency: 1, streaming: false}\n"
	_, err := resolveText(t, text, "aggr-c", nil)
	require.EqualError(t, err, `c.yaml:6: server_configs[0].client_configs[1].name: "con1_iter1_isl1024_osl1024" is also the name of the client on line 5: the two results could not be told apart`)
	_, err = resolveText(t, strings.Replace(text, "false", "false, name: b", 1), "aggr-c-a,a", nil)
	require.EqualError(t, err, `case aggr-c-a,a: c.yaml: the server "a" is named twice: remove one`)
}

// What nobody has set never contradicts itself, however short the job is.
func TestDefaultGraceFitsAShortJob(t *testing.T) {
	t.Parallel()
	for job, want := range map[time.Duration]time.Duration{time.Hour: 30 * time.Second, 5 * time.Minute: 15 * time.Second} {
		plans, err := resolveText(t, good, "disagg-c", func(in *Input) { in.Budgets.Job = rundir.Duration(job) })
		require.NoError(t, err)
		require.Equal(t, want, plans[0].Grace.D())
	}
}

// A list's TIMEOUT is the case's own bound and no budget of a phase.
func TestTimeoutOfTheListIsNoBudget(t *testing.T) {
	t.Parallel()
	plans, err := resolveText(t, good, "disagg-c TIMEOUT (7.5)", nil)
	require.NoError(t, err)
	require.Equal(t, 450*time.Second, plans[0].Case.Timeout.D())
	require.Zero(t, plans[0].Budgets.Ready)
	require.Zero(t, plans[0].Budgets.Benchmark)
}

// << brings in keys, also from a list of maps; own keys stand over them.
func TestMergeKeys(t *testing.T) {
	t.Parallel()
	text := strings.Replace(good, "  gen: {tensor_parallel_size: 8}\n  ctx: {tensor_parallel_size: 4}", "  gen: &g {tensor_parallel_size: 8, pipeline_parallel_size: 2}\n  ctx: {<<: [{pipeline_parallel_size: 1}, *g], tensor_parallel_size: 2}", 1)
	plans, err := resolveText(t, text, "disagg-c", nil)
	require.NoError(t, err)
	require.Equal(t, 16, plans[0].Roles()[0].GPUs())
	require.Equal(t, 2, plans[0].Roles()[1].GPUs())
}

// Who answers what is decided by the router: with another one, another thing is measured.
func TestRouterIsPartOfTheIdentity(t *testing.T) {
	t.Parallel()
	match := func(text string) map[string]string {
		plans, err := resolveText(t, text, "disagg-c", nil)
		require.NoError(t, err)
		return plans[0].Match
	}
	plain := match(good)
	require.NotContains(t, plain, "ctx_router")
	want := maps.Clone(plain)
	want["ctx_router"], want["router_extra"] = "type=kv_cache_aware", "schedule_style=generation_first"
	require.Equal(t, want, match(good+"\nctx_router_config: {type: kv_cache_aware}\nserver_config_extra: {schedule_style: generation_first}\n"))
}
