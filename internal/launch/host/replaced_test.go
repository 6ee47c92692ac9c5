package host

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// TestReplacedFilesAreNotRead puts in the place of a file what a role can make of it:
// none is followed, none is waited for, and none keeps the others back.
func TestReplacedFilesAreNotRead(t *testing.T) {
	t.Parallel()
	here(t, checkReplacedFilesAreNotRead)
}

func TestSSHReplacedFilesAreNotRead(t *testing.T) {
	t.Parallel()
	overSSH(t, checkReplacedFilesAreNotRead)
}

func checkReplacedFilesAreNotRead(t *testing.T, h Host, dir string) {
	t.Helper()
	ctx := context.Background()
	script := `mkdir -p "$1/dir" && cd "$1" && printf good > good && printf secret > secret && ln -s secret link && mkfifo fifo && ln -s nowhere dangling`
	res, err := h.Run(ctx, Cmd{Argv: []string{"sh", "-c", script, "sh", dir}})
	require.NoError(t, err)
	require.Zero(t, res.Exit, string(res.Stderr))
	at := map[string]int64{}
	var all []string
	for _, name := range []string{"good", "link", "fifo", "dir", "dangling", "missing"} {
		all = append(all, filepath.Join(dir, name))
		at[filepath.Join(dir, name)] = 0
	}
	good := filepath.Join(dir, "good")

	got, err := h.ReadAt(ctx, 100, at)
	var unread UnreadError
	require.ErrorAs(t, err, &unread)
	require.NotContains(t, unread, filepath.Join(dir, "missing"))
	require.Contains(t, unread, filepath.Join(dir, "dir"))
	require.Equal(t, map[string][]byte{good: []byte("good")}, got)

	sums, err := h.Checksum(ctx, all...)
	require.NoError(t, err)
	require.Len(t, sums, 1)
	require.Contains(t, sums, good)

	read, _ := h.Read(ctx, 100, all[:3]...)
	require.Equal(t, map[string][]byte{good: []byte("good")}, read)

	local := t.TempDir()
	err = h.Pull(ctx, dir, local, []string{"good", "link", "fifo"})
	if err != nil {
		require.ErrorIs(t, err, ErrUnread)
	}
	require.FileExists(t, filepath.Join(local, "good"))
	require.NoFileExists(t, filepath.Join(local, "link"))
	require.NoFileExists(t, filepath.Join(local, "fifo"))

	files, err := h.List(ctx, dir, 10)
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	require.ElementsMatch(t, []string{"good", "secret"}, names)
}

// Only what is certainly not there is left out without a word: how an attempt ended is written down for good by it.
func TestWhatCannotBeReadIsNotGone(t *testing.T) {
	t.Parallel()
	here(t, checkWhatCannotBeReadIsNotGone)
}

func TestSSHWhatCannotBeReadIsNotGone(t *testing.T) {
	t.Parallel()
	overSSH(t, checkWhatCannotBeReadIsNotGone)
}

func checkWhatCannotBeReadIsNotGone(t *testing.T, h Host, dir string) {
	t.Helper()
	ctx := context.Background()
	script := `mkdir -p "$1/run" "$1/elsewhere" && cd "$1/run" && mkdir -p cases/good/rep-0/attempt-1 cases/link/rep-0 cases/file/rep-0 &&
ln -s "$1/elsewhere" cases/link/rep-0/attempt-1 && echo x > "$1/elsewhere/agent.json" && echo x > cases/file/rep-0/attempt-1 &&
echo x > cases/good/rep-0/attempt-1/agent.json && ln -s agent.json cases/good/rep-0/attempt-1/other.json && ln -s self "$1/self"`
	res, err := h.Run(ctx, Cmd{Argv: []string{"sh", "-c", script, "sh", dir}})
	require.NoError(t, err)
	require.Zero(t, res.Exit, string(res.Stderr))
	at := func(c, name string) string { return filepath.Join(dir, "run/cases", c, "rep-0/attempt-1", name) }

	got, err := h.Read(ctx, 100, at("good", "agent.json"), at("good", "none.json"), at("none", "agent.json"), filepath.Join(dir, "none/x.json"))
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{at("good", "agent.json"): []byte("x\n")}, got)

	for _, path := range []string{at("link", "agent.json"), at("file", "agent.json"), at("good", "other.json")} {
		got, err = h.Read(ctx, 100, at("good", "agent.json"), path)
		require.ErrorIs(t, err, ErrUnread, path)
		require.ErrorAs(t, err, new(*rundir.NodeError), path)
		require.Len(t, got, 1)
		var why UnreadError
		require.ErrorAs(t, err, &why)
		require.Len(t, why, 1)
		require.ErrorAs(t, why[path], new(*rundir.NodeError))
	}
	long := filepath.Join(dir, "run/cases", strings.Repeat("x", 300), "rep-0/attempt-1/agent.json") // as EACCES, ESTALE and EIO, which root does not meet
	for _, path := range []string{filepath.Join(dir, "self/x.json"), long} {
		got, err = h.Read(ctx, 100, path)
		require.ErrorIs(t, err, ErrUnread, path)
		require.NotErrorAs(t, err, new(*rundir.NodeError), path)
		require.Empty(t, got)
	}
	_, err = h.List(ctx, filepath.Dir(at("link", "x")), 10)
	require.ErrorAs(t, err, new(*rundir.NodeError))
}
