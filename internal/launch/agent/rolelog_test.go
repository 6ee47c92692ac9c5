package agent

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// readLog passes text through a role's log in pieces of n bytes.
func readLog(t testing.TB, text string, n int) *roleLog {
	t.Helper()
	classes, err := blame.Compile(builtinRules(t))
	require.NoError(t, err)
	return readLogWith(t, newLookout(classes), text, n)
}

func readLogWith(t testing.TB, look *lookout, text string, n int) *roleLog {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "output.log"))
	require.NoError(t, err)
	c := newConsole(&syncBuffer{}, time.Now)
	l := newTestLog(t, look, c, f)
	l.feed(text, n)
	require.NoError(t, l.close())
	c.close()
	return l
}

func newTestLog(t testing.TB, look *lookout, c *console, f *os.File) *roleLog {
	l := &roleLog{
		role: "GEN_0", console: c, now: time.Now, f: f, scan: newScan("GEN_0", "roles/GEN_0/output.log", "", look),
		broken: func(err error) { require.NoError(t, err) },
	}
	l.scan.line = func(text string) { c.line("GEN_0", text) }
	return l
}

func (l *roleLog) feed(text string, n int) {
	for len(text) > 0 {
		k := min(n, len(text))
		_, _ = l.Write([]byte(text[:k]))
		text = text[k:]
	}
}

func TestFirstError(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		log  string
		line int
		text string
	}{
		"none":            {"all is well\n0 errors\nerrors: 0\nno error found\n", 0, ""},
		"plain":           {"a\nERROR: it broke\nERROR: again\n", 2, "ERROR: it broke"},
		"traceback":       {"a\nTraceback (most recent call last):\n  File \"x\", line 1\n    raise ValueError(\"not this\")\nValueError: this\nERROR later\n", 5, "ValueError: this"},
		"of a rank":       {"[rank3]: Traceback (most recent call last):\n[rank3]:     f()\n[rank3]: torch.OutOfMemoryError: CUDA out of memory\n", 3, "[rank3]: torch.OutOfMemoryError: CUDA out of memory"},
		"cut traceback":   {"Traceback (most recent call last):\n  File", 1, "Traceback (most recent call last):"},
		"pytest":          {"    def f():\n>       raise RuntimeError(\"quoted\")\nE       RuntimeError: said\n", 3, "E       RuntimeError: said"},
		"not srun's":      {"srun: error: gpu1: task 2: Exited with exit code 3\nslurmstepd-gpu1: error: *** STEP\n", 0, ""},
		"without newline": {"x\nSegmentation fault (core dumped)", 2, "Segmentation fault (core dumped)"},
		"our own script":  {"ready\nci-disagg: secret TOKEN is not set in the job's environment\n", 2, "ci-disagg: secret TOKEN is not set in the job's environment"},
		"progress bar":    {"10%\r50%\rpanic: at 60%\n", 1, "panic: at 60%"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1, 7, 1000} {
				st := readLog(t, tt.log, n).state()
				if tt.line == 0 {
					require.Nil(t, st.first)
					continue
				}
				require.NotNil(t, st.first)
				require.Equal(t, rundir.LogLine{File: "roles/GEN_0/output.log", Number: tt.line, Text: tt.text}, st.first.LogLine)
			}
		})
	}
}

// Of each failure class the first and the last line are kept, whatever comes
// between, and no line is too long for the record.
func TestCandidateLinesAreBounded(t *testing.T) {
	t.Parallel()
	l := readLog(t, strings.Repeat("OSError: [Errno 28] No space left on device\n", 500)+strings.Repeat("x", 1<<20)+" Stale file handle\n"+strings.Repeat("noise\n", 100), 4096)
	st := l.state()
	require.Len(t, st.candidates, 3)
	require.Equal(t, 1, st.candidates[0].Number)
	require.Equal(t, 500, st.candidates[1].Number)
	require.True(t, strings.HasSuffix(st.candidates[2].Text, "xx Stale file handle"), "the end of a line is kept, however long it is")
	require.Len(t, l.lastLines(), tailLines)
	require.Equal(t, 601, l.lastLines()[tailLines-1].Number)
	bytes, lost := l.written()
	require.EqualValues(t, 500*44+1<<20+19+600, bytes)
	require.Zero(t, lost)
	for _, line := range l.lastLines() {
		require.LessOrEqual(t, len(line.Text), keptBytes)
	}
}

func TestLauncherMessages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, log string
		exit      int
		want      stepEnd
	}{
		{
			"rank 2 first, rank 0 killed for it", "srun: error: gpu1: task 2: Exited with exit code 3\nsrun: error: gpu0: tasks 0-1: Killed\n", 137,
			stepEnd{Exit: 3, First: &rundir.TaskEnd{Task: 2, Node: "gpu1", Exit: 3}},
		},
		{
			"a signal", "srun: error: gpu0: tasks 0,2-3: Segmentation fault (core dumped)\n", 139,
			stepEnd{Exit: 139, Signal: 11, First: &rundir.TaskEnd{Task: 0, Node: "gpu0", Exit: 139, Signal: 11}},
		},
		{"no messages", "", 137, stepEnd{Exit: 137, Signal: 9}},
		{"all well", "", 0, stepEnd{}},
		{"out of memory, by the code", "", oomExit, stepEnd{Exit: oomExit, OOM: true}},
		{
			"out of memory, by the words", "slurmstepd-gpu0: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM Killed.\nsrun: error: gpu0: task 0: Out Of Memory\n", 1,
			stepEnd{Exit: 137, Signal: 9, OOM: true, First: &rundir.TaskEnd{Node: "gpu0", Exit: 137, Signal: 9}},
		},
		{
			"Slurm's own trouble", "srun: error: Unable to create step for job 7: Requested node configuration is not available\n", srunError,
			stepEnd{Exit: srunError, Err: "srun: error: Unable to create step for job 7: Requested node configuration is not available"},
		},
		{"Slurm's own trouble, without a word", "", srunError, stepEnd{Exit: srunError, Err: "srun ended with 213: Slurm could not run the step"}},
		{
			"an option that srun does not know", "srun: unrecognized option '--bogus'\nTry \"srun --help\" for more information\n", srunError,
			stepEnd{Exit: srunError, Err: "srun: unrecognized option '--bogus'"},
		},
		{"a lost node", "srun: error: Node failure on gpu3\n", 0, stepEnd{Lost: "gpu3"}},
		{
			"killed while srun ended the step", "srun: launch/slurm: _step_signal: Terminating StepId=4.0\nsrun: error: gpu0: tasks 0-1: Killed\n", 137,
			stepEnd{Exit: 137, Signal: 9, Forced: true},
		},
		{
			"the job is gone", "srun: Force Terminated job 7\nsrun: error: gpu0: task 0: Terminated\n", 143,
			stepEnd{Exit: 143, Signal: 15, Forced: true},
		},
		{
			"a crash stays one while the step is ended", "srun: Force Terminated job 7\nsrun: error: gpu0: task 1: Segmentation fault\n", 139,
			stepEnd{Exit: 139, Signal: 11, First: &rundir.TaskEnd{Task: 1, Node: "gpu0", Exit: 139, Signal: 11}},
		},
		{"words of a program", "task 2: Exited with exit code 3\n", 1, stepEnd{Exit: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, refine(stepEnd{Exit: tt.exit}, readLog(t, tt.log, 5).state()))
		})
	}
	l := readLog(t, "slurmstepd-gpu1: error: *** STEP 4.0 ON gpu1 CANCELLED AT 2026-11-21T19:05:09 DUE TO PREEMPTION ***\n", 9)
	require.Equal(t, "PREEMPTION", l.state().due)
	l = readLog(t, "slurmstepd-gpu2: error: *** JOB 2 ON gpu2 CANCELLED AT 2026-11-21T19:05:31 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n", 9)
	require.Equal(t, "NODE FAILURE", l.state().due)
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
		"behind a line that never ended": {strings.Repeat("x", 3*maxLine), "\n"},
	}
	for name, a := range around {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1, 1 << 20} {
				st := readLog(t, a[0]+"srun: error: gpu4: task 1: Killed"+a[1], n).state()
				require.Equal(t, stepEnd{Exit: 137, Signal: 9, First: &rundir.TaskEnd{Task: 1, Node: "gpu4", Exit: 137, Signal: 9}}, refine(stepEnd{Exit: 137}, st))
				require.Nil(t, st.first, "srun's words are no error of the program")
				st = readLog(t, a[0]+"slurmstepd-gpu4: error: Detected 1 oom_kill event in StepId=12.0."+a[1], n).state()
				require.True(t, st.oom)
				st = readLog(t, a[0]+"RuntimeError: CUDA error: uncorrectable ECC error encountered"+a[1], n).state()
				require.NotNil(t, st.first)
				require.Contains(t, st.first.Text, "uncorrectable ECC error")
				require.NotEmpty(t, st.candidates)
			}
		})
	}
	// The last words of a program and srun's message on one line are two things.
	st := readLog(t, bar+"ValueError: no such modelsrun: error: gpu4: task 0: Exited with exit code 1\n", 7).state()
	require.Equal(t, "ValueError: no such model", st.first.Text)
	require.Equal(t, 1, refine(stepEnd{Exit: 1}, st).Exit)
}

// The attempt's path says nothing and is left out; the end of a line is never cut off.
func TestKeptLines(t *testing.T) {
	t.Parallel()
	l := newScan("GEN_0", "output.log", "", newLookout(blame.Classes{}))
	l.dir = "/runs/jenkins-nightly-perf-sanity-1234/cases/" + strings.Repeat("x", 900) + "/rep-0/attempt-1"
	at := l.lineAt(7, l.dir+"/roles/GEN_0/role.sh: line 9: trtllm-serve: command not found")
	require.Equal(t, "roles/GEN_0/role.sh: line 9: trtllm-serve: command not found", at.Text)
}

// What reaches the console cannot act on a terminal or on Jenkins, and a slow
// reader stops nobody.
func TestConsole(t *testing.T) {
	t.Parallel()
	require.Equal(t, "[8mha:x[0m red", printable("\x1b[8mha:x\x1b[0m red\x00\x07\r"))
	require.Len(t, printable(strings.Repeat("x", 5000)), consoleLine)
	stuck := make(chan struct{})
	c := newConsole(writerFunc(func(p []byte) (int, error) { <-stuck; return len(p), nil }), time.Now)
	for range 3 * consoleQueue {
		c.line("GEN_0", "x")
		c.say("y")
	}
	close(stuck)
	c.close()
	c.line("GEN_0", "after the end")
	broken := newConsole(writerFunc(func([]byte) (int, error) { return 0, errors.New("closed") }), time.Now)
	broken.say("x")
	broken.close()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func FuzzRoleLog(f *testing.F) {
	f.Add("Traceback (most recent call last):\nValueError: x\n", 3)
	f.Add("srun: error: n1: tasks 0-99999999999999999999: Killed\n\r\r\x1b[8m", 1)
	classes, err := blame.Compile(builtinRules(f))
	require.NoError(f, err)
	look := newLookout(classes)
	// Without a file to be synced: that took most of the time.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(f, err)
	c := newConsole(io.Discard, time.Now)
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n <= 0 || n > 1<<16 || len(text) > 1<<16 {
			t.Skip()
		}
		l := newTestLog(t, look, c, null)
		l.feed(text, n)
		l.feed("\n", 1)
		bytes, _ := l.written()
		require.EqualValues(t, len(text)+1, bytes)
		for _, r := range printable(text) {
			require.True(t, r == '\t' || !unicode.IsControl(r))
		}
	})
}

// A full disk is told once, and what could not be written is counted.
func TestRoleLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	c := newConsole(&syncBuffer{}, time.Now)
	defer c.close()
	l := newTestLog(t, newLookout(blame.Classes{}), c, f)
	var told []error
	l.broken = func(err error) { told = append(told, err) }
	for range 2 {
		n, err := l.Write([]byte("a line\n"))
		require.NoError(t, err, "the role's pipe is not broken")
		require.Equal(t, 7, n)
	}
	require.Len(t, told, 1)
	require.ErrorIs(t, told[0], syscall.ENOSPC)
	_, lost := l.written()
	require.EqualValues(t, 14, lost)
	require.Len(t, l.lastLines(), 2)
}
