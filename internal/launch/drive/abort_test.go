package drive

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// Jenkins aborts a step by SIGTERM to every process that carries its cookie,
// children first.
func TestJenkinsShootsEverythingWithItsCookie(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{rundir.BackendLocal, rundir.BackendSlurm} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			dir := newRunDir(t)
			cookie := "JENKINS_SERVER_COOKIE=durable-" + t.Name()
			s := spec{Dir: dir, ID: t.Name(), Backend: backend, Cases: [][3]string{{"c", hangServer, hangClient}}}
			d := child(t, s, append(cluster.Env(t), cookie))
			j := jobRecord(t, dir, "c", 1)
			require.Eventually(t, func() bool { return exists(dir.CaseDir("c").Attempt(0, 1).AgentFile()) }, ample, 50*time.Millisecond)
			// A command that is just being started shows the driver's environment for a moment.
			require.Eventually(t, func() bool { return slices.Equal(proc.WithCookie(cookie), []int{d.Process.Pid}) }, ample, 20*time.Millisecond,
				"only the driver itself may be shot")
			begun := time.Now()
			require.NoError(t, d.Process.Signal(syscall.SIGTERM))
			if backend == rundir.BackendSlurm {
				cancelled(t, j)
				t.Logf("the job is being ended %v after the signal", time.Since(begun))
			}
			st, err := d.Process.Wait()
			require.NoError(t, err)
			require.Equal(t, 128+int(syscall.SIGTERM), st.ExitCode())
			require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, dir, "c", 0, 1).Outcome)
			noProcesses(t, dir)
		})
	}
}

// helping reports whether the detached helper of a run lives. Its log is there before it is.
func helping(dir rundir.Dir) bool {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	return slices.ContainsFunc(names, func(name string) bool {
		args, _ := os.ReadFile(name) // #nosec G304 -- of /proc
		return bytes.Contains(args, []byte("\x00cancel\x00")) && bytes.HasSuffix(args, []byte("\x00"+string(dir)+"\x00"))
	})
}

// Who aborts us may kill us before a controller that is silent has been asked thrice: somebody else goes on by then.
func TestTermWhileTheControllerIsSilent(t *testing.T) {
	t.Parallel()
	dir := newRunDir(t)
	state := t.TempDir()
	back, cut, log := filepath.Join(state, "back"), filepath.Join(state, "cut"), filepath.Join(string(dir), "cancel.log")
	env := withFake(t, cluster.Env(t), "scancel", `trap '[ -e "`+log+`" ] || echo alone >>"`+cut+`"; exit 1' TERM
while [ -d "`+state+`" ] && [ ! -e "`+back+`" ]; do sleep 0.1; done; exec /usr/bin/scancel "$@"`)
	d := child(t, spec{Dir: dir, ID: t.Name(), Backend: rundir.BackendSlurm, Cases: [][3]string{{"c", hangServer, hangClient}}}, env)
	defer touch(t, back)
	j := jobRecord(t, dir, "c", 1)
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return helping(dir) }, ample, 20*time.Millisecond, "no helper")
	require.NoError(t, d.Process.Kill())
	_, _ = d.Process.Wait()
	tries, _ := os.ReadFile(cut)
	require.Less(t, strings.Count(string(tries), "alone"), 3, "the helper comes after the last try")
	touch(t, back)
	require.Eventually(t, func() bool {
		s, err := cluster.Try("squeue", "-h", "-t", "all", "-j", j.ID, "-o", "%T")
		return err == nil && s == "CANCELLED"
	}, ample, 300*time.Millisecond, "the job outlives its driver")
}

// SIGTERM while the job waits, while it is being set up, and while it runs.
func TestTermInEachPhase(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		server string
		ready  func(t *testing.T, dir rundir.Dir)
	}{
		"just submitted": {hangServer, func(t *testing.T, dir rundir.Dir) { jobRecord(t, dir, "c", 1) }},
		"before the submission": {hangServer, func(t *testing.T, dir rundir.Dir) {
			require.Eventually(t, func() bool { return exists(dir.RunFile()) }, ample, time.Millisecond)
		}},
		"running": {hangServer, func(t *testing.T, dir rundir.Dir) {
			require.Eventually(t, func() bool {
				var r rundir.AgentRecord
				return rundir.ReadJSON(dir.CaseDir("c").Attempt(0, 1).AgentFile(), &r) == nil && r.Phase == rundir.PhaseBenchmark
			}, ample, 20*time.Millisecond)
		}},
		"a server ignores TERM": {`trap "" TERM; while :; do sleep 1; done`, func(t *testing.T, dir rundir.Dir) {
			require.Eventually(t, func() bool {
				var r rundir.AgentRecord
				return rundir.ReadJSON(dir.CaseDir("c").Attempt(0, 1).AgentFile(), &r) == nil && r.Phase == rundir.PhaseBenchmark
			}, ample, 20*time.Millisecond)
		}},
	} {
		for _, backend := range []string{rundir.BackendLocal, rundir.BackendSlurm} {
			t.Run(name+"/"+backend, func(t *testing.T) {
				t.Parallel()
				dir := newRunDir(t)
				d := child(t, spec{Dir: dir, ID: t.Name(), Backend: backend, Cases: [][3]string{{"c", tc.server, hangClient}}}, cluster.Env(t))
				tc.ready(t, dir)
				require.NoError(t, d.Process.Signal(syscall.SIGINT))
				st, err := d.Process.Wait()
				require.NoError(t, err)
				require.Equal(t, 128+int(syscall.SIGINT), st.ExitCode())
				noProcesses(t, dir)
				var run rundir.Run
				require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
				require.Eventually(t, func() bool {
					out, err := cluster.Try("squeue", "-h", "-o", "%j")
					return err == nil && !strings.Contains(out, jobs.NamePrefix+jobs.OwnerTag(run))
				}, ample, 200*time.Millisecond, "a job is left")
			})
		}
	}
}

func TestAnIgnoredHangupStaysIgnored(t *testing.T) {
	t.Parallel()
	dir := newRunDir(t)
	enough := filepath.Join(t.TempDir(), "enough")
	s := spec{Dir: dir, ID: t.Name(), Backend: rundir.BackendLocal, Cases: [][3]string{{"c", goodServer, clientUntil(enough)}}}
	d := child(t, s, os.Environ(), "nohup")
	jobRecord(t, dir, "c", 1)
	require.NoError(t, d.Process.Signal(syscall.SIGHUP))
	touch(t, enough)
	st, err := d.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 0, st.ExitCode())
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, dir, "c", 0, 1).Outcome)

	dir = newRunDir(t)
	s.Dir, s.Cases = dir, [][3]string{{"c", hangServer, hangClient}}
	d = child(t, s, os.Environ(), "env", "--default-signal=HUP") // these tests may themselves run under nohup
	jobRecord(t, dir, "c", 1)
	require.NoError(t, d.Process.Signal(syscall.SIGHUP))
	st, err = d.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 129, st.ExitCode())
	noProcesses(t, dir)
}

func TestDiskFullInTheRunDirectory(t *testing.T) {
	t.Parallel()
	need.Root(t)
	base, err := os.MkdirTemp("/var/tmp", "full-") //nolint:usetesting // the mount point of a namespace
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	s := spec{
		Dir: rundir.Dir(base + "/small/run"), ID: t.Name(), Backend: rundir.BackendLocal,
		Cases: [][3]string{{"c", `head -c 100M /dev/zero > "$CI_DISAGG_RUN/output/fill"; ` + hangServer, hangClient}},
	}
	require.NoError(t, os.Mkdir(base+"/small", 0o755))
	const script = `mount -t tmpfs -o size=3m none "$1" || exit 99; shift; exec "$@"`
	d := child(t, s, os.Environ(), "unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", base+"/small")
	done := make(chan *os.ProcessState, 1)
	go func() { st, _ := d.Process.Wait(); done <- st }()
	select {
	case st := <-done:
		require.NotZero(t, st.ExitCode(), "a full disk is no success")
	case <-time.After(8 * time.Minute):
		t.Fatal("no end with a full disk")
	}
	require.Eventually(t, func() bool {
		return len(proc.WithCookie("CI_DISAGG_ATTEMPT="+string(s.Dir.CaseDir("c").Attempt(0, 1)))) == 0
	},
		ample, 100*time.Millisecond, "processes are left")
}
