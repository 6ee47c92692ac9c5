package proc

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// adopting is the variable that makes this test binary a process that adopts: it cannot be done to the tests' own.
const adopting = "CI_DISAGG_TEST_ADOPTS"

// A daemon that has left its group and its environment is found all the same, with what it has started. How a child of
// our own ended is still for who waits for it.
func TestWhatIsLeftBehindIsEnded(t *testing.T) {
	t.Parallel()
	if os.Getenv(adopting) == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestWhatIsLeftBehindIsEnded$", "-test.v")
		cmd.Env = append(os.Environ(), adopting+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS")
		return
	}
	start := func(in, out *os.File, script string) *Process {
		p, err := Start(t.Context(), Command{Argv: []string{"bash", "-c", script}, Env: os.Environ(), Stdin: in, Stdout: out, Stderr: out})
		require.NoError(t, err)
		return p
	}
	in, tell, err := os.Pipe()
	require.NoError(t, err)
	said, out, err := os.Pipe()
	require.NoError(t, err)
	ours := start(in, out, "read -r x; exit 7")
	require.True(t, Adopt(ours.PID()))
	require.False(t, Adopt(os.Getppid()), "it is no child of ours")
	require.Empty(t, EndAdopted(), "nothing was left behind")
	late := start(in, out, `(setsid env -i bash -c 'sleep 602 & echo there; wait' </dev/null &); read -r x; exit 7`)
	_, err = said.Read(make([]byte, 6))
	require.NoError(t, err)
	left := strings.Join(EndAdopted(), "\n")
	require.Contains(t, left, "bash -c sleep 602", "%q", left)
	require.Contains(t, left, "\nsleep 602")
	require.Empty(t, EndAdopted())
	_, err = tell.WriteString("go\ngo\n")
	require.NoError(t, err)
	for _, p := range []*Process{ours, late} {
		require.Equal(t, 7, p.Ended().Exit)
	}

	gone := start(in, out, "(setsid env -i true &)")
	require.Equal(t, 0, gone.Ended().Exit)
	require.Eventually(t, func() bool { Reap(); return len(here.adopted()) == 0 }, time.Minute, time.Millisecond)
}
