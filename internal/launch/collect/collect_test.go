package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/sshtest"
)

// tree writes files below a new directory on h.
func tree(t *testing.T, h host.Host, dir string, files map[string]string) {
	t.Helper()
	local := t.TempDir()
	var paths []string
	for p, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(local, p)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(local, p), []byte(text), 0o600))
		paths = append(paths, p)
	}
	require.NoError(t, h.Push(context.Background(), local, dir, paths))
}

// here runs a check on this machine.
func here(t *testing.T, check func(t *testing.T, h host.Host, dir string)) {
	t.Helper()
	check(t, host.NewHere(os.Environ()), filepath.Join(t.TempDir(), "far"))
}

// overSSH runs a check on a machine with another file system.
func overSSH(t *testing.T, check func(t *testing.T, h host.Host, dir string)) {
	t.Helper()
	s := sshtest.Start(t, sshtest.Options{Apart: true})
	h, err := host.NewSSH(host.SSHConfig{Dest: s.Dest, Options: s.Options, Env: os.Environ(), Connect: 2 * time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	check(t, h, "/tmp/far")
}

func files(b Bundle) map[string]File {
	out := map[string]File{}
	for _, f := range b.Files {
		out[f.Path] = f
	}
	return out
}

func TestGather(t *testing.T) {
	t.Parallel()
	here(t, checkGather)
}

func TestSSHGather(t *testing.T) {
	t.Parallel()
	overSSH(t, checkGather)
}

func checkGather(t *testing.T, h host.Host, dir string) {
	t.Helper()
	long := strings.Repeat("first\n", 1000) + strings.Repeat("last\n", 1000)
	tree(t, h, dir, map[string]string{
		"agent.json": `{"schema":1}`, "run-0/roles/GEN_0/output.log": "hello\n", "run-0/roles/GEN_0/results.0.xml": "<testsuites/>",
		"run-0/output/long.log": long, "run-0/output/core.123": "huge", "job.json": "the far copy", "empty": "",
	})
	here := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(here, "job.json"), []byte("ours"), 0o600))
	b, err := Gather(context.Background(), h, dir, here, Rules{Exclude: []string{"**/core.*"}, MaxFile: 4000})
	require.NoError(t, err)
	got := files(b)
	require.Len(t, got, 6)
	require.NotEmpty(t, got["agent.json"].SHA256)
	require.Equal(t, "left out by the collect rules", got["run-0/output/core.123"].Why)
	require.NoFileExists(t, filepath.Join(here, "run-0/output/core.123"))
	ours, err := os.ReadFile(filepath.Join(here, "job.json"))
	require.NoError(t, err)
	require.Equal(t, "ours", string(ours), "the client's own records have one writer")

	cut, err := os.ReadFile(filepath.Join(here, "run-0/output/long.log"))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(cut), "first\n"))
	require.True(t, strings.HasSuffix(string(cut), "last\n"))
	require.Contains(t, string(cut), "7000 of 11000 bytes left out")
	require.Contains(t, string(cut), dir+"/run-0/output/long.log")
	require.Equal(t, int64(11000), got["run-0/output/long.log"].Size)
	require.Equal(t, int64(4000), got["run-0/output/long.log"].Kept)

	var stored Bundle
	require.NoError(t, rundir.ReadJSON(filepath.Join(here, BundleFile), &stored))
	require.Equal(t, b, stored)
	// Again: the same.
	again, err := Gather(context.Background(), h, dir, here, Rules{Exclude: []string{"**/core.*"}, MaxFile: 4000})
	require.NoError(t, err)
	require.Equal(t, b, again)
}

func TestGatherTotalCutsTheLeastUseful(t *testing.T) {
	t.Parallel()
	h, dir := host.NewHere(os.Environ()), filepath.Join(t.TempDir(), "far")
	tree(t, h, dir, map[string]string{
		"run-0/output/a.bin": strings.Repeat("x", 900), "agent.json": strings.Repeat("j", 300), "run-0/roles/GEN_0/results.0.xml": strings.Repeat("r", 300),
		"slurm.out": strings.Repeat("s", 300),
	})
	here := t.TempDir()
	b, err := Gather(context.Background(), h, dir, here, Rules{MaxTotal: 1000})
	require.NoError(t, err)
	got := files(b)
	for _, p := range []string{"agent.json", "run-0/roles/GEN_0/results.0.xml", "slurm.out"} {
		require.Equal(t, int64(300), got[p].Kept, p)
	}
	require.Equal(t, int64(100), got["run-0/output/a.bin"].Kept)
	require.NotEmpty(t, got["run-0/output/a.bin"].Why)
	require.LessOrEqual(t, b.Bytes, int64(1000))
}

// A job that leaves more files than are wanted must not cost its records.
func TestGatherTooManyFiles(t *testing.T) {
	t.Parallel()
	here(t, checkGatherTooManyFiles)
}

func TestSSHGatherTooManyFiles(t *testing.T) {
	t.Parallel()
	overSSH(t, checkGatherTooManyFiles)
}

func checkGatherTooManyFiles(t *testing.T, h host.Host, dir string) {
	t.Helper()
	many := map[string]string{"agent.json": "{}", "slurm.out": "s", "run-0/roles/GEN_0/results.0.xml": "<x/>", "run-0/roles/GEN_0/output.log": "l", "a\nb": "odd"}
	for i := range 50 {
		many[fmt.Sprintf("run-0/output/f%02d", i)] = "x"
	}
	tree(t, h, dir, many)
	here := t.TempDir()
	b, err := Gather(context.Background(), h, dir, here, Rules{MaxFiles: 8})
	require.ErrorIs(t, err, ErrIncomplete)
	require.ErrorContains(t, err, "47 files are over max_files of 8")
	require.Equal(t, 47, b.Over)
	got := files(b)
	for _, p := range []string{"agent.json", "slurm.out", "run-0/roles/GEN_0/results.0.xml", "run-0/roles/GEN_0/output.log", "run-0/output/f02"} {
		require.NotEmpty(t, got[p].SHA256, p)
		require.FileExists(t, filepath.Join(here, p))
	}
	require.Contains(t, got["a\nb"].Why, "line break")
	require.FileExists(t, filepath.Join(here, BundleFile))
	// What nobody wants does not count.
	b, err = Gather(context.Background(), h, dir, t.TempDir(), Rules{MaxFiles: 5, Exclude: []string{"run-0/output/**"}})
	require.NoError(t, err)
	require.Equal(t, 50, b.Over)
}

// full is a host that lists no more than so many files.
type full struct {
	*host.Here
	most int
}

func (f full) List(ctx context.Context, dir string, limit int) ([]host.FileInfo, error) {
	return f.Here.List(ctx, dir, min(limit, f.most))
}

func TestGatherWhenNotAllCanBeListed(t *testing.T) {
	t.Parallel()
	h, dir := full{Here: host.NewHere(os.Environ()), most: 3}, filepath.Join(t.TempDir(), "far")
	tree(t, h, dir, map[string]string{"agent.json": "{}", "run-0/output/1": "", "run-0/output/2": "", "run-0/output/3": "", "run-0/roles/GEN_0/results.0.xml": "<x/>"})
	here := t.TempDir()
	_, err := Gather(context.Background(), h, dir, here, Rules{})
	require.ErrorIs(t, err, ErrIncomplete)
	require.FileExists(t, filepath.Join(here, "agent.json"))
	require.FileExists(t, filepath.Join(here, "run-0/roles/GEN_0/results.0.xml"))
}

// haunted lists files that cannot be read: gone since, or closed to us.
type haunted struct{ host.Host }

func (h haunted) List(ctx context.Context, dir string, limit int) ([]host.FileInfo, error) {
	all, err := h.Host.List(ctx, dir, limit)
	return append(all, host.FileInfo{Path: "ghost", Size: 5}, host.FileInfo{Path: "run-0/output/long ghost", Size: 5000}), err
}

// One file that cannot be read must not cost the others.
func TestGatherWithoutWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	here(t, checkGatherWithoutWhatCannotBeRead)
}

func TestSSHGatherWithoutWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	overSSH(t, checkGatherWithoutWhatCannotBeRead)
}

func checkGatherWithoutWhatCannotBeRead(t *testing.T, h host.Host, dir string) {
	t.Helper()
	tree(t, h, dir, map[string]string{"agent.json": "{}", "run-0/roles/GEN_0/results.0.xml": "<x/>"})
	here := t.TempDir()
	b, err := Gather(context.Background(), haunted{h}, dir, here, Rules{MaxFile: 1000})
	require.ErrorIs(t, err, ErrIncomplete)
	require.ErrorContains(t, err, "2 cannot be read there, the first is ghost")
	got := files(b)
	for _, p := range []string{"agent.json", "run-0/roles/GEN_0/results.0.xml"} {
		require.NotEmpty(t, got[p].SHA256, p)
		require.FileExists(t, filepath.Join(here, p))
	}
	for _, p := range []string{"ghost", "run-0/output/long ghost"} {
		require.Equal(t, "could not be read there", got[p].Why, p)
		require.Zero(t, got[p].Kept, p)
		require.NoFileExists(t, filepath.Join(here, p))
	}
	require.EqualValues(t, 6, b.Bytes)
	require.FileExists(t, filepath.Join(here, BundleFile))
}

func TestGatherAFileThatGrows(t *testing.T) {
	t.Parallel()
	h, dir := host.NewHere(os.Environ()), filepath.Join(t.TempDir(), "far")
	tree(t, h, dir, map[string]string{"growing.log": "x"})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.OpenFile(filepath.Join(dir, "growing.log"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer func() { _ = f.Close() }()
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = f.WriteString("more\n")
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	_, err := Gather(context.Background(), h, dir, t.TempDir(), Rules{})
	close(stop)
	<-done
	if err != nil { // it may also have stood still for a moment
		require.ErrorIs(t, err, ErrChanging)
	}
	b, err := Gather(context.Background(), h, dir, t.TempDir(), Rules{})
	require.NoError(t, err)
	require.NotEmpty(t, b.Files[0].SHA256)
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for glob, want := range map[string]map[string]bool{
		"*.json":            {"agent.json": true, "roles/x.json": false},
		"**/*.xml":          {"a.xml": true, "roles/G/r.xml": true, "roles/G/r.log": false},
		"roles/**":          {"roles/G/output.log": true, "roles": true, "output/x": false},
		"roles/*/results.*": {"roles/G/results.0.xml": true, "roles/G/H/results.0.xml": false},
		"[":                 {"[": false, "a": false},
	} {
		for p, m := range want {
			require.Equal(t, m, Match(glob, p), "%s %s", glob, p)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("**/**/**/*.xml", "a/b/c/d.xml")
	f.Fuzz(func(_ *testing.T, glob, p string) {
		if len(glob) < 64 && len(p) < 256 {
			Match(glob, p)
		}
	})
}

// flipped has a link in the place of a directory whenever tar runs, and only then.
type flipped struct{ host.Host }

func (h flipped) Pull(ctx context.Context, dir, localDir string, paths []string) error {
	err := h.Host.Pull(ctx, dir, localDir, paths)
	return errors.Join(err, rundir.WriteFile(filepath.Join(localDir, "output/log"), []byte("SECRET"), 0o600))
}

// A copy that never was its original is somebody else's file: what is read over no link takes its place.
func TestGatherKeepsNoCopyOfAnotherFile(t *testing.T) {
	t.Parallel()
	h, dir, here := host.NewHere(os.Environ()), filepath.Join(t.TempDir(), "far"), t.TempDir()
	tree(t, h, dir, map[string]string{"output/log": "said"})
	_, err := Gather(context.Background(), flipped{h}, dir, here, Rules{})
	require.ErrorIs(t, err, ErrChanging)
	data, err := os.ReadFile(filepath.Join(here, "output/log"))
	require.NoError(t, err)
	require.Equal(t, "said", string(data))
}
