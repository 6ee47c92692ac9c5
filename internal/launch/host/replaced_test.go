package host

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReplacedFilesAreNotRead puts in the place of a file what a role can make of it:
// none is followed, none is waited for, and none keeps the others back.
func TestReplacedFilesAreNotRead(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h Host, dir string) {
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
		require.NoError(t, err)
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
	})
}
