package rundir

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnding(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]Ending{
		"exit 0":                       {},
		"exit 3":                       {Exit: 3},
		"killed by SIGKILL (exit 137)": {Signal: 9},
		"killed by SIGSEGV (exit 139)": {Exit: 139, Signal: 11},
		"killed by signal 42 (exit 170), out of memory": {Signal: 42, OOM: true},
		"exit 1, task 3 first":                          {Exit: 1, Task: 3},
		"exit 1, task 0 on gpu1 first":                  {Exit: 1, Node: "gpu1"},
	} {
		require.Equal(t, want, e.String())
	}
}

func TestEndWords(t *testing.T) {
	t.Parallel()
	r := RoleRecord{Signal: 15, StoppedBy: StoppedByAgent, Nodes: []string{"a", "b"}, FirstTask: &TaskEnd{Task: 3, Node: "b"}}
	require.Equal(t, "killed by SIGTERM (exit 143), task 3 on b first, stopped by ci-disagg", r.EndWords())
	r = RoleRecord{Exit: 1, StoppedBy: StoppedBySlurm}
	require.Equal(t, "exit 1, stopped by Slurm", r.EndWords())
	require.Equal(t, "repetition 1, attempt 2", AttemptName(0, 2))
}
