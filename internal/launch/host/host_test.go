package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/testkit/sshtest"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// here runs a check on this machine.
func here(t *testing.T, check func(t *testing.T, h Host, dir string)) {
	t.Helper()
	check(t, NewHere(os.Environ()), filepath.Join(t.TempDir(), "far"))
}

// overSSH runs a check on a machine with another file system.
func overSSH(t *testing.T, check func(t *testing.T, h Host, dir string)) {
	t.Helper()
	h, _ := login(t, sshtest.Options{Apart: true, Chatter: "Welcome to the login node! Scheduled maintenance on Friday."})
	check(t, h, "/tmp/far")
}

func login(t *testing.T, o sshtest.Options) (*SSH, *sshtest.Server) {
	t.Helper()
	s := sshtest.Start(t, o)
	h, err := NewSSH(SSHConfig{Dest: s.Dest, Options: s.Options, Env: os.Environ(), Connect: 2 * time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, h.Close())
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	return h, s
}

func TestRun(t *testing.T) {
	t.Parallel()
	here(t, checkRun)
}

func TestSSHRun(t *testing.T) {
	t.Parallel()
	overSSH(t, checkRun)
}

func checkRun(t *testing.T, h Host, _ string) {
	t.Helper()
	ctx := context.Background()
	nasty := []string{"a b", "$HOME", "`id`", "it's", `"q"`, "new\nline", "-n", "", "*", `\`, "ünï", "!x", "~", "a;b&c|d>e", "\x01\x7f"}
	res, err := h.Run(ctx, Cmd{Argv: append([]string{"printf", "%s\x1f"}, nasty...)})
	require.NoError(t, err)
	require.Equal(t, strings.Join(nasty, "\x1f")+"\x1f", string(res.Stdout))

	res, err = h.Run(ctx, Cmd{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}})
	require.NoError(t, err)
	require.Equal(t, 3, res.Exit)
	require.Equal(t, "out\n", string(res.Stdout))
	require.Contains(t, string(res.Stderr), "err")

	res, err = h.Run(ctx, Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader(strings.Repeat("data\x00\n", 100000))})
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("data\x00\n", 100000), string(res.Stdout))

	res, err = h.Run(ctx, Cmd{Argv: []string{"sh", "-c", `printf %s "$V"; pwd; cat /proc/$$/cmdline | tr '\0' ' '`}, Dir: "/usr", Env: []string{"V=sec'ret $x\n"}})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(res.Stdout), "sec'ret $x\n/usr\n"), "%q", res.Stdout)

	_, err = h.Run(ctx, Cmd{Argv: []string{"no-such-program"}})
	require.ErrorIs(t, err, ErrNotStarted)

	_, err = h.Run(ctx, Cmd{Argv: []string{"sh", "-c", "echo started; exec sleep 60"}, Timeout: time.Second})
	require.ErrorIs(t, err, context.DeadlineExceeded)

	_, err = h.Run(ctx, Cmd{Argv: []string{"head", "-c", "300000", "/dev/zero"}, MaxOutput: 1000})
	require.Error(t, err, "output over the bound is no answer")

	short, cancel := context.WithCancelCause(ctx)
	stop := errors.New("stop")
	time.AfterFunc(300*time.Millisecond, func() { cancel(stop) })
	begun := time.Now()
	_, err = h.Run(short, Cmd{Argv: []string{"sleep", "600"}, Timeout: 10 * time.Minute})
	require.Error(t, err)
	require.Less(t, time.Since(begun), 5*time.Minute)
}

// scrubbing is an environment of which a part is for no program on the host.
var scrubbing = []string{"SLURM_CONF=/c", "SLURM_JOB_ID=7", "SBATCH_X=1", "KEEP=me", "SLURMX=2"}

func TestScrubbedVariables(t *testing.T) {
	t.Parallel()
	checkScrubbed(t, NewHere(append(slices.Clone(scrubbing), "PATH="+os.Getenv("PATH"))))
}

func TestSSHScrubbedVariables(t *testing.T) {
	t.Parallel()
	h, _ := login(t, sshtest.Options{Env: scrubbing})
	checkScrubbed(t, h)
}

func checkScrubbed(t *testing.T, h Host) {
	t.Helper()
	res, err := h.Run(context.Background(), Cmd{Argv: []string{"env"}, Unset: []string{"SLURM_*", "SBATCH_*", "GONE"}, Keep: []string{"SLURM_CONF"}, Env: []string{"NEW=x"}})
	require.NoError(t, err)
	out := "\n" + string(res.Stdout)
	for _, want := range []string{"\nSLURM_CONF=/c\n", "\nKEEP=me\n", "\nNEW=x\n", "\nSLURMX=2\n"} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "SLURM_JOB_ID")
	require.NotContains(t, out, "SBATCH_X")
}

func TestFiles(t *testing.T) {
	t.Parallel()
	here(t, checkFiles)
}

func TestSSHFiles(t *testing.T) {
	t.Parallel()
	overSSH(t, checkFiles)
}

func checkFiles(t *testing.T, h Host, dir string) {
	t.Helper()
	ctx := context.Background()
	local := t.TempDir()
	files := map[string]string{
		"job.sh": "#!/bin/sh\necho hi\n", "roles/GEN_0/role.sh": "x", "empty": "", "we ird 'na\"me$x": "y",
		"big": strings.Repeat("0123456789abcdef", 1<<16),
	}
	var paths []string
	for p, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(local, p)), 0o700))
		require.NoError(t, rundir.WriteFile(filepath.Join(local, p), []byte(text), rundir.ExecMode))
		paths = append(paths, p)
	}
	require.NoError(t, h.Push(ctx, local, dir, paths))
	if h.Name() != "here" {
		require.NoFileExists(t, filepath.Join(dir, "job.sh"), "the file systems must differ")
	}
	res, err := h.Run(ctx, Cmd{Argv: []string{"stat", "-c", "%a", dir, dir + "/job.sh"}})
	require.NoError(t, err)
	require.Equal(t, "700\n700\n", string(res.Stdout))

	listed, err := h.List(ctx, dir, 100)
	require.NoError(t, err)
	require.Len(t, listed, len(files))
	for _, f := range listed {
		require.Equal(t, int64(len(files[f.Path])), f.Size, f.Path)
		require.WithinDuration(t, time.Now(), f.MTime, 10*time.Minute)
	}
	few, err := h.List(ctx, dir, 3)
	require.ErrorIs(t, err, ErrPartial)
	require.Len(t, few, 3)
	for _, f := range few {
		require.NotContains(t, f.Path, "/", "what lies directly there comes first")
	}
	_, err = h.List(ctx, dir+"/nowhere", 3)
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrPartial)

	_, err = h.Run(ctx, Cmd{Argv: []string{"ln", dir + "/big", dir + "/big.too"}})
	require.NoError(t, err)
	files["big.too"], paths = files["big"], append(paths, "big.too")
	back := t.TempDir()
	require.NoError(t, h.Pull(ctx, dir, back, paths))
	for p, text := range files {
		data, err := os.ReadFile(filepath.Join(back, p))
		require.NoError(t, err)
		require.Equal(t, text, string(data), p)
	}
	// What cannot be read keeps nothing else back.
	ghost := t.TempDir()
	require.ErrorIs(t, h.Pull(ctx, dir, ghost, []string{"not there", "job.sh", "big"}), ErrUnread)
	require.FileExists(t, filepath.Join(ghost, "job.sh"))
	require.FileExists(t, filepath.Join(ghost, "big"))

	got, err := h.Read(ctx, 100, dir+"/job.sh", dir+"/nowhere", dir+"/empty", dir+"/we ird 'na\"me$x")
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{dir + "/job.sh": []byte(files["job.sh"]), dir + "/empty": {}, dir + "/we ird 'na\"me$x": []byte("y")}, got)
	got, err = h.Read(ctx, 100, dir+"/job.sh", dir+"/big")
	require.Error(t, err)
	require.Contains(t, got, dir+"/job.sh", "one record that cannot be read hides no other")
	if h.Name() == "here" {
		got, err = h.Read(ctx, 100, dir+"/big", dir+"/job.sh")
		require.Error(t, err)
		require.Contains(t, got, dir+"/job.sh")
	}
	got, err = h.Read(ctx, 100, dir+"/nowhere")
	require.NoError(t, err)
	require.Empty(t, got)

	parts, err := h.ReadAt(ctx, 10, map[string]int64{dir + "/big": 16, dir + "/job.sh": 10, dir + "/empty": 0, dir + "/nowhere": 5, dir + "/roles/GEN_0/role.sh": 99})
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(parts[dir+"/big"]))
	require.Equal(t, "echo hi\n", string(parts[dir+"/job.sh"]))
	require.Empty(t, parts[dir+"/empty"])
	require.Empty(t, parts[dir+"/roles/GEN_0/role.sh"])
	require.NotContains(t, parts, dir+"/nowhere")

	sums, err := h.Checksum(ctx, dir+"/empty", dir+"/nowhere")
	require.NoError(t, err)
	require.Equal(t, map[string]string{dir + "/empty": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, sums)

	require.Error(t, h.Push(ctx, local, dir, []string{"../escape"}))
}

func TestInstallBinary(t *testing.T) {
	t.Parallel()
	here(t, checkInstallBinary)
}

func TestSSHInstallBinary(t *testing.T) {
	t.Parallel()
	overSSH(t, checkInstallBinary)
}

func checkInstallBinary(t *testing.T, h Host, dir string) {
	t.Helper()
	ctx := context.Background()
	bin := filepath.Join(t.TempDir(), "ci-disagg")
	require.NoError(t, rundir.WriteFile(bin, []byte("#!/bin/sh\necho one\n"), rundir.ExecMode))
	first, err := InstallBinary(ctx, h, bin, dir+"/bin")
	require.NoError(t, err)
	before, err := h.Run(ctx, Cmd{Argv: []string{"stat", "-c", "%i %Y", first}})
	require.NoError(t, err)
	again, err := InstallBinary(ctx, h, bin, dir+"/bin")
	require.NoError(t, err)
	require.Equal(t, first, again)
	after, err := h.Run(ctx, Cmd{Argv: []string{"stat", "-c", "%i %Y", first}})
	require.NoError(t, err)
	require.Equal(t, string(before.Stdout), string(after.Stdout), "copied once")
	res, err := h.Run(ctx, Cmd{Argv: []string{first}})
	require.NoError(t, err)
	require.Equal(t, "one\n", string(res.Stdout))
	require.NoError(t, rundir.WriteFile(bin, []byte("#!/bin/sh\necho two\n"), rundir.ExecMode))
	second, err := InstallBinary(ctx, h, bin, dir+"/bin")
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	// One that was spoiled there is replaced.
	_, err = h.Run(ctx, Cmd{Argv: []string{"sh", "-c", `echo spoiled > "$1"`, "sh", second}})
	require.NoError(t, err)
	_, err = InstallBinary(ctx, h, bin, dir+"/bin")
	require.NoError(t, err)
	res, err = h.Run(ctx, Cmd{Argv: []string{second}})
	require.NoError(t, err)
	require.Equal(t, "two\n", string(res.Stdout))
	files, err := h.List(ctx, dir+"/bin", 10)
	require.NoError(t, err)
	require.Len(t, files, 2, "no temporary file is left")
	for range 2 {
		mine, err := LinkBinary(ctx, h, second, dir+"/runs/my run/bin")
		require.NoError(t, err)
		require.Equal(t, dir+"/runs/my run/bin/"+filepath.Base(second), mine)
		res, err = h.Run(ctx, Cmd{Argv: []string{"stat", "-c", "%h", mine}})
		require.NoError(t, err)
		require.Equal(t, "2\n", string(res.Stdout))
	}
}

func TestSSHConnectionIsSharedAndSurvivesADrop(t *testing.T) {
	t.Parallel()
	h, s := login(t, sshtest.Options{Apart: true})
	ctx := context.Background()
	for range 5 {
		_, err := h.Run(ctx, Cmd{Argv: []string{"true"}})
		require.NoError(t, err)
	}
	require.Equal(t, 1, strings.Count(s.Log(), "Accepted publickey"), "one connection for all commands")

	// Dropped while a command runs: what it has done is not known. It has printed more by then than may be on its way at
	// once, so that we certainly have its first bytes, which say that it began.
	cookie := "CI_DISAGG_HOST_TEST=" + s.Dir
	go func() {
		for len(proc.WithCookie(cookie)) == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		s.DropSessions()
	}()
	_, err := h.Run(ctx, Cmd{Argv: []string{"sh", "-c", `head -c 8388608 /dev/zero; env "$1" sleep 600; echo done`, "sh", cookie}, Timeout: 5 * time.Minute})
	require.ErrorIs(t, err, ErrUnreachable)
	require.NotErrorIs(t, err, ErrNotStarted)
	_, err = h.Run(ctx, Cmd{Argv: []string{"true"}})
	require.NoError(t, err, "the next command makes a new connection")

	s.Down()
	begun := time.Now()
	_, err = h.Run(ctx, Cmd{Argv: []string{"true"}})
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorIs(t, err, ErrNotStarted, "nobody took the connection, so nothing ran")
	require.Less(t, time.Since(begun), 5*time.Minute)
	s.Up()
	_, err = h.Run(ctx, Cmd{Argv: []string{"true"}})
	require.NoError(t, err)
	_, err = h.Run(ctx, Cmd{Argv: []string{"true"}, Fresh: true})
	require.NoError(t, err)
}

func TestSSHArgumentsHoldNothingOfTheCommand(t *testing.T) {
	t.Parallel()
	h, err := NewSSH(SSHConfig{Dest: "me@login"})
	require.NoError(t, err)
	defer func() { _ = os.RemoveAll(h.dir) }()
	script, err := remoteScript(Cmd{Argv: []string{"sbatch", "--secret-looking"}, Env: []string{"TOKEN=planted"}}, "mark")
	require.NoError(t, err)
	cmd := h.command(Cmd{}, script, true)
	require.NotContains(t, strings.Join(cmd.Argv, " "), "planted")
	require.NotContains(t, strings.Join(cmd.Argv, " "), "secret")
	require.Contains(t, strings.Join(cmd.Argv, " "), "-o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 ")
	for _, bad := range []string{"", "-oProxyCommand=x", "a b", "a\nb"} {
		_, err := NewSSH(SSHConfig{Dest: bad})
		require.Error(t, err, "%q", bad)
	}
	_, err = remoteScript(Cmd{Argv: []string{"x"}, Env: []string{"A;rm=1"}}, "mark")
	require.Error(t, err)
	_, err = remoteScript(Cmd{Argv: []string{"x\x00y"}}, "mark")
	require.Error(t, err)
}

func FuzzUnframe(f *testing.F) {
	f.Add([]byte("hello\nci-disagg-x\nout\nci-disagg-x 3"), 0)
	f.Add([]byte("ci-disagg-x\nout"), 255)
	f.Add([]byte(""), 255)
	f.Fuzz(func(t *testing.T, out []byte, exit int) {
		r, err := unframe(Result{Stdout: out, Exit: exit}, nil, "ci-disagg-x")
		if err == nil && !strings.Contains(string(out), "ci-disagg-x ") {
			t.Fatalf("an answer without its end: %+v", r)
		}
	})
}

func FuzzParseFind(f *testing.F) {
	f.Add([]byte("3 1.5 a/b\x00"))
	f.Fuzz(func(t *testing.T, out []byte) {
		files, err := parseFind(out, 10)
		if err != nil {
			return
		}
		for _, x := range files {
			if !filepath.IsLocal(x.Path) || x.Size < 0 {
				t.Fatalf("%+v", x)
			}
		}
	})
}
