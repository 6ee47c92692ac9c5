package proc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
	late := start(in, out, `(setsid env -i bash -c 'sleep 602 & until grep -q ^sleep /proc/$!/cmdline; do :; done; echo there; wait' </dev/null &); read -r x; exit 7`)
	_, err = said.Read(make([]byte, 6))
	require.NoError(t, err)
	var left []string // one call waits for no longer than adoptedEnd, and what was killed needs its turn to end
	require.Eventually(t, func() bool {
		left = append(left, EndAdopted()...)
		return len(here.adopted()) == 0
	}, time.Minute, time.Millisecond, "they have their turn to end")
	require.Contains(t, left[0], "bash -c sleep 602", "%q", left)
	require.Contains(t, left, "sleep 602")
	_, err = tell.WriteString("go\ngo\n")
	require.NoError(t, err)
	for _, p := range []*Process{ours, late} {
		require.Equal(t, 7, p.Ended().Exit)
	}

	gone := start(in, out, "(setsid env -i true &)")
	require.Equal(t, 0, gone.Ended().Exit)
	require.Eventually(t, func() bool { Reap(); return len(here.adopted()) == 0 }, time.Minute, time.Millisecond)
}

// Nobody is taken for adopted while it is not known whom we have started: neither where the descriptors cannot be read,
// nor one that has ended since it was listed, whose number may be another process's by now.
func TestWhoIsAdopted(t *testing.T) {
	t.Parallel()
	const state, before, after = "S", "100", "200"
	stat := func(parent int, start string) string {
		return "7 (a b) " + state + " " + strconv.Itoa(parent) + strings.Repeat(" 0", 17) + " " + start + " 0"
	}
	me := os.Getpid()
	for name, c := range map[string]struct {
		stat    string
		fdinfo  func(dir string) error // makes the descriptors; nil = they cannot be read
		changes string                 // the process's stat once the descriptors are read; "" = as before
		adopted bool
	}{
		"left behind":           {stat(me, before), nothing, "", true},
		"a descriptor closed":   {stat(me, before), func(dir string) error { return os.Symlink("gone", dir+"/3") }, "", true},
		"another's":             {stat(me+1, before), nothing, "", false},
		"started by us":         {stat(me, before), func(dir string) error { return os.WriteFile(dir+"/3", []byte("flags:\t02\nPid:\t7\n"), 0o600) }, "", false},
		"no descriptors":        {stat(me, before), nil, "", false},
		"one cannot be read":    {stat(me, before), func(dir string) error { return os.Mkdir(dir+"/3", 0o700) }, "", false},
		"ended since":           {stat(me, before), nothing, "gone", false},
		"another by now":        {stat(me, before), nothing, stat(me, after), false},
		"another's by now":      {stat(me, before), nothing, stat(me+1, before), false},
		"the same when read on": {stat(me, before), nothing, stat(me, before), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			process, fdinfo := filepath.Join(root, "7", "stat"), filepath.Join(root, "self", "fdinfo")
			require.NoError(t, os.Mkdir(filepath.Dir(process), 0o700))
			require.NoError(t, os.WriteFile(process, []byte(c.stat), 0o600))
			if c.fdinfo != nil {
				require.NoError(t, os.MkdirAll(fdinfo, 0o700))
				require.NoError(t, c.fdinfo(fdinfo))
			}
			if c.changes != "" { // whoever reads this descriptor waits for its writer
				pipe := filepath.Join(fdinfo, "9")
				require.NoError(t, unix.Mkfifo(pipe, 0o600))
				changed := make(chan error, 1)
				defer func() { require.NoError(t, <-changed) }()
				go func() {
					f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
					changed <- errors.Join(err, os.WriteFile(process, []byte(c.changes), 0o600), f.Close())
				}()
			}
			var want []offspring
			if c.adopted {
				want = []offspring{{pid: 7, start: before}}
			}
			require.Equal(t, want, table(root).adopted())
		})
	}
}

func nothing(string) error { return nil }
