package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A process that becomes another program shows no environment for a moment, which takes as
// long as a busy machine likes: it is waited for. Nobody else without one is.
func TestScanWaitsForExec(t *testing.T) {
	t.Parallel()
	const cookie = "CI_DISAGG_JOB=x"
	stat := func(state, flags string) string { return "7 (a b) " + state + " 1 7 7 0 -1 " + flags + " 0" }
	process := func(env, line, stat string) string {
		root := t.TempDir()
		dir := filepath.Join(root, "7")
		require.NoError(t, os.Mkdir(dir, 0o700))
		for name, text := range map[string]string{"environ": env, "cmdline": line, "stat": stat} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		return root
	}
	find := func(root string) []int { return table(root).scan(func(e string) bool { return e == cookie }) }
	require.Equal(t, []int{7}, find(process("A=1\x00"+cookie+"\x00", "sleep\x00", stat("S", "4194304"))))

	for _, takes := range []time.Duration{3*execPause + 1, execTime - 2*execPause + 1} {
		becoming := process("", "", stat("R", "4194304"))
		synctest.Test(t, func(t *testing.T) { // its clock counts the pauses alone, however slow the machine
			time.AfterFunc(takes, func() { _ = os.WriteFile(filepath.Join(becoming, "7", "environ"), []byte(cookie), 0o600) })
			require.Equal(t, []int{7}, find(becoming))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		require.Empty(t, find(process("", "", stat("R", "4194304"))))
		require.Equal(t, execTime, time.Since(began))
	})
	for name, root := range map[string]string{
		"without an environment": process("", "sleep\x009\x00", stat("S", "4194304")),
		"a zombie":               process("", "", stat("Z", "4194308")),
		"on its way out":         process("", "", stat("R", "4194308")),
		"of the kernel":          process("", "", stat("I", "69238880")),
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			require.Empty(t, find(root), name)
			require.Zero(t, time.Since(began), name)
		})
	}
}

// What a process starts while it is killed goes as well.
func TestKillAll(t *testing.T) {
	t.Parallel()
	cookie := "CI_DISAGG_TEST=killall-" + filepath.Base(t.TempDir()) + strconv.Itoa(os.Getpid())
	p, err := Start(t.Context(), Command{
		Argv: []string{"bash", "-c", "while :; do setsid sleep 600 & sleep 0.005; done"}, Env: append(os.Environ(), cookie), Session: true,
	})
	require.NoError(t, err)
	find := func() []int { return WithCookie(cookie) }
	require.Eventually(t, func() bool { return len(find()) > 3 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, killAll(find, time.Minute))
	_, _ = p.Wait()
	require.Empty(t, find())
}
