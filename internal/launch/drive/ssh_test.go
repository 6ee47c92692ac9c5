package drive

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/sshtest"
)

// behindLogin is a driver whose file system is not the cluster's: it runs in a
// mount namespace in which the cluster's directory is empty, and its own run
// directory is on a file system that only it can see.
type behindLogin struct {
	spec spec
	wrap []string
	near rundir.Dir // the run directory as the driver sees it
	copy string     // where it is copied when the driver ends
	far  string
	sshd *sshtest.Server
}

func newBehindLogin(t *testing.T, cases [][3]string) behindLogin {
	t.Helper()
	need.Root(t)
	base, err := os.MkdirTemp("/var/tmp", "behind-") //nolint:usetesting // below /tmp it would be hidden
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	b := behindLogin{near: rundir.Dir(base + "/near/run"), copy: base + "/keep/run", far: base + "/far"}
	for _, d := range []string{base + "/near", base + "/keep", b.far} {
		require.NoError(t, os.MkdirAll(d, 0o755))
	}
	b.sshd = sshtest.Start(t, sshtest.Options{Env: []string{"SLURM_CONF=" + cluster.Conf, "SBATCH_PARTITION=nope", "SQUEUE_FORMAT=%i"}})
	b.spec = spec{
		Dir: b.near, ID: t.Name(), Backend: rundir.BackendSlurm, Cases: cases, FarDir: b.far,
		SSH: &host.SSHConfig{Dest: b.sshd.Dest, Options: b.sshd.Options, Connect: 2 * time.Minute},
	}
	// $1 far, $2 near, $3 where near's contents live between two drivers, then the driver.
	const script = `set -e; far=$1 near=$2 keep=$3; shift 3
mount --bind "$keep" "$near"; mount -t tmpfs none "$far"
exec "$@"`
	b.wrap = []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", b.far, base + "/near", base + "/keep"}
	return b
}

func TestSSHPassAndFail(t *testing.T) {
	t.Parallel()
	b := newBehindLogin(t, [][3]string{
		{"good", goodServer, `echo result > "$CI_DISAGG_ROLE_DIR/results.0.xml"; ` + goodClient},
		{"bad", "sleep 0.3; echo 'ValueError: no'; exit 1", hangClient},
		{"planted", goodServer, `a=$(dirname "$CI_DISAGG_RUN"); mv "$a" "$a.gone"; ln -s /tmp "$a"; exit 1`},
	})
	d := child(t, b.spec, withoutSlurmConf(), b.wrap...)
	st, err := d.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 0, st.ExitCode())
	require.NoDirExists(t, string(b.near), "the run directory is seen by the driver only")
	dir := rundir.Dir(b.copy)
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, dir, "good", 0, 1).Outcome)
	bad := outcomeOf(t, dir, "bad", 0, 1)
	require.Equal(t, rundir.OutcomeTestFailed, bad.Outcome, "%+v", bad)
	require.Equal(t, "GEN_0", bad.Finding.Root)
	planted := outcomeOf(t, dir, "planted", 0, 1)
	// Between its two commands the agent may have written into a directory of that name again.
	require.Contains(t, []string{"planted", "storage"}, planted.Finding.Kind, "%+v", planted)
	require.NoDirExists(t, string(dir.CaseDir("planted").Attempt(0, 2)))
	a := dir.CaseDir("good").Attempt(0, 1)
	require.FileExists(t, a.AgentFile())
	text, err := os.ReadFile(filepath.Join(a.Run(0).RoleDir("BENCHMARK"), "results.0.xml"))
	require.NoError(t, err)
	require.Equal(t, "result\n", string(text))
	var bundle collect.Bundle
	require.NoError(t, rundir.ReadJSON(filepath.Join(string(a), collect.BundleFile), &bundle))
	require.NotEmpty(t, bundle.Files)
	bins, err := filepath.Glob(b.far + "/bin/*")
	require.NoError(t, err)
	require.Len(t, bins, 1, "the binary is copied once")
	leases, err := filepath.Glob(b.far + "/runs/*/lease.json")
	require.NoError(t, err)
	require.Len(t, leases, 1, "sweep finds the owner on the cluster's side")
	require.Equal(t, 1, strings.Count(b.sshd.Log(), "Accepted publickey"), "one connection:\n%s", b.sshd.Log())
}

// withoutSlurmConf is the environment of a machine that has no Slurm of its own.
func withoutSlurmConf() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SLURM_CONF=") {
			env = append(env, e)
		}
	}
	return env
}

func TestSSHDroppedMidRun(t *testing.T) {
	t.Parallel()
	enough := filepath.Join(t.TempDir(), "enough")
	b := newBehindLogin(t, [][3]string{{"c", goodServer, clientUntil(enough)}})
	d := child(t, b.spec, withoutSlurmConf(), b.wrap...)
	dir := rundir.Dir(b.copy)
	j := jobRecord(t, dir, "c", 1)
	b.sshd.Down() // the login node is away until the driver has noticed and the job has ended
	waitForOutput(t, d, "squeue says nothing")
	touch(t, enough)
	agents, err := filepath.Glob(b.far + "/runs/*/cases/c/*/attempt-1")
	require.NoError(t, err)
	require.Len(t, agents, 1)
	agentEnded(t, rundir.AttemptDir(agents[0]).AgentFile())
	b.sshd.Up()
	st, err := d.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 0, st.ExitCode())
	out := outcomeOf(t, dir, "c", 0, 1)
	require.Equal(t, rundir.OutcomePassed, out.Outcome, "%+v", out)
	require.Equal(t, j.ID, out.JobID)
	require.NoDirExists(t, string(dir.CaseDir("c").Attempt(0, 2)))
}

func TestSSHKillResumeAndAbort(t *testing.T) {
	t.Parallel()
	b := newBehindLogin(t, [][3]string{{"c", hangServer, hangClient}})
	dir := rundir.Dir(b.copy)
	first := child(t, b.spec, withoutSlurmConf(), b.wrap...)
	j := jobRecord(t, dir, "c", 1)
	require.NoError(t, first.Process.Kill())
	_, _ = first.Process.Wait()
	second := child(t, b.spec, withoutSlurmConf(), b.wrap...)
	var held rundir.Lease
	require.Eventually(t, func() bool {
		return rundir.ReadJSON(dir.LeaseFile(), &held) == nil && held.PID == second.Process.Pid
	}, ample, 50*time.Millisecond, "not taken over")
	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	cancelled(t, j)
	st, err := second.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 128+int(syscall.SIGTERM), st.ExitCode())
	require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, dir, "c", 0, 1).Outcome)
}

// A detached run is shown to be left on purpose, and what it measured comes home although somebody else has written
// down how it ended.
func TestSSHDetachFinishAndResume(t *testing.T) {
	t.Parallel()
	enough := filepath.Join(t.TempDir(), "enough")
	b := newBehindLogin(t, [][3]string{{"c", goodServer, `echo result > "$CI_DISAGG_ROLE_DIR/results.0.xml"; ` + clientUntil(enough)}})
	drive := func(detach bool) {
		b.spec.Detach = detach
		st, err := child(t, b.spec, withoutSlurmConf(), b.wrap...).Process.Wait()
		require.NoError(t, err)
		require.Equal(t, 0, st.ExitCode())
	}
	drive(true)
	dir := rundir.Dir(b.copy)
	there := rundir.AttemptDir(jobRecord(t, dir, "c", 1).Dir)
	held, err := lease.Read(rundir.Dir(filepath.Join(string(there), "../../../..")).LeaseFile())
	require.NoError(t, err)
	require.NotNil(t, held)
	require.True(t, held.Detached && held.Released != nil, "%+v", held)
	touch(t, enough)
	agentEnded(t, there.AgentFile())
	access := runs.Access{Environ: cluster.Env(t), Now: time.Now}
	cluster.Eventually(t, ample, "the end to be written down", func() bool {
		left, err := runs.Finish(context.Background(), access, dir)
		return err == nil && left == 0
	})
	a := dir.CaseDir("c").Attempt(0, 1)
	require.NoFileExists(t, a.AgentFile())
	drive(false)
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, dir, "c", 0, 1).Outcome)
	require.FileExists(t, a.AgentFile())
	require.FileExists(t, filepath.Join(a.Run(0).RoleDir("BENCHMARK"), "results.0.xml"))
	require.NoDirExists(t, string(dir.CaseDir("c").Attempt(0, 2)))
}
