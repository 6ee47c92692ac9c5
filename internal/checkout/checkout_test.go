package checkout

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// A change adds a bare repository to the checkout, as files like any others, in the directory of the config: with a
// main of its own, on which the rules are as its author likes them, and a config that names commands. A job that can
// write in the checkout adds such a config to the checkout's own.
func TestABareRepositoryInTheCheckoutIsNotAsked(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	top, theirs, ran := filepath.Join(base, "top"), filepath.Join(base, "theirs"), filepath.Join(base, "ran")
	for dir, text := range map[string]string{top: "strict", theirs: "loose"} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		git(t, dir, "init", "-q")
		write(t, filepath.Join(dir, "ci/rules"), text)
		git(t, dir, "add", ".")
		git(t, dir, "commit", "-qm", text)
		git(t, dir, "update-ref", "refs/remotes/origin/main", "HEAD")
	}
	want := git(t, top, "rev-parse", "HEAD")
	ci := filepath.Join(top, "ci")
	for _, part := range []string{"HEAD", "objects", "refs"} {
		require.NoError(t, exec.Command("cp", "-r", filepath.Join(theirs, ".git", part), ci).Run())
	}
	command := "touch " + ran + "; false"
	write(t, filepath.Join(ci, "config"), "[core]\nrepositoryformatversion = 0\nbare = false\nworktree = ..\nfsmonitor = \""+command+"\"\n")
	git(t, top, "checkout", "-qb", "change")
	git(t, top, "add", ".")
	git(t, top, "commit", "-qm", "change")
	hook := filepath.Join(base, "hooks", "post-index-change")
	write(t, hook, "#!/bin/sh\n"+command+"\n")
	require.NoError(t, os.Chmod(hook, 0o700))
	for key, value := range map[string]string{"core.fsmonitor": command, "core.hooksPath": filepath.Dir(hook), "log.showSignature": "true", "gpg.program": hook} {
		git(t, top, "config", key, value)
	}
	require.NotEqual(t, want, git(t, ci, "merge-base", "refs/remotes/origin/main", "HEAD"), "this is what git itself would say")
	require.NoError(t, os.RemoveAll(ran))

	d := Dir{Path: ci, Env: os.Environ(), Timeout: time.Minute}
	require.Equal(t, want, d.MergeBase("main"))
	require.Equal(t, top, d.Top())
	text, err := d.File(want, "rules")
	require.NoError(t, err)
	require.Equal(t, "strict", string(text))
	_, _, ok := d.State(context.Background())
	require.True(t, ok)
	_, depth := d.Place("HEAD")
	require.Equal(t, 2, depth)
	require.Len(t, d.Between(want, "HEAD"), 1)
	require.NoFileExists(t, ran)

	// The same from below a directory that is reached over a link, and where there is no checkout at all.
	link := filepath.Join(base, "link")
	require.NoError(t, os.Symlink(ci, link))
	require.Equal(t, want, Dir{Path: link, Env: os.Environ(), Timeout: time.Minute}.MergeBase("main"))
	require.NoError(t, os.Rename(ci, filepath.Join(base, "alone")))
	require.False(t, Dir{Path: filepath.Join(base, "alone"), Env: os.Environ(), Timeout: time.Minute}.Is())
}

// A config that a job has written into .git names commands for filters, in a submodule too, and for a transport that
// gets objects that the clone has not: none of them runs.
func TestTheCheckoutsConfigRunsNothing(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	top, from, ran := filepath.Join(base, "top"), filepath.Join(base, "from"), filepath.Join(base, "ran")
	for _, dir := range []string{from, top} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		git(t, dir, "init", "-q")
		write(t, filepath.Join(dir, "file"), "1")
		write(t, filepath.Join(dir, "rules"), "strict")
		write(t, filepath.Join(dir, ".gitattributes"), "file filter=evil\n")
		git(t, dir, "add", ".")
		git(t, dir, "commit", "-qm", "first")
	}
	git(t, top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", from, "sub")
	git(t, top, "commit", "-qm", "sub")
	command := "touch " + ran + "; cat"
	for _, dir := range []string{top, filepath.Join(top, "sub")} {
		git(t, dir, "config", "filter.evil.clean", command)
		git(t, dir, "config", "filter.evil.required", "true")
		write(t, filepath.Join(dir, "file"), "2")
	}
	for key, value := range map[string]string{
		"extensions.partialClone": "origin", "remote.origin.url": from, "remote.origin.promisor": "true",
		"remote.origin.uploadpack": "touch " + ran + "; git-upload-pack", "core.repositoryFormatVersion": "1",
	} {
		git(t, top, "config", key, value)
	}
	d := Dir{Path: top, Env: os.Environ(), Timeout: time.Minute}
	_, dirty, ok := d.State(context.Background())
	require.True(t, ok)
	require.True(t, dirty)
	require.False(t, d.Has(strings.Repeat("ab", 20)))
	blob := git(t, top, "rev-parse", "HEAD:rules")
	require.NoError(t, os.Remove(filepath.Join(top, ".git/objects", blob[:2], blob[2:])))
	_, err := d.File("HEAD", "rules")
	require.ErrorContains(t, err, "this clone has no copy of it")
	require.NotErrorIs(t, err, os.ErrNotExist)
	_, err = d.File("HEAD", "none")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoFileExists(t, ran)

	git(t, top, "config", "filter.a=b.clean", command)
	_, _, ok = d.State(context.Background())
	require.False(t, ok, "what it cannot be kept from running it does not ask")
	require.NoFileExists(t, ran)
	git(t, top, "status")
	require.FileExists(t, ran, "this is what git itself would run")
}
