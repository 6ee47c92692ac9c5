package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommitsBetween(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "user.name=n", "-c", "user.email=e"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	run("init", "-q")
	for _, subject := range []string{"good", "between", "slow kernel"} {
		run("commit", "-q", "--allow-empty", "-m", subject)
	}
	good, bad := run("rev-parse", "HEAD~2")[:40], run("rev-parse", "HEAD")[:40]
	h := newHost()
	h.getwd, h.environ = func() (string, error) { return dir, nil }, os.Environ
	require.Equal(t, []string{bad[:7] + " slow kernel", run("rev-parse", "HEAD~1")[:7] + " between"}, commitsBetween(h, good, bad))
	require.Empty(t, commitsBetween(h, "--output=x", bad), "no option of git's")
	require.Empty(t, commitsBetween(h, good, "0123456789"), "not in this checkout")
}
