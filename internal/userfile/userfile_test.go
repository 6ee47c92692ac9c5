package userfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/plant"
)

// A file that is named to us is a regular one of a bounded size, or an error at once.
func TestReadWaitsForNothing(t *testing.T) {
	t.Parallel()
	outside := plant.NewOutside(t)
	for _, k := range plant.Kinds() {
		path := filepath.Join(t.TempDir(), "list.txt")
		k.InPlace(t, path, outside)
		data, err := Read(path)
		if k.Name == "link to a file" || k.Name == "hard link" {
			require.NoError(t, err, k.Name)
			require.Contains(t, string(data), plant.Canary, k.Name)
			continue
		}
		require.ErrorContains(t, err, path, k.Name)
	}
	_, err := Read("/dev/zero")
	require.EqualError(t, err, "read /dev/zero: it is no regular file")
}

// A stranger's checkout shows nothing of what lies outside of it, and nothing of git's own.
func TestReadOfStrangerStaysInTheCheckout(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	put := func(name string) string {
		path := filepath.Join(base, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("text"), 0o600))
		return path
	}
	secret, config, file := put("home/.netrc"), put("w/repo/.git/config"), put("w/repo/ci/perf.txt")
	put("home/.git/HEAD")
	link := func(to, name string) string {
		path := filepath.Join(base, "w/repo", name)
		require.NoError(t, os.Symlink(to, path))
		return path
	}
	reached := filepath.Join(base, "reached")
	require.NoError(t, os.Symlink(filepath.Join(base, "w"), reached))
	for path, good := range map[string]bool{
		file: true, secret: true, // the second is in no checkout of a stranger
		link("ci/perf.txt", "near.txt"): true, filepath.Join(reached, "repo/ci/perf.txt"): true,
		link(secret, "far.txt"): false, link("../../home/.netrc", "up.txt"): false, link(".git/config", "git.txt"): false, config: false,
		filepath.Join(link(filepath.Join(base, "home"), "dir"), ".netrc"): false,
	} {
		data, err := ReadOfStranger(path)
		if good {
			require.NoError(t, err, path)
			require.Equal(t, "text", string(data), path)
			continue
		}
		require.ErrorContains(t, err, "leads out of the checkout", path)
		_, err = Read(path)
		require.NoError(t, err, "elsewhere links are followed")
	}
}
