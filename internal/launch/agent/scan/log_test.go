package scan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// readLog passes text through a log in pieces of n bytes.
func readLog(t testing.TB, text string, n int) *Log {
	t.Helper()
	l := New("GEN_0", "roles/GEN_0/output.log", "", builtin(t))
	l.feed(text, n)
	l.CutOff()
	return l
}

// builtin are the built-in failure classes.
func builtin(t testing.TB) *Patterns {
	t.Helper()
	var rules []blame.Rule
	require.NoError(t, yaml.Unmarshal([]byte(blame.ClassesYAML), &rules))
	classes, err := blame.Compile(rules)
	require.NoError(t, err)
	return NewPatterns(classes)
}

func (s *Log) feed(text string, n int) {
	for len(text) > 0 {
		k := min(n, len(text))
		s.Take([]byte(text[:k]))
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
				st := readLog(t, tt.log, n).State()
				if tt.line == 0 {
					require.Nil(t, st.First)
					continue
				}
				require.NotNil(t, st.First)
				require.Equal(t, rundir.LogLine{File: "roles/GEN_0/output.log", Number: tt.line, Text: tt.text}, st.First.LogLine)
			}
		})
	}
}

// That a program of MPI has ended its own step is evidence, whichever library says so.
func TestAbortsOfMPIAreKept(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD",
		"Abort(1) on node 0 (rank 0 in comm 0): application called MPI_Abort(MPI_COMM_WORLD, 1) - process 0",
		"[gpu0:123] *** MPI_ERRORS_ARE_FATAL (processes in this communicator will now abort,",
	} {
		lines := readLog(t, text+"\n"+strings.Repeat("shutting down\n", 50), 100).Explaining()
		require.Equal(t, text, lines[0].Text)
	}
}

// Of each failure class the first and the last line are kept, whatever comes
// between, and no line is too long for the record.
func TestCandidateLinesAreBounded(t *testing.T) {
	t.Parallel()
	l := readLog(t, strings.Repeat("OSError: [Errno 28] No space left on device\n", 500)+strings.Repeat("x", 1<<20)+" Stale file handle\n"+strings.Repeat("noise\n", 100), 4096)
	st := l.State()
	require.Len(t, st.Candidates, 3)
	require.Equal(t, 1, st.Candidates[0].Number)
	require.Equal(t, 500, st.Candidates[1].Number)
	require.True(t, strings.HasSuffix(st.Candidates[2].Text, "xx Stale file handle"), "the end of a line is kept, however long it is")
	require.Len(t, l.LastLines(), tailLines)
	require.Equal(t, 601, l.LastLines()[tailLines-1].Number)
	for _, line := range l.LastLines() {
		require.LessOrEqual(t, len(line.Text), keptBytes)
	}
}

// The attempt's path says nothing and is left out; the end of a line is never cut off.
func TestKeptLines(t *testing.T) {
	t.Parallel()
	l := New("GEN_0", "output.log", "", NewPatterns(blame.Classes{}))
	l.dir = "/runs/jenkins-nightly-perf-sanity-1234/cases/" + strings.Repeat("x", 900) + "/rep-0/attempt-1"
	at := l.lineAt(7, l.dir+"/roles/GEN_0/role.sh: line 9: trtllm-serve: command not found")
	require.Equal(t, "roles/GEN_0/role.sh: line 9: trtllm-serve: command not found", at.Text)
}

// pytest's explanation of a failed assertion quotes values of the test: no line of it
// explains the failure by the infrastructure. What was raised, what the test itself
// says, and all that others print does. The texts are pytest 7.2's.
func TestAssertionsExplainNothing(t *testing.T) {
	t.Parallel()
	const errno = "OSError: [Errno 28] No space left on device"
	tests := map[string]struct {
		log   string
		infra []int // lines
	}{
		"diff": {">       assert out == \"error: disk full\"\nE       AssertionError: assert 'error: No sp...eft on device' == 'error: disk full'\n" +
			"E         - error: disk full\nE         + error: No space left on device\n\ntest_q.py:3: AssertionError\n", nil},
		"where":                {"E       AssertionError: assert 43 == 3\nE        +  where 43 = len('" + errno + "')\n", nil},
		"short":                {"E   assert 43 == 3\nE    +  where 43 = len('" + errno + "')\n", nil},
		"windows' ends":        {"E   assert 43 == 3\r\nE    +  where 43 = len('" + errno + "')\r\n", nil},
		"summary":              {"FAILED t.py::test_len - assert 43 == 3\n +  where 43 = len('" + errno + "')\n=== 1 failed in 0.06s ===\n", nil},
		"message and summary":  {"FAILED t.py::t - AssertionError: lists\nassert ['OSError: No... device'] == ['x']\n  + ['" + errno + "']\n", nil},
		"after the summary":    {"FAILED t.py::t - assert 43 == 3\n +  where 43 = x\nclient: " + errno + "\n  " + errno + "\n", []int{3, 4}},
		"after the section":    {"E   assert 43 == 3\nE    +  where 43 = x\n---- Captured stderr call ----\nE    " + errno + "\n " + errno + "\n", []int{4, 5}},
		"message of the test":  {"E       AssertionError: start failed\nE         " + errno + "\nE       assert 1 == 0\n", []int{2}},
		"message in summary":   {"FAILED t.py::t - AssertionError: start failed\n  " + errno + "\nassert 1 == 0\n", []int{2}},
		"raised":               {">       raise OSError(28)\nE       " + errno + "\n\nt.py:9: OSError\n", []int{2}},
		"raised, told long":    {"E       RuntimeError: engine:\nE         assert x\nE         + error: No space left on device\n", []int{3}},
		"raised after another": {"E       assert 43 == 3\n\nDuring handling of the above exception, another exception occurred:\nE       " + errno + "\n", []int{4}},
		"a server's":           {"INFO: up\n  + " + errno + "\n", []int{2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var infra []int
			l := readLog(t, tt.log, 7)
			for _, line := range l.Explaining() {
				if r, ok := l.look.classes.Match(line.Text); ok && r.Class == blame.Infra {
					infra = append(infra, line.Number)
				}
			}
			require.Equal(t, tt.infra, infra)
		})
	}
}

func FuzzLog(f *testing.F) {
	f.Add("Traceback (most recent call last):\nValueError: x\n", 3)
	f.Add("srun: error: n1: tasks 0-99999999999999999999: Killed\n\r\r\x1b[8m", 1)
	look := builtin(f)
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n <= 0 || n > 1<<16 || len(text) > 1<<16 {
			t.Skip()
		}
		l := New("GEN_0", "output.log", "", look)
		l.feed(text, n)
		l.CutOff()
		require.LessOrEqual(t, len(l.State().Candidates), maxCandidates)
		require.LessOrEqual(t, len(l.LastLines()), tailLines)
		for _, line := range l.Explaining() {
			require.LessOrEqual(t, len(line.Text), keptBytes)
		}
	})
}
