package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// childEnv makes the test binary play an awkward child instead of running tests.
const childEnv = "CI_DISAGG_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		child(what)
		return
	}
	os.Exit(m.Run())
}

func child(what string) {
	switch what {
	case "say":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "exit":
		fmt.Fprintln(os.Stderr, "that went wrong")
		os.Exit(7)
	case "noise":
		block := bytes.Repeat([]byte("x"), 1<<16)
		for range 100 {
			_, _ = os.Stdout.Write(block)
			_, _ = os.Stderr.Write(append(block, '\n'))
		}
		fmt.Fprintln(os.Stderr, "the last line")
	case "deaf": // ignores SIGTERM, and so does its child
		signal.Ignore(syscall.SIGTERM)
		spawn("sleep")
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "polite":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
		os.Exit(3)
	case "leak": // leaves a child that holds the pipes open
		fmt.Fprintln(os.Stderr, "leaving")
		spawn("sleep")
	case "flood": // leaves a child that never stops to write
		spawn("write")
	case "write":
		for {
			if _, err := os.Stdout.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // no SIGHUP, which nohup has ignored
		time.Sleep(time.Hour)
	case "detached":
		fmt.Println("session", os.Getpid() == must(getsid()))
		time.Sleep(time.Hour)
	}
}

func getsid() (int, error) {
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sid), nil
}

func must(n int, err error) int {
	if err != nil {
		panic(err)
	}
	return n
}

// spawn starts a copy of the test binary that plays another child. Of two entries of a name the first counts.
func spawn(what string) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	p, err := os.StartProcess(self, []string{self}, &os.ProcAttr{
		Env: append([]string{childEnv + "=" + what}, os.Environ()...), Files: []*os.File{nil, os.Stdout, os.Stderr},
	})
	if err != nil {
		panic(err)
	}
	_ = p.Release()
}

// play is the command that plays a child, and the cookie its processes carry.
func play(t *testing.T, what string) (Command, string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cookie := fmt.Sprintf("PROC_TEST=%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano())
	t.Cleanup(func() {
		for _, pid := range WithCookie(cookie) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return Command{Argv: []string{self}, Env: []string{childEnv + "=" + what, cookie}}, cookie
}

// soon is for what happens by itself: far longer than it takes on a busy machine, far shorter than what would be waited
// for otherwise (an hour's sleep, most of the time).
const soon = 2 * time.Minute

func noneLeft(t *testing.T, cookie string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(WithCookie(cookie)) == 0 }, soon, 20*time.Millisecond, "processes are left")
}

func TestRunKeepsBothOutputs(t *testing.T) {
	t.Parallel()
	c, _ := play(t, "say")
	res, err := Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, Result{Stdout: []byte("to stdout\n"), Stderr: "to stderr\n"}, res)
}

func TestRunGivesWritersEverything(t *testing.T) {
	t.Parallel()
	c, _ := play(t, "say")
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	res, err := Run(t.Context(), c)
	require.NoError(t, err)
	require.Nil(t, res.Stdout)
	require.Equal(t, "to stdout\n", out.String())
	require.Equal(t, "to stderr\n", errs.String())
	require.Equal(t, "to stderr\n", res.Stderr)
}

func TestEnvironmentIsExactlyWhatWasGiven(t *testing.T) {
	t.Setenv("PROC_TEST_INHERITED", "1")
	c, cookie := play(t, "env")
	res, err := Run(t.Context(), c)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{childEnv + "=env", cookie}, strings.Fields(string(res.Stdout)))
	res, err = Run(t.Context(), Command{Argv: []string{"/usr/bin/env"}})
	require.NoError(t, err)
	require.Empty(t, res.Stdout)
}

func TestExitCodeAndStderrAreInTheError(t *testing.T) {
	t.Parallel()
	c, _ := play(t, "exit")
	res, err := Run(t.Context(), c)
	var exit *ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 7, exit.Exit)
	require.Equal(t, 7, res.Exit)
	require.ErrorContains(t, err, "exit 7: that went wrong")
	c, _ = play(t, "kill")
	res, err = Run(t.Context(), c)
	require.ErrorContains(t, err, "killed by SIGTERM")
	require.Equal(t, 128+15, res.Exit)
	require.Equal(t, 15, res.Signal)
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	c, _ := play(t, "noise")
	c.MaxStdout = 1000
	res, err := Run(t.Context(), c)
	require.ErrorContains(t, err, "more than 1000 bytes on stdout")
	require.Zero(t, res.Exit)
	require.Len(t, res.Stdout, 1000)
	require.LessOrEqual(t, len(res.Stderr), stderrTail)
	require.True(t, strings.HasSuffix(res.Stderr, "the last line\n"))
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	c, cookie := play(t, "sleep")
	c.Timeout = 100 * time.Millisecond
	_, err := Run(t.Context(), c)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	noneLeft(t, cookie)
}

func TestTheWholeGroupIsKilledAfterTheGrace(t *testing.T) {
	t.Parallel()
	c, cookie := play(t, "deaf")
	out := newAwaited("ready")
	c.Stdout, c.Grace = out, 300*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-out.seen; cancel() }()
	res, err := Run(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 9, res.Signal)
	noneLeft(t, cookie)
}

func TestCancelIsPoliteFirst(t *testing.T) {
	t.Parallel()
	c, cookie := play(t, "polite")
	out := newAwaited("ready")
	c.Stdout, c.Grace = out, time.Hour
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the build was aborted")
	go func() { <-out.seen; cancel(why) }()
	began := time.Now()
	res, err := Run(ctx, c)
	require.ErrorIs(t, err, why)
	require.Equal(t, 3, res.Exit, "it was asked and left by itself")
	require.Less(t, time.Since(began), soon)
	noneLeft(t, cookie)
}

// awaited is a writer that tells when a text has come.
type awaited struct {
	text string
	b    bytes.Buffer
	seen chan struct{}
	done bool
}

func newAwaited(text string) *awaited { return &awaited{text: text, seen: make(chan struct{})} }

func (a *awaited) Write(p []byte) (int, error) {
	a.b.Write(p)
	if !a.done && strings.Contains(a.b.String(), a.text) {
		a.done = true
		close(a.seen)
	}
	return len(p), nil
}

func TestLeakedPipeDoesNotHoldUsBack(t *testing.T) {
	t.Parallel()
	c, cookie := play(t, "leak")
	c.WaitDelay = 200 * time.Millisecond
	began := time.Now()
	_, err := Run(t.Context(), c)
	require.NoError(t, err)
	require.Less(t, time.Since(began), soon)
	// While it becomes another program, its environment is empty for a moment.
	require.Eventually(t, func() bool { return len(WithCookie(cookie)) > 0 }, soon, 10*time.Millisecond, "what it left in the background is left alone")
	c, cookie = play(t, "leak")
	c.KillLeft = true
	_, err = Run(t.Context(), c)
	require.NoError(t, err)
	noneLeft(t, cookie)
}

func TestSignalAfterTheEnd(t *testing.T) {
	t.Parallel()
	c, _ := play(t, "say")
	p, err := Start(t.Context(), c)
	require.NoError(t, err)
	_, err = p.Wait()
	require.NoError(t, err)
	require.ErrorIs(t, p.Signal(syscall.SIGTERM), os.ErrProcessDone)
	p.Stop(time.Second)
}

func TestEndedContextStartsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, _ := play(t, "sleep")
	res, err := Run(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, -1, res.Exit)
}

func TestProgramIsLookedUpOnTheGivenPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "sbatch")
	require.NoError(t, rundir.WriteFile(file, []byte("#!/bin/sh\necho 42\n"), rundir.ExecMode))
	res, err := Run(t.Context(), Command{Argv: []string{"sbatch"}, Env: []string{"PATH=/nowhere:" + dir}})
	require.NoError(t, err)
	require.Equal(t, "42\n", string(res.Stdout))
	_, err = Run(t.Context(), Command{Argv: []string{"sbatch"}, Env: []string{"PATH=:/nowhere"}})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "sbatch")
	_, err = Run(t.Context(), Command{})
	require.Error(t, err)
	_, err = Run(t.Context(), Command{Argv: []string{dir + "/none"}})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestDetachOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	c, cookie := play(t, "detached")
	log := filepath.Join(t.TempDir(), "log")
	pid, err := Detach(c, log)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(log)
		return err == nil && string(b) == "session true\n"
	}, soon, 20*time.Millisecond)
	require.True(t, Alive(pid, cookie))
	require.False(t, Alive(pid, "OTHER=1"))
	require.False(t, Alive(pid, ""))
	require.Equal(t, []int{pid}, WithCookie(cookie))
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.Eventually(t, func() bool { return !Alive(pid, cookie) }, soon, 10*time.Millisecond)
	require.False(t, Alive(0, cookie))
	require.False(t, Alive(-1, cookie))
}

func TestScrub(t *testing.T) {
	t.Parallel()
	env := []string{"PATH=/bin", "BUILD_ID=1", "JENKINS_NODE_COOKIE=a", "JENKINS_SERVER_COOKIE=b", "BUILD_TAG=c", "SLURM_CONF=d", "SLURM_JOB_ID=1", "SBATCH_ACCOUNT=e", "HUDSON_COOKIE=f"}
	require.Equal(t, []string{"PATH=/bin", "BUILD_TAG=c", "SLURM_CONF=d", "SLURM_JOB_ID=1", "SBATCH_ACCOUNT=e"}, WithoutJenkins(env))
	require.Equal(t, []string{"PATH=/bin", "BUILD_TAG=c", "SLURM_CONF=d"}, WithoutSlurm(WithoutJenkins(env)))
	require.Equal(t, "2", Getenv([]string{"A=1", "A=2", "B"}, "A"))
	require.Empty(t, Getenv(nil, "A"))
}

func TestTailBeginsWithAWholeLine(t *testing.T) {
	t.Parallel()
	w := &tail{max: 10}
	for i := range 100 {
		_, err := io.WriteString(w, strconv.Itoa(i)+"\n")
		require.NoError(t, err)
	}
	require.Equal(t, "97\n98\n99\n", w.String())
	w = &tail{max: 4}
	_, _ = w.Write([]byte("0123456789\xff"))
	require.Equal(t, "789\uFFFD", w.String())
}

// TestWithCookieListsTheOldestFirst: a process that was started later has a later
// start, whatever its pid.
func TestWithCookieListsTheOldestFirst(t *testing.T) {
	t.Parallel()
	require.Less(t, started(1), started(os.Getpid()))
	require.Equal(t, uint64(math.MaxUint64), started(1<<30), "nobody is not the oldest")
}
