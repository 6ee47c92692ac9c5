package faults_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/runview"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
	"github.com/ci-disagg/ci-disagg/internal/testkit/sshtest"
)

// killPytest waits until the roles serve and kills their pytest processes in one go.
func killPytest(roles ...string) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.phase(t, rundir.PhaseBenchmark)
		var pids []int
		r.until(t, runtest.Soon, "the roles' pytest", func() bool {
			pids = nil
			for _, role := range roles {
				if pid := r.pytest(role); pid != 0 {
					pids = append(pids, pid)
				}
			}
			return len(pids) == len(roles)
		})
		for _, pid := range pids {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
}

// stopServer makes a role's server hang in the middle of the benchmark. Its own knob would do so at the first request,
// which may come before the agent has seen that the router is ready.
func stopServer(role string) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.phase(t, rundir.PhaseBenchmark)
		for pid, line := range r.processes("DISAGG_SERVING_TYPE=" + role) {
			if strings.Contains(line, "/bin/trtllm-serve ") {
				require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
				return
			}
		}
		t.Fatalf("%s has no server to stop", role)
	}
}

// running waits until the benchmark is under way, or, where that never comes, until the job is known.
func (r *row) running(t testing.TB) {
	t.Helper()
	if strings.Contains(r.with.cluster, "--hold") {
		r.until(t, runtest.Soon, "a pending job", func() bool {
			state, err := r.c.Try("squeue", "-h", "-j", r.job().ID, "-o", "%T")
			return submitted(r) && err == nil && state == "PENDING"
		})
		return
	}
	r.phase(t, rundir.PhaseBenchmark)
	if r.with.pipelines != "" {
		return // no GEN_0 there
	}
	r.until(t, runtest.Soon, "requests at a server", r.serves)
}

func scancel(t testing.TB, r *row) {
	r.running(t)
	r.act()
	r.c.Command(t, "scancel", r.job().ID)
}

// killNode plays the sudden death of the job's n-th node.
func killNode(n int) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.running(t)
		node := r.agent().Nodes[n]
		r.act()
		r.dead = node
		r.c.KillNode(t, node)
		t.Cleanup(func() { r.c.StartNode(t, node) })
	}
}

// nodeDeathInTime: within SlurmdTimeout (10 s on the test cluster) and 15 s.
func nodeDeathInTime(t testing.TB, r *row) {
	o := runtest.Outcome(t, r.dir)
	require.Less(t, o.Ended.Sub(r.acted), runtest.Within(25*time.Second))
	require.Equal(t, []string{r.dead}, o.Finding.BadNodes, "a retry has to know which one")
}

func preempt(t testing.TB, r *row) {
	r.running(t)
	nodes := r.agent().Nodes
	r.act()
	id := r.c.Command(t, "sbatch", "--parsable", "-p", "urgent", "--exclusive", "-o", "/dev/null", "-w", strings.Join(nodes, ","), fmt.Sprintf("-N%d", len(nodes)), "--wrap", "sleep 2")
	t.Cleanup(func() { _, _ = r.c.Try("scancel", id) })
}

// graceTime is between the SIGTERM to a job that is preempted and its end. Until then it goes on running.
func graceTime(t testing.TB, r *row) {
	r.c.Command(t, "scontrol", "update", "PartitionName=batch", "GraceTime=20")
}

// requeue puts the job back into the queue and lets it start again, which only somebody with power over it can do.
func requeue(t testing.TB, r *row) {
	r.running(t)
	r.act()
	r.requeue(t)
}

func (r *row) requeue(t testing.TB) {
	t.Helper()
	id := r.job().ID
	r.c.Command(t, "scontrol", "update", "JobId="+id, "Requeue=1")
	r.c.Command(t, "scontrol", "requeue", id)
}

func requeueUnwatched(t testing.TB, r *row) int {
	r.run(t)
	r.running(t)
	require.NoError(t, r.cmd.Process.Kill())
	_ = r.cmd.Wait()
	r.act()
	r.requeue(t)
	id := r.job().ID
	r.until(t, runtest.Soon, "the job to be back in the queue", func() bool {
		out, err := r.c.Try("squeue", "-h", "-j", id, "-o", "%T")
		return err == nil && out == "PENDING"
	})
	r.c.Command(t, "scontrol", "update", "JobId="+id, "StartTime=now")
	r.until(t, runtest.Soon, "the agent to refuse", func() bool { return r.agent().Restart > 0 })
	r.start(t, []string{"resume", "--quiet", string(r.seen)})
	return r.wait(t)
}

// refusedByAgent asserts that the restarted job did nothing.
func refusedByAgent(t testing.TB, r *row) {
	rec := r.agent()
	require.Equal(t, 1, rec.Restart)
	require.Contains(t, rec.Timeline[len(rec.Timeline)-1].What, "refused")
}

// killHelpers kills what watches the servers on the nodes: that costs evidence, never the run.
func killHelpers(t testing.TB, r *row) {
	r.running(t)
	r.until(t, runtest.Soon, "the helpers on the nodes", func() bool {
		killed := 0
		for pid, line := range r.processes() {
			if strings.Contains(line, " agent node ") && !strings.HasPrefix(line, "srun ") && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed++
			}
		}
		return killed > 0
	})
}

// blindNodes asserts that the record says how far the servers were watched.
func blindNodes(t testing.TB, r *row) {
	var said []string
	for _, e := range r.agent().Timeline {
		said = append(said, e.What)
	}
	require.Contains(t, strings.Join(said, "\n"), "the helper on", "%+v", said)
}

func suspend(t testing.TB, r *row) {
	r.running(t)
	r.act()
	r.c.Command(t, "scontrol", "suspend", r.job().ID)
}

// suspendShortly has Slurm stop the job for some seconds, which only its accounts tell of later.
func suspendShortly(t testing.TB, r *row) {
	r.running(t)
	id := r.job().ID
	r.c.Command(t, "scontrol", "suspend", id)
	time.Sleep(4 * time.Second) // what is measured here is that time passes
	r.c.Command(t, "scontrol", "resume", id)
}

// stopAgent stops the agent for longer than a busy machine holds it.
func stopAgent(t testing.TB, r *row) {
	r.running(t)
	pid := r.agent().PID
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	time.Sleep(20 * time.Second) // likewise
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
}

// invalid asserts that the measurement does not count, and why.
func invalid(why string) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		c := runtest.Document(t, r.dir).Cases[0]
		require.Equal(t, report.ResultNoVerdict, c.Result, c.Message)
		require.Contains(t, strings.Join(c.Problems, "\n"), why)
	}
}

func killAgent(t testing.TB, r *row) {
	r.running(t)
	r.act()
	require.NoError(t, syscall.Kill(r.agent().PID, syscall.SIGKILL))
}

// restartController ends slurmctld and starts it again.
func restartController(t testing.TB, r *row) {
	r.running(t)
	r.c.StopController(t)
	r.c.StartController(t)
}

// controllerDown ends slurmctld until the driver has noticed and the job has ended.
func controllerDown(t testing.TB, r *row) {
	r.running(t)
	r.c.StopController(t)
	r.until(t, runtest.Soon, "the driver to notice", func() bool { return !r.stderr.said("squeue says nothing").IsZero() })
	r.until(t, runtest.Soon, "the agent's end", func() bool { return r.agent().End != nil })
	r.c.StartController(t)
}

func accountingDown(t testing.TB, r *row) {
	if r.cmd != nil {
		r.phase(t, rundir.PhaseBenchmark)
	}
	r.c.StopAccounting(t)
}

// unhang lets the commands that wait for $ROW/unhung answer again, once the driver has noticed.
func unhang(t testing.TB, r *row) {
	r.until(t, runtest.Soon, "the driver to notice", func() bool { return !r.stderr.said("squeue says nothing").IsZero() })
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(string(r.dir)), "unhung"), nil, 0o600))
}

// routed asserts that the cluster which sbatch named is used from then on.
func routed(t testing.TB, r *row) {
	require.Equal(t, "ci"+strconv.Itoa(r.c.Port), r.job().Routed)
}

// smallDisk puts the run directory on a disk of its own with little room beside the binary.
func smallDisk(t testing.TB, r *row) {
	require.NoError(t, os.Mkdir(string(r.dir), 0o755))
	info, err := os.Stat(binary)
	require.NoError(t, err)
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", info.Size()+4<<20), "faults", string(r.dir)).CombinedOutput()
	require.NoErrorf(t, err, "mounting a tmpfs needs root: %s", out)
	t.Cleanup(func() { _ = exec.Command("umount", "-l", string(r.dir)).Run() })
}

// fillDisk fills the run directory mid-run. What could not be written then is written by resume, once there is room
// again.
func fillDisk(t testing.TB, r *row) int {
	r.run(t)
	r.running(t)
	filler := filepath.Join(string(r.dir), "filler")
	r.act()
	f, err := os.Create(filler)
	require.NoError(t, err)
	block := make([]byte, 1<<16)
	for err == nil {
		_, err = f.Write(block)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	for err = nil; err == nil; {
		_, err = f.Write(block[:1])
	}
	require.NoError(t, f.Close())
	first := r.wait(t)
	require.Equal(t, 3, first, "with a full disk")
	require.Zero(t, r.jobsLeft(t), "with a full disk")
	require.Contains(t, r.stderr.String(), "no space left on device")
	require.NoError(t, os.Remove(filler))
	r.start(t, []string{"resume", "--quiet", string(r.seen)})
	return r.wait(t)
}

// behindLogin makes the driver's file system another one than the cluster's: its run directory is on a mount that only
// it sees, and of the cluster's directory it sees nothing. The client waits there for a file measure.
func behindLogin(t testing.TB, r *row) {
	base, err := os.MkdirTemp("/var/tmp", "faults-") //nolint:usetesting // below /tmp it might be hidden
	require.NoError(t, err)
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(base)
		}
	})
	for _, d := range []string{"near", "keep", "far"} {
		require.NoError(t, os.Mkdir(filepath.Join(base, d), 0o755))
	}
	sshd := sshtest.Start(t, sshtest.Options{Env: []string{"SLURM_CONF=" + r.c.Conf, "CI_DISAGG_FAULT=" + r.knob, "CI_DISAGG_TOKEN_MS=" + r.tokenMS}})
	r.fake(t, map[string]string{"ssh": "exec /usr/bin/ssh " + strings.Join(sshd.Options, " ") + ` "$@"`})
	r.far = filepath.Join(base, "far")
	r.seen, r.dir = rundir.Dir(base+"/near/run"), rundir.Dir(base+"/keep/run")
	r.with.cluster += fmt.Sprintf(", login: %s, agent_dir: %s", sshd.Dest, r.far)
	r.with.setup = `[ "$DISAGG_SERVING_TYPE" != BENCHMARK ] || until [ -e ` + r.far + `/measure ]; do sleep 0.1; done`
	r.config = r.with.write(t, "slurm")
	r.login = sshd
}

// dropSSH takes the login node away for a while, its connections included, before the client begins: what happens then
// happens behind the driver's back.
func dropSSH(t testing.TB, r *row) int {
	base := filepath.Dir(r.far)
	r.run(t, "unshare", "--mount", "--propagation", "private", "sh", "-c",
		`set -e; mount --bind "$1/keep" "$1/near"; mount -t tmpfs none "$1/far"; shift; exec "$@"`, "sh", base)
	r.until(t, runtest.Soon, "a job id", func() bool { return submitted(r) })
	r.until(t, runtest.Soon, "the benchmark", func() bool { return !r.stderr.said("phase benchmark").IsZero() })
	var seen runview.Status // by somebody who has the run directory, and the agent's record behind the login node
	look := exec.CommandContext(t.Context(), binary, "status", "-o", "json", string(r.dir))
	look.Dir, look.Env = t.TempDir(), append(r.env[:len(r.env):len(r.env)], "CI_DISAGG_LOGIN="+r.login.Dest+":"+r.far)
	out, err := look.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &seen))
	require.Equal(t, runview.Running, seen.State)
	require.Len(t, seen.List[0].Roles, 4)
	require.NotEmpty(t, seen.List[0].Nodes)
	r.login.Down()
	require.NoError(t, os.WriteFile(filepath.Join(r.far, "measure"), nil, 0o600))
	r.until(t, runtest.Soon, "the driver to notice", func() bool { return !r.stderr.said("squeue says nothing").IsZero() })
	r.login.Up()
	return r.wait(t)
}

// unread lets a filter of the driver's output die after its first line, as `run | head` does.
func unread(t testing.TB, r *row) int {
	r.run(t, "bash", "-c", `"$@" 2>&1 | head -n 1; exit "${PIPESTATUS[0]}"`, "bash")
	return r.wait(t)
}

// lossSignals sends the driver what comes with the loss of an output and with a shell's limits.
func lossSignals(t testing.TB, r *row) {
	r.running(t)
	for _, s := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGXCPU} {
		require.NoError(t, r.cmd.Process.Signal(s))
	}
}

// What a SIGTERM waits for.

func submitting(r *row) bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(string(r.dir)), "sbatch"))
	return err == nil
}

func submitted(r *row) bool { return r.job().ID != "" }

func inPhase(p rundir.Phase) func(*row) bool {
	return func(r *row) bool { return r.agent().Phase == p }
}

func jobEnded(r *row) bool {
	if r.agent().End == nil {
		return false
	}
	state, err := r.c.Try("squeue", "-h", "-t", "all", "-j", r.job().ID, "-o", "%T")
	return err == nil && state == "COMPLETED"
}

func termWhen(what string, when func(*row) bool) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.until(t, runtest.Soon, what, func() bool { return when(r) })
		r.act()
		require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	}
}

// cancelledInTime: scancel within 1 s, the job gone within KillWait (3 s on the test cluster) and 5 s.
func cancelledInTime(t testing.TB, r *row) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(string(r.dir)), "scancel"))
	require.NoError(t, err, "scancel was never called")
	first, _, _ := strings.Cut(string(text), "\n")
	sec, err := strconv.ParseFloat(first, 64)
	require.NoError(t, err)
	at := time.UnixMicro(int64(sec * 1e6))
	require.Less(t, at.Sub(r.acted), runtest.Within(time.Second), "scancel")
	o := runtest.Outcome(t, r.dir)
	// Slurm counts in seconds. The job that sbatch had not told us of yet begins a second after the signal.
	require.Less(t, o.Ended.Truncate(time.Second).Sub(r.acted), runtest.Within(8*time.Second), "the job's end")
}

// termWhileResumeWaits has the driver killed, and the next one told to end while it takes the run over: it has written
// the dead one's lease anew, and waits whether that stands.
func termWhileResumeWaits(t testing.TB, r *row) int {
	r.run(t)
	r.running(t)
	require.NoError(t, r.cmd.Process.Kill())
	_ = r.cmd.Wait()
	r.start(t, []string{"resume", "--quiet", string(r.seen)})
	r.until(t, runtest.Soon, "resume to take the lease", func() bool {
		var held rundir.Lease
		return rundir.ReadJSON(r.dir.LeaseFile(), &held) == nil && held.PID == r.cmd.Process.Pid
	})
	r.act()
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	return r.wait(t)
}

// killAtRandom kills the driver two times and lets the third finish: with resume, or with the same run again.
func killAtRandom(seed uint64) func(testing.TB, *row) int {
	return func(t testing.TB, r *row) int {
		rng := rand.New(rand.NewPCG(seed, 4)) //nolint:gosec // a test's seed
		for range 2 {
			r.again(t, rng)
			time.Sleep(time.Duration(rng.IntN(6000)) * time.Millisecond)
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
		r.again(t, rng)
		return r.wait(t)
	}
}

func (r *row) again(t testing.TB, rng *rand.Rand) {
	t.Helper()
	if _, err := os.Stat(r.dir.RunFile()); err == nil && rng.IntN(2) == 0 {
		r.start(t, []string{"resume", "--quiet", string(r.seen)})
		return
	}
	r.run(t)
}

// sweepRefused kills the driver of a job that is about to fail, and lets `sweep` find out how it ended. What is left is
// to report it.
func sweepRefused(t testing.TB, r *row) int {
	text, err := os.ReadFile(r.config)
	require.NoError(t, err)
	text = fmt.Appendf(text, "runs_dir: %s\n", filepath.Dir(string(r.dir)))
	require.NoError(t, os.WriteFile(r.config, text, 0o600))
	r.run(t)
	r.until(t, runtest.Soon, "a job id", func() bool { return submitted(r) })
	require.NoError(t, r.cmd.Process.Kill())
	_ = r.cmd.Wait()
	id := r.job().ID
	r.until(t, runtest.Soon, "the job's end", func() bool {
		state, err := r.c.Try("sacct", "-X", "-n", "-P", "-o", "State", "-j", id)
		return err == nil && strings.HasPrefix(state, "CANCELLED")
	})
	r.until(t, runtest.Soon, "sweep to write down how it ended", func() bool {
		r.start(t, []string{"sweep", "--config", r.config, "--cluster", "testbed", "--older-than", "1s"})
		require.Zero(t, r.wait(t), "%s", &r.stderr)
		return r.swept()
	})
	r.start(t, []string{"resume", "--quiet", string(r.seen)})
	return r.wait(t)
}

// swept reports whether it stands in the run directory how the attempt ended.
func (r *row) swept() bool {
	_, err := os.Stat(runtest.Attempt(r.dir).OutcomeFile())
	return err == nil
}

// finished asserts that the run was finished by what had been asked after its driver had died, as the driver would
// have.
func finished(t testing.TB, r *row) {
	require.Equal(t, []string{"gpu1"}, runtest.Outcome(t, r.dir).Finding.BadNodes)
	require.Contains(t, r.stdout.String(), "how its jobs ended is written down now")
}

func killThenNodeDies(t testing.TB, r *row) int {
	r.run(t)
	r.running(t)
	require.NoError(t, r.cmd.Process.Kill())
	_ = r.cmd.Wait()
	killNode(1)(t, r)
	r.start(t, []string{"resume", "--quiet", string(r.seen)})
	return r.wait(t)
}
