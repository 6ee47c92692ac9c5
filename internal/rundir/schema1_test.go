package rundir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Records of schema 1 are today's once they are read; those of today stay as they are.
func TestRecordsOfSchema1(t *testing.T) {
	t.Parallel()
	var p Plan
	require.NoError(t, Decode("plan.json", []byte(`{"schema": 1, "install": "pip install x", "setup": "ulimit -c 0", "container": {"image": "i"},
		"pre_roles": [{"name": "GEN_0_PRECHECK", "kind": "precheck"}],
		"roles": [{"name": "GEN_0", "kind": "gen", "command": "pytest --junit-xml=\"$CI_DISAGG_ATTEMPT/roles/GEN_0/results.0.xml\" --test-list=\"$CI_DISAGG_ATTEMPT/test_list.txt\""},
			{"name": "DISAGG_SERVER", "kind": "server"}, {"name": "BENCHMARK", "kind": "benchmark"}],
		"paths": [{"name": "testOutputDir", "value": "output"}, {"name": "runScript", "value": "run.sh"}],
		"output_names": {"GEN_0": "gen_server_0.log"}, "done_names": {"GEN_0": "gen_server_0.done"}}`), &p))
	require.Equal(t, OneRun(), p.Runs)
	require.Len(t, p.Builds, 1)
	b := p.Builds[0]
	require.Equal(t, []string{HeadBuild, "pip install x", "ulimit -c 0", "i"}, []string{b.Name, b.Install, b.Setup, b.Container.Image})
	var kinds []string
	for _, r := range p.Roles() {
		kinds = append(kinds, r.Kind)
	}
	require.Equal(t, []string{KindPrecheck, KindServer, KindRouter, KindClient}, kinds)
	gen := p.Roles()[1]
	require.Equal(t, []string{"GEN", "gen_server_0.log", "gen_server_0.done"}, []string{gen.Group, gen.Output, gen.Done})
	require.Contains(t, gen.Command, `"$CI_DISAGG_RUN/roles/GEN_0/`)
	require.Contains(t, gen.Command, `"$CI_DISAGG_ATTEMPT/test_list.txt"`)
	require.Equal(t, []EnvVar{{Name: "testOutputDir", Value: "output"}, {Name: "runScript", Value: "../run.sh"}}, p.Paths)

	var a AgentRecord
	require.NoError(t, Decode("agent.json", []byte(`{"schema": 1, "roles": [{"name": "CTX_0", "kind": "ctx"}], "end": {"evidence": {"Roles": [{"Name": "AGG", "Kind": "agg"}]}}}`), &a))
	require.Equal(t, KindServer, a.Roles[0].Kind)
	require.JSONEq(t, `{"Roles": [{"Name": "AGG", "Kind": "task"}]}`, string(a.End.Evidence))

	require.NoError(t, Decode("agent.json", []byte(`{"schema": 1, "end": {"finding": {"kind": "walltime"}}}`), &a))
	require.Equal(t, "time-limit", a.End.Finding.Kind)
	var o AttemptOutcome
	require.NoError(t, Decode("outcome.json", []byte(`{"schema": 1, "finding": {"kind": "walltime"}}`), &o))
	require.Equal(t, "time-limit", o.Finding.Kind)

	var j Job
	require.NoError(t, Decode("job.json", []byte(`{"schema": 1, "cancel": {"reason": "interrupted: terminated", "outcome": "cancelled"}}`), &j))
	require.Equal(t, CauseInterrupted, j.Cancel.Cause, "resume does not count it as a retry")
	var run Run
	require.NoError(t, Decode("run.json", []byte(`{"schema": 1, "cases": [{"attempts": [{"attempt": 1, "why": "first"}, {"attempt": 2, "why": "resumed; the attempt before was interrupted: terminated"},
		{"attempt": 3, "why": "again; the attempt before was withdrawn: full"}, {"attempt": 4, "why": "retry: node died"}]}]}`), &run))
	var due []Due
	for _, a := range run.Cases[0].Attempts {
		due = append(due, a.Due)
	}
	require.Equal(t, []Due{"", DueResumed, DueAgain, DueRetry}, due)

	var r RoleRecord
	require.NoError(t, Decode("status.json", []byte(`{"kind": "server"}`), &r))
	require.Equal(t, KindRouter, r.Kind)
	require.NoError(t, Decode("status.json", []byte(`{"schema": 2, "kind": "server"}`), &r))
	require.Equal(t, KindServer, r.Kind)
}

func TestFindRun(t *testing.T) {
	t.Parallel()
	a := AttemptDir(t.TempDir())
	require.Equal(t, a.Run(0), FindRun(a, 0), "nothing is there yet")
	require.NoError(t, os.Mkdir(filepath.Join(string(a), "roles"), DirMode))
	require.Equal(t, RunDir(a), FindRun(a, 0), "an attempt that is its only run")
	require.Equal(t, a.Run(1), FindRun(a, 1))
	require.NoError(t, os.Mkdir(string(a.Run(0)), DirMode))
	require.Equal(t, a.Run(0), FindRun(a, 0))
}
