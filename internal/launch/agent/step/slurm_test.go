package step

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// While Slurm is asked for the steps' ids, nobody who only wants to know them waits: the loop writes its record
// meanwhile.
func TestStepIDWhileSqueueHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	asked, answer := filepath.Join(dir, "asked"), filepath.Join(dir, "answer")
	squeue := "#!/bin/sh\ncase $* in *-a*) ;; *) exit 0 ;; esac # a hidden partition\n: >" + asked + "\nuntil [ -e " + answer + " ]; do sleep 0.05; done\nprintf '7.0|GEN_0\\n7.1|CTX_0\\n'\n"
	require.NoError(t, rundir.WriteFile(filepath.Join(dir, "squeue"), []byte(squeue), rundir.ExecMode))
	s := NewSlurm(rundir.Plan{}, script.RunPlace{}, []string{"PATH=" + dir + ":" + os.Getenv("PATH")}, "7", time.Now)
	s.Call = time.Minute
	first := make(chan string)
	go func() { first <- s.stepID(t.Context(), "GEN_0") }()
	require.Eventually(t, func() bool { _, err := os.Stat(asked); return err == nil }, 3*time.Minute, 10*time.Millisecond)

	require.Empty(t, s.known("GEN_0"))
	require.Empty(t, s.stepID(t.Context(), "CTX_0"), "one question at a time")
	require.NoError(t, os.WriteFile(answer, nil, 0o600))
	require.Equal(t, "7.0", <-first)
	require.Equal(t, "7.1", s.known("CTX_0"), "it was for all steps")
}

// fakeSlurm is a starter whose commands are scripts, by name.
func fakeSlurm(t *testing.T, dir string, commands map[string]string) *Slurm {
	t.Helper()
	for name, text := range commands {
		require.NoError(t, rundir.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+text), rundir.ExecMode))
	}
	// What a shell starts is looked up by the test's own PATH, which has none of them.
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	s := NewSlurm(rundir.Plan{}, script.RunPlace{}, os.Environ(), "7", time.Now)
	s.Call = time.Minute
	s.hosts, s.stuckAfter = []string{"gpu0"}, 50*time.Millisecond
	return s
}

func spec(tasks int) Spec {
	return Spec{Role: rundir.RolePlan{Name: "GEN_0", Slice: []rundir.NodeShare{{Tasks: tasks, GPUs: 1}}}, Tasks: tasks}
}

// A log that stalls longer than an end is held back for holds up what srun says of it, too.
func TestAnEndIsToldAnewByItsLastOutput(t *testing.T) {
	s := fakeSlurm(t, t.TempDir(), map[string]string{
		"srun":   "head -c 110000 /dev/zero | tr '\\0' '\\n'\necho 'srun: error: gpu1: task 1: Exited with exit code 3'\nexit 137",
		"squeue": "exit 0",
	})
	r, w, err := os.Pipe() // which takes 64 KiB, and then stalls
	require.NoError(t, err)
	out := newTestOutput(t, w)
	st, err := s.Start(t.Context(), spec(2), out, func(rundir.TaskEnd) {})
	require.NoError(t, err)
	first := make(chan End)
	go func() { first <- st.Wait() }()
	end := <-first
	require.Equal(t, []int{137, 9}, []int{end.Exit, end.Signal}, "nothing else is known yet")
	go func() { _, _ = io.Copy(io.Discard, r) }()
	last, late := st.Flush()
	require.True(t, late)
	require.Equal(t, []int{3, 0}, []int{last.Exit, last.Signal})
	require.Equal(t, 1, last.First.Task)
}

// Slurm lists the step of the run before for a while: its id is not held for that of this run's step of the same name.
func TestSignalAfterTheIdOfARunBefore(t *testing.T) {
	dir := t.TempDir()
	s := fakeSlurm(t, dir, map[string]string{
		"srun":    "exec sleep 600",
		"squeue":  "echo '7.0|GEN_0'; if [ -e " + dir + "/created ]; then echo '7.4|GEN_0'; fi",
		"scancel": `if [ "$3" = 7.0 ]; then echo 'scancel: error: Kill job error on job step id 7.0: Job/step already completing or completed' >&2; exit 1; fi; echo "$3" >` + dir + "/told",
	})
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	st, err := s.Start(t.Context(), spec(1), newTestOutput(t, f), nil)
	require.NoError(t, err)
	step, ok := st.(*slurmStep)
	require.True(t, ok)
	defer func() { _ = step.p.Signal(syscall.SIGKILL) }()
	require.Eventually(t, func() bool { return s.stepID(t.Context(), "GEN_0") == "7.0" }, 3*time.Minute, 10*time.Millisecond)
	require.NoError(t, os.WriteFile(dir+"/created", nil, 0o600))
	require.NoError(t, step.Signal(t.Context(), syscall.SIGTERM))
	told, err := os.ReadFile(dir + "/told")
	require.NoError(t, err)
	require.Equal(t, "7.4\n", string(told))
	require.Equal(t, "7.4", step.ID())
}

// A step that takes no signal, and there is no other, keeps its id: it is ended by that again, and is stuck.
func TestSignalAStepThatTakesNone(t *testing.T) {
	dir := t.TempDir()
	s := fakeSlurm(t, dir, map[string]string{
		"srun":    "exec sleep 600",
		"squeue":  "echo '7.0|GEN_0'",
		"scancel": `echo 'scancel: error: Kill job error on job step id 7.0: Job/step already completing or completed' >&2; exit 1`,
	})
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	st, err := s.Start(t.Context(), spec(1), newTestOutput(t, f), nil)
	require.NoError(t, err)
	step, ok := st.(*slurmStep)
	require.True(t, ok)
	require.Eventually(t, func() bool { return s.stepID(t.Context(), "GEN_0") == "7.0" }, 3*time.Minute, 10*time.Millisecond)
	require.ErrorContains(t, step.Signal(t.Context(), syscall.SIGTERM), "already completing")
	require.Equal(t, "7.0", step.ID())
	require.NoError(t, step.Signal(t.Context(), syscall.SIGKILL), "its srun is ended meanwhile")
	require.True(t, step.Wait().Stuck)
}

// A signal that slurmctld has not taken is not sent, and nothing follows from it for the step.
func TestSignalWithoutSlurmctld(t *testing.T) {
	dir := t.TempDir()
	s := fakeSlurm(t, dir, map[string]string{
		"srun":    "exec sleep 600",
		"squeue":  "echo '7.0|GEN_0'",
		"scancel": "echo 'scancel: error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
	})
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	st, err := s.Start(t.Context(), spec(1), newTestOutput(t, f), nil)
	require.NoError(t, err)
	step, ok := st.(*slurmStep)
	require.True(t, ok)
	defer func() { _ = step.p.Signal(syscall.SIGKILL) }()
	require.Eventually(t, func() bool { return s.stepID(t.Context(), "GEN_0") != "" }, 3*time.Minute, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // of scancel alone
	defer cancel()
	require.ErrorIs(t, step.Signal(ctx, syscall.SIGKILL), ErrNotSent)
	require.Never(t, func() bool { return step.stuck.Load() }, 20*s.stuckAfter, s.stuckAfter, "its srun is not ended for what nobody was told")

	require.NoError(t, rundir.WriteFile(filepath.Join(dir, "scancel"), []byte("#!/bin/bash\nexit 0"), rundir.ExecMode))
	require.NoError(t, step.Signal(t.Context(), syscall.SIGKILL))
	require.True(t, step.Wait().Stuck)

	refused := answered(&proc.ExitError{Exit: 1, Stderr: "scancel: error: Kill job error on job id 7: Job/step already completing or completed"})
	require.True(t, refused, "slurmctld has answered")
}

// A warning of the time limit that comes as early as the cluster's signal says is one.
func TestTimeUpByTheClustersSignal(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	s := fakeSlurm(t, dir, map[string]string{"scontrol": "cat " + dir + "/job", "sinfo": "exit 0"})
	for _, tc := range []struct {
		warned, left time.Duration
		up           bool
	}{
		{0, 239 * time.Second, true},
		{0, 245 * time.Second, false},
		{10 * time.Minute, 10 * time.Minute, true},
		{10 * time.Minute, 11 * time.Minute, true}, // Slurm sends it up to a minute early
		{10 * time.Minute, 13 * time.Minute, false},
		{121 * time.Second, 239 * time.Second, true},
	} {
		s.plan.Warned, s.now = rundir.Duration(tc.warned), func() time.Time { return now }
		text := fmt.Sprintf("JobId=7 JobName=x JobState=RUNNING Reason=None EndTime=%d\n", now.Add(tc.left).Unix())
		require.NoError(t, os.WriteFile(dir+"/job", []byte(text), 0o600))
		j := s.Job(t.Context())
		require.Equal(t, "RUNNING", j.State)
		require.Equal(t, tc.up, j.TimeUp, "%+v", tc)
	}
}
