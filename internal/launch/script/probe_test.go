package script_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

var (
	cluster *slurmtest.Cluster
	update  = flag.Bool("update", false, "rewrite the golden files")
)

// TestMain lets the test binary be what the jobs run: the agent and pytest, which
// leaves an account of how it was called.
func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "pytest":
		os.Exit(exitCode(probe()))
	case len(os.Args) == 3 && os.Args[1] == "agent":
		os.Exit(exitCode(agent(os.Args[2])))
	}
	// 14 nodes of 4 GPUs and 2 of 8: enough for every real config.
	os.Exit(slurmtest.Main(m, &cluster, slurmtest.Options{Nodes: "14x4,2x8", Conf: slurmtest.Patient()}))
}

func exitCode(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// account is what one task saw of itself.
type account struct {
	Role, Node, Proc string
	Launched         bool
	CUDA             string
	Dir              string
	Args             []string
	Env              []string
}

func probe() error {
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	a := account{
		Role: os.Getenv("CI_DISAGG_ROLE"), Node: os.Getenv("SLURMD_NODENAME"), Proc: os.Getenv("SLURM_PROCID"), Dir: wd,
		Launched: os.Getenv("PROBE_LAUNCHED") != "", CUDA: os.Getenv("CUDA_VISIBLE_DEVICES"), Args: os.Args[1:], Env: os.Environ(),
	}
	dir := os.Getenv("CI_DISAGG_ROLE_DIR")
	if dir == "" { // started by a launch draft
		a.Role = os.Getenv("DISAGG_SERVING_TYPE")
		dir = filepath.Join(os.Getenv("CI_DISAGG_RUN"), "roles", a.Role)
	}
	return rundir.WriteJSON(filepath.Join(dir, "account."+a.Proc+".json"), a)
}

// launcher becomes its command, and lets it know that it was launched.
const launcher = "#!/bin/bash\nPROBE_LAUNCHED=1 exec \"$@\"\n"

// agent starts every step as the agent does, all at once, and waits for them.
func agent(dir string) error {
	var p rundir.Plan
	if err := rundir.ReadJSON(rundir.AttemptDir(dir).PlanFile(), &p); err != nil {
		return err
	}
	out, err := exec.Command("scontrol", "show", "hostnames", os.Getenv("SLURM_JOB_NODELIST")).Output()
	if err != nil {
		return err
	}
	nodes := strings.Fields(string(out))
	if err := rundir.WriteJSON(filepath.Join(dir, "nodes.json"), nodes); err != nil {
		return err
	}
	at, err := script.Place(p, rundir.AttemptDir(dir), p.Runs[0])
	if err != nil {
		return err
	}
	if script.NeedsInstall(at.Build) {
		if out, err := exec.Command("srun", script.InstallArgs(p, at, nodes)...).CombinedOutput(); err != nil {
			return fmt.Errorf("install: %w\n%s", err, out)
		}
	}
	var all sync.WaitGroup
	errs := make([]error, len(at.Build.Roles))
	for i, r := range p.Roles() {
		all.Go(func() {
			if out, err := exec.Command("srun", script.StepArgs(p, at, r, nodes)...).CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("%s: %w\n%s", r.Name, err, out)
			} else if out = unhurried(out); len(out) > 0 {
				errs[i] = fmt.Errorf("%s printed %s", r.Name, out)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// unhurried is what a job printed but for what srun says of a step that has to wait on a busy machine.
func unhurried(out []byte) []byte {
	return regexp.MustCompile(`(?m)^srun: (Job .* step creation temporarily disabled, retrying|Step created for ).*\n?`).ReplaceAll(out, nil)
}

// ended waits until no job is left.
func ended(t *testing.T) {
	t.Helper()
	cluster.Eventually(t, 15*time.Minute, "all jobs have ended", func() bool { return len(cluster.Running(t)) == 0 })
}

// printed is what a job has printed.
func printed(t *testing.T, dir string) string {
	t.Helper()
	out, err := os.ReadFile(rundir.AttemptDir(dir).SlurmOut())
	require.NoError(t, err)
	return string(unhurried(out))
}

// tools is a directory in which the test binary has the names of the programs
// that commands call; the launcher beside it.
func tools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, name := range []string{"pytest", "ci-disagg"} {
		require.NoError(t, os.Symlink(self, filepath.Join(dir, name)))
	}
	require.NoError(t, rundir.WriteFile(filepath.Join(dir, "trtllm-llmapi-launch"), []byte(launcher), 0o755))
	return dir
}

func absConfigs(t *testing.T, folder string) string {
	t.Helper()
	dir, err := filepath.Abs("../../../testdata/configs/" + folder)
	require.NoError(t, err)
	return dir
}

// awkward is an argument that every level of quoting would like to have.
const awkward = "a b'c\"d$HOME`id`\\[x]{1,2}*?~!#;&|<>()\tünï—💥"

func planFor(t *testing.T, bin, folder string, prof script.Profile, ids ...string) []rundir.Plan {
	t.Helper()
	plans, err := trtllm.Resolve(trtllm.Input{
		Config: trtllm.Config{
			Dir:      bin,
			Env:      map[string]string{"AWKWARD": awkward, "EMPTY": ""},
			Tests:    trtllm.Tests{DisaggConfigs: absConfigs(t, folder), AggConfigs: absConfigs(t, folder)},
			Commands: trtllm.Commands{Pytest: bin + "/pytest", Launcher: bin + "/trtllm-llmapi-launch", Args: `-k ` + quoted(t, awkward) + ` -m "two  blanks"`, Install: "touch \"$jobWorkspace/installed.$SLURMD_NODENAME\""},
		},
		Stage: awkward, Tests: ids, Base: "/",
	})
	require.NoError(t, err)
	for i := range plans {
		plans[i] = script.Apply(plans[i], prof)
	}
	return plans
}

// write puts a rendered attempt on disk and gives its directory.
func write(t *testing.T, p rundir.Plan, prof script.Profile, a script.Attempt) string {
	t.Helper()
	if a.Dir == "" {
		a.Dir = filepath.Join(t.TempDir(), "attempt it's 1")
	}
	files, err := script.Render(p, prof, a)
	require.NoError(t, err)
	for _, f := range files {
		require.NoError(t, rundir.WriteFile(filepath.Join(a.Dir, f.Path), f.Data, f.Mode))
	}
	return a.Dir
}

// some are the plans of few tasks, and of the others the one of most roles and the one of most nodes.
func some(all []rundir.Plan) []rundir.Plan {
	tasks := func(p rundir.Plan) (n int) {
		for _, r := range p.Roles() {
			n += r.Tasks()
		}
		return n
	}
	roles := slices.MaxFunc(all, func(a, b rundir.Plan) int { return len(a.Roles()) - len(b.Roles()) })
	nodes := slices.MaxFunc(all, func(a, b rundir.Plan) int { return a.Nodes - b.Nodes })
	return slices.DeleteFunc(all, func(p rundir.Plan) bool {
		return tasks(p) > 20 && p.Case.ID != roles.Case.ID && p.Case.ID != nodes.Case.ID
	})
}

// TestEveryConfigOnARealCluster runs each config with a probe as pytest: hosts,
// ranks, GPUs, arguments and environment of every task are what plan.json says.
// Without CI_DISAGG_FAULTS=all (make faults) only some.
func TestEveryConfigOnARealCluster(t *testing.T) {
	bin := tools(t)
	prof := script.Profile{Comment: `exempt="yes" {owner} it's # a \ comment`, Signal: "TERM@60", Env: map[string]string{"FROM_PROFILE": awkward}}
	type job struct {
		name, id, dir string
		plan          rundir.Plan
	}
	var plans []rundir.Plan
	for folder, prefix := range map[string]string{"disaggregated": "disagg_upload-", "aggregated": "aggr_upload-", "synthetic": ""} {
		files, err := filepath.Glob(absConfigs(t, folder) + "/*.yaml")
		require.NoError(t, err)
		var ids []string
		for _, f := range files {
			ids = append(ids, prefix+strings.TrimSuffix(filepath.Base(f), ".yaml"))
		}
		if folder == "synthetic" {
			ids = []string{"disagg-gen_only-six_gpus", "disagg-e2e-context_parallel", "disagg-gen_only_no_context", "disagg-quoting", "aggr-ctx_only-six_gpus", "aggr-agg_two_sizes-big-tp8"}
		}
		plans = append(plans, planFor(t, bin, folder, prof, ids...)...)
	}
	if !runtest.All() {
		plans = some(plans)
	}
	var jobs []job
	for i, p := range plans {
		j := job{name: p.Case.ID, plan: p}
		j.dir = write(t, p, prof, script.Attempt{JobName: fmt.Sprintf("probe-%d", i), Owner: "build-7", AgentPath: bin + "/ci-disagg"})
		j.id = cluster.Command(t, "sbatch", "--parsable", filepath.Join(j.dir, "job.sh"))
		require.Regexp(t, `^\d+$`, j.id)
		jobs = append(jobs, j)
	}
	require.Contains(t, cluster.Ask(t, "scontrol", "show", "job", jobs[0].id), `Comment=exempt="yes" build-7 it's # a \ comment`)
	ended(t)
	for _, j := range jobs {
		t.Run(j.name, func(t *testing.T) {
			require.Empty(t, printed(t, j.dir))
			checkAccounts(t, j.dir, j.plan)
		})
	}
}

// TestDraftsOnARealCluster runs launch drafts of both generations below our
// exports: each role gets its command, its arguments and a result file of its
// own.
func TestDraftsOnARealCluster(t *testing.T) {
	bin := tools(t)
	for _, name := range []string{"draft-old.sh", "draft-new.sh"} {
		t.Run(name, func(t *testing.T) {
			draft, err := os.ReadFile(filepath.Join("testdata", name))
			require.NoError(t, err)
			prof := script.Profile{}
			p := planFor(t, bin, "disaggregated", prof, seedCase)[0]
			dir := write(t, p, prof, script.Attempt{JobName: "draft", Draft: draft, DraftName: name})
			lint(t, dir)
			cluster.Command(t, "sbatch", filepath.Join(dir, "job.sh"))
			ended(t)
			require.Empty(t, printed(t, dir))
			for _, r := range p.Roles() {
				for rank := range r.Tasks() {
					var a account
					require.NoError(t, readJSON(filepath.Join(dir, "run-0", "roles", r.Name, fmt.Sprintf("account.%d.json", rank)), &a), "%s rank %d", r.Name, rank)
					require.Equal(t, []string{
						p.Case.ID, "-k", awkward, "-m", "two  blanks",
						"--output-dir=" + dir + "/run-0/by-case", "--junit-xml=" + dir + "/run-0/roles/" + r.Name + "/results." + a.Proc + ".xml",
					}, a.Args)
					require.Equal(t, r.Overlap, !a.Launched)
					for _, e := range r.Env {
						require.Contains(t, a.Env, e.Name+"="+e.Value)
					}
				}
			}
		})
	}
}

func checkAccounts(t *testing.T, dir string, planned rundir.Plan) {
	t.Helper()
	var p rundir.Plan
	require.NoError(t, rundir.ReadJSON(rundir.AttemptDir(dir).PlanFile(), &p))
	require.Equal(t, planned, p, "the attempt's plan.json is the plan")
	var nodes []string
	require.NoError(t, readJSON(filepath.Join(dir, "nodes.json"), &nodes))
	require.Len(t, nodes, p.Nodes)
	for _, n := range nodes {
		require.FileExists(t, filepath.Join(dir, "installed."+n))
	}
	for _, r := range p.Roles() {
		checkRole(t, dir, p, r, nodes)
	}
}

func checkRole(t *testing.T, dir string, p rundir.Plan, r rundir.RolePlan, nodes []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(rundir.AttemptDir(dir).Run(0).RoleDir(r.Name), "account.*.json"))
	require.NoError(t, err)
	require.Len(t, files, r.Tasks(), r.Name)
	perNode := map[string]int{}
	for _, f := range files {
		var a account
		require.NoError(t, readJSON(f, &a))
		require.Equal(t, r.Name, a.Role)
		require.Equal(t, filepath.Base(f), "account."+a.Proc+".json")
		perNode[a.Node]++
		require.Equal(t, r.Kind != rundir.KindRouter && r.Kind != rundir.KindClient, a.Launched, "the launcher is kept for workers only")
		require.Equal(t, p.Workdir, a.Dir)
		require.Equal(t, []string{
			p.Case.ID, "-k", awkward, "-m", "two  blanks",
			"--output-dir=" + dir + "/run-0/by-case", "--junit-xml=" + dir + "/run-0/roles/" + r.Name + "/results." + a.Proc + ".xml",
		}, a.Args)
		for _, s := range r.Slice {
			if nodes[s.Node] == a.Node && s.GPUs > 0 {
				require.Len(t, strings.Split(a.CUDA, ","), s.GPUs, "%s on %s sees GPUs %s", r.Name, a.Node, a.CUDA)
			}
		}
		checkEnvironment(t, dir, p, r, a)
	}
	for _, s := range r.Slice {
		require.Equal(t, s.Tasks, perNode[nodes[s.Node]], "%s on node %d", r.Name, s.Node)
	}
}

func checkEnvironment(t *testing.T, dir string, p rundir.Plan, r rundir.RolePlan, a account) {
	t.Helper()
	want := map[string]string{"AWKWARD": awkward, "FROM_PROFILE": awkward, "CI_DISAGG_ATTEMPT": dir, "testOutputDir": dir + "/run-0/output", "stageName": awkward}
	for _, e := range slices.Concat(p.Exports, p.Env, r.Env) {
		want[e.Name] = e.Value
	}
	for name, v := range want {
		require.Contains(t, a.Env, name+"="+v)
	}
	token := slices.IndexFunc(a.Env, func(e string) bool { return strings.HasPrefix(e, p.TokenEnv+"=") })
	require.GreaterOrEqual(t, token, 0)
	require.Regexp(t, `=\d+\.0\.\d+$`, a.Env[token])
	if r.MPI == "" {
		for _, e := range a.Env {
			require.NotRegexp(t, `^(PMI|PMIX|OMPI|MPI)_`, e, "%s is not an MPI program", r.Name)
		}
	} else {
		require.True(t, slices.ContainsFunc(a.Env, func(e string) bool { return strings.HasPrefix(e, "PMIX_RANK=") }))
	}
	_, aggregated := want["DISAGG_SERVING_TYPE"]
	require.Equal(t, r.Kind != rundir.KindTask, aggregated)
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
