package step

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/scan"
	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// readLog passes text through a step's output in pieces of n bytes.
func readLog(t testing.TB, text string, n int) *Output {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "output.log"))
	require.NoError(t, err)
	l := newTestOutput(t, f)
	for rest := text; rest != ""; {
		k := min(n, len(rest))
		_, err := l.Write([]byte(rest[:k]))
		require.NoError(t, err)
		rest = rest[k:]
	}
	require.NoError(t, l.Close())
	got, lost := l.Written()
	require.EqualValues(t, len(text), got)
	require.Zero(t, lost)
	return l
}

func newTestOutput(t testing.TB, f *os.File) *Output {
	t.Helper()
	var rules []blame.Rule
	require.NoError(t, yaml.Unmarshal([]byte(blame.ClassesYAML), &rules))
	classes, err := blame.Compile(rules)
	require.NoError(t, err)
	through := scan.New("GEN_0", "roles/GEN_0/output.log", "", scan.NewPatterns(classes))
	return NewOutput(f, through, mask.New([]string{"hunter2secret"}), time.Now, func(err error) { require.NoError(t, err) })
}

func TestLauncherMessages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, log string
		exit      int
		want      End
	}{
		{
			"rank 2 first, rank 0 killed for it", "srun: error: gpu1: task 2: Exited with exit code 3\nsrun: error: gpu0: tasks 0-1: Killed\n", 137,
			End{Exit: 3, First: &rundir.TaskEnd{Task: 2, Node: "gpu1", Exit: 3}},
		},
		{
			"a signal", "srun: error: gpu0: tasks 0,2-3: Segmentation fault (core dumped)\n", 139,
			End{Exit: 139, Signal: 11, First: &rundir.TaskEnd{Task: 0, Node: "gpu0", Exit: 139, Signal: 11}},
		},
		{"no messages", "", 137, End{Exit: 137, Signal: 9}},
		{"all well", "", 0, End{}},
		{"out of memory, by the code", "", oomExit, End{Exit: oomExit, OOM: true}},
		{
			"out of memory, by the words", "slurmstepd-gpu0: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM Killed.\nsrun: error: gpu0: task 0: Out Of Memory\n", 1,
			End{Exit: 137, Signal: 9, OOM: true, First: &rundir.TaskEnd{Node: "gpu0", Exit: 137, Signal: 9}},
		},
		{
			"Slurm's own trouble", "srun: error: Unable to create step for job 7: Requested node configuration is not available\n", srunError,
			End{Exit: srunError, Err: "srun: error: Unable to create step for job 7: Requested node configuration is not available"},
		},
		{"Slurm's own trouble, without a word", "", srunError, End{Exit: srunError, Err: "srun ended with 213: Slurm could not run the step"}},
		{
			"an option that srun does not know", "srun: unrecognized option '--bogus'\nTry \"srun --help\" for more information\n", srunError,
			End{Exit: srunError, Err: "srun: unrecognized option '--bogus'"},
		},
		{
			"a node that dies while the step is launched", "srun: error: slurm_receive_msgs: [[gpu0]:4110] failed: Zero Bytes were transmitted or received\n" +
				"srun: error: Task launch for StepId=1.5 failed on node gpu0: Zero Bytes were transmitted or received\nsrun: error: Application launch failed: Zero Bytes were transmitted or received\nsrun: Job step aborted\n", 141,
			End{Exit: 141, Signal: 13, Err: "srun: error: Task launch for StepId=1.5 failed on node gpu0: Zero Bytes were transmitted or received"},
		},
		{
			"a launch that failed for one task, and another that failed by itself", "srun: error: gpu1: task 1: Exited with exit code 3\nsrun: error: Task launch for StepId=1.5 failed on node gpu0: Communication connection failure\n", 3,
			End{Exit: 3, First: &rundir.TaskEnd{Task: 1, Node: "gpu1", Exit: 3}},
		},
		{"a lost node", "srun: error: Node failure on gpu3\n", 0, End{Lost: "gpu3"}},
		{
			"killed while srun ended the step", "srun: launch/slurm: _step_signal: Terminating StepId=4.0\nsrun: error: gpu0: tasks 0-1: Killed\n", 137,
			End{Exit: 137, Signal: 9, Forced: true},
		},
		{
			"the job is gone", "srun: Force Terminated job 7\nsrun: error: gpu0: task 0: Terminated\n", 143,
			End{Exit: 143, Signal: 15, Forced: true},
		},
		{
			"a crash stays one while the step is ended", "srun: Force Terminated job 7\nsrun: error: gpu0: task 1: Segmentation fault\n", 139,
			End{Exit: 139, Signal: 11, First: &rundir.TaskEnd{Task: 1, Node: "gpu0", Exit: 139, Signal: 11}},
		},
		{"words of a program", "task 2: Exited with exit code 3\n", 1, End{Exit: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, refine(End{Exit: tt.exit}, readLog(t, tt.log, 5).State()))
		})
	}
	l := readLog(t, "slurmstepd-gpu1: error: *** STEP 4.0 ON gpu1 CANCELLED AT 2026-11-21T19:05:09 DUE TO PREEMPTION ***\n", 9)
	require.Equal(t, "PREEMPTION", l.State().Due)
	l = readLog(t, "slurmstepd-gpu2: error: *** JOB 2 ON gpu2 CANCELLED AT 2026-11-21T19:05:31 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n", 9)
	require.Equal(t, "NODE FAILURE", l.State().Due)
}

// Who ended a step stands in its log: slurmstepd tells of a cancellation, a shell of a command that was killed.
func TestSentBy(t *testing.T) {
	t.Parallel()
	const cancelled = "slurmstepd-gpu0: error: *** STEP 33.3 ON gpu0 CANCELLED AT 2026-11-30T00:53:38 ***\n"
	const pmix = "slurmstepd-gpu0: error:  mpi/pmix_v4: _errhandler: gpu0 [0]: pmixp_client_v2.c:211: Error handler invoked: status = -61, source = [slurm.pmix.33.3:1]\n"
	for name, tt := range map[string]struct {
		log     string
		status  bool
		outside bool
		inside  blame.Inside
	}{
		"cancelled":                             {"srun: Job step aborted: Waiting up to 5 seconds for job step to finish.\n" + cancelled + "srun: launch/slurm: _step_signal: Terminating StepId=33.3\n", false, true, ""},
		"MPI's own abort":                       {pmix + cancelled + "srun: Job step aborted: Waiting up to 5 seconds for job step to finish.\n", false, false, ""},
		"MPI notices a cancellation":            {cancelled + pmix, false, true, ""},
		"behind an open line":                   {"iter 3 " + cancelled, false, true, ""},
		"a task had ended":                      {"srun: error: gpu0: task 1: Exited with exit code 3\nsrun: launch/slurm: _step_signal: Terminating StepId=33.3\n" + cancelled, false, false, ""},
		"srun ends it":                          {"srun: Force Terminated StepId=33.3\n" + cancelled, false, false, ""},
		"at the time limit":                     {"slurmstepd-gpu0: error: *** STEP 33.3 ON gpu0 CANCELLED AT 2026-11-30T00:53:38 DUE TO TIME LIMIT ***\n", false, false, ""},
		"a command was killed":                  {"perf/t.py::a run-0/roles/GEN_0/role.sh: line 33:  2139 Killed                  /usr/bin/python3 -m pytest 'a'\n", true, false, ""},
		"a command of sh was killed":            {"Killed\n", true, false, ""},
		"timeout killed its command":            {"role.sh: line 19: 21185 Killed                  timeout -s KILL 3 sleep 100\n", true, false, blame.OwnTimeout},
		"timeout, by its path, in a variable's": {"role.sh: line 19: 21185 Killed                  A=1 /usr/bin/timeout -k 1 2 x\n", true, false, blame.OwnTimeout},
		"timeout, by a long option":             {"role.sh: line 19: 21185 Killed                  timeout --foreground --signal=SIGKILL 3 sleep 100\n", true, false, blame.OwnTimeout},
		"timeout, by a number":                  {"role.sh: line 19: 21185 Killed                  timeout -s 9 3 sleep 100\n", true, false, blame.OwnTimeout},
		"timeout, by options in one word":       {"role.sh: line 19: 21185 Killed                  timeout -vk5 3 sleep 100\n", true, false, blame.OwnTimeout},
		"timeout sends SIGTERM":                 {"role.sh: line 19: 21185 Killed                  timeout 2h python3 -m pytest -k kill\n", true, false, ""},
		"timeout sends SIGINT":                  {"role.sh: line 19: 21185 Killed                  timeout -v -s INT 2h python3 -s KILL\n", true, false, ""},
		"nobody was killed":                     {"all is well\n", true, false, ""},
		"the role's own shell was killed":       {"all is well\n", false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := []blame.Event{{Role: "GEN_0", Kind: blame.RoleEnd, Exit: 137, Signal: 9}}
			readLog(t, tt.log, 5).State().SentBy(events, "GEN_0", tt.status)
			require.Equal(t, tt.outside, events[0].Outside)
			require.Equal(t, tt.inside, events[0].Inside)
		})
	}
}

// A pytest that got a SIGINT says so, also where its server had no time to.
func TestInterruptedPytest(t *testing.T) {
	t.Parallel()
	events := []blame.Event{{Role: "GEN_0", Kind: blame.RoleEnd, Exit: 2}}
	readLog(t, "!!!!!!!!!! KeyboardInterrupt !!!!!!!!!!\n/wl/test_a.py:115: KeyboardInterrupt\n", 5).State().SentBy(events, "GEN_0", false)
	require.True(t, events[0].Interrupted)
	readLog(t, "!!!!!!!!!! Interrupted: 1 error during collection !!!!!!!!!!\n", 5).State().SentBy(events, "GEN_0", false)
	require.False(t, events[0].Interrupted)
}

// Several processes write one stream, and who draws a progress bar ends no line: what a message says does not depend on
// what stands around it.
func TestMessagesAnywhereInALine(t *testing.T) {
	t.Parallel()
	const bar = "\rLoading:  40%|###       | 4/10 [00:01<00:02,  3.12it/s]"
	around := map[string][2]string{
		"alone":                          {"", "\n"},
		"without a newline":              {"", ""},
		"behind an open line":            {"all is ", "\n"},
		"behind a bar":                   {bar, "\n"},
		"between bars":                   {bar, bar + "\n"},
		"behind a bar, without newline":  {bar + bar, ""},
		"behind a bar that never ended":  {strings.Repeat(bar, 2000), "\r\n"},
		"behind a line that never ended": {strings.Repeat("x", 48<<10), "\n"},
	}
	for name, a := range around {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1, 1 << 20} {
				st := readLog(t, a[0]+"srun: error: gpu4: task 1: Killed"+a[1], n).State()
				require.Equal(t, End{Exit: 137, Signal: 9, First: &rundir.TaskEnd{Task: 1, Node: "gpu4", Exit: 137, Signal: 9}}, refine(End{Exit: 137}, st))
				require.Nil(t, st.First, "srun's words are no error of the program")
				st = readLog(t, a[0]+"slurmstepd-gpu4: error: Detected 1 oom_kill event in StepId=12.0."+a[1], n).State()
				require.True(t, st.OOM)
				st = readLog(t, a[0]+"RuntimeError: CUDA error: uncorrectable ECC error encountered"+a[1], n).State()
				require.NotNil(t, st.First)
				require.Contains(t, st.First.Text, "uncorrectable ECC error")
				require.NotEmpty(t, st.Candidates)
			}
		})
	}
	// The last words of a program and srun's message on one line are two things.
	st := readLog(t, bar+"ValueError: no such modelsrun: error: gpu4: task 0: Exited with exit code 1\n", 7).State()
	require.Equal(t, "ValueError: no such model", st.First.Text)
	require.Equal(t, 1, refine(End{Exit: 1}, st).Exit)
}

// A full disk is told once, and what could not be written is counted.
func TestOutputOnAFullDisk(t *testing.T) {
	t.Parallel()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	l := newTestOutput(t, f)
	var told []error
	l.broken = func(err error) { told = append(told, err) }
	for range 2 {
		n, err := l.Write([]byte("a line\n"))
		require.NoError(t, err, "the role's pipe is not broken")
		require.Equal(t, 7, n)
	}
	require.Len(t, told, 1)
	require.ErrorIs(t, told[0], syscall.ENOSPC)
	_, lost := l.Written()
	require.EqualValues(t, 14, lost)
	require.Len(t, l.LastLines(), 2)
}

// A file server that stalls holds up the output, and nobody who wants to know something of it.
func TestOutputIsKnownWhileItsFileStalls(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe() // which takes 64 KiB, and then stalls
	require.NoError(t, err)
	l := newTestOutput(t, w)
	text := bytes.Repeat([]byte("a line\n"), 100_000)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = l.Write(text)
	}()
	known := make(chan int, 1)
	go func() {
		for t.Context().Err() == nil && len(l.LastLines()) == 0 {
			runtime.Gosched()
		}
		l.State()
		l.Last()
		l.Explaining()
		n, lost := l.Written()
		known <- int(n + lost)
	}()
	select {
	case n := <-known:
		require.Less(t, n, len(text), "not all is written yet, as far as is known")
	case <-time.After(10 * time.Minute):
		t.Fatal("whoever asks waits for the file server")
	}
	select {
	case <-written:
		t.Fatal("the file did not stall")
	default:
	}
	got := make(chan int)
	go func() {
		n, _ := io.Copy(io.Discard, r)
		got <- int(n)
	}()
	<-written
	require.NoError(t, w.Close())
	require.Equal(t, len(text), <-got)
	n, lost := l.Written()
	require.Equal(t, []int64{int64(len(text)), 0}, []int64{n, lost})
}
