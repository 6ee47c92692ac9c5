package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// spec is what a driver in a process of its own is to do.
type spec struct {
	Dir     rundir.Dir
	ID      string
	Backend string
	Self    string
	Cases   [][3]string // id, server command, client command
	Retry   retry.Policy
	MaxJobs int
	Detach  bool
	SSH     *host.SSHConfig
	FarDir  string // Binary.Dir
}

func (s spec) options() Options {
	o := testOptionsIn(s.Backend, s.Self, s.Dir, s.ID)
	o.Decide, o.MaxJobs, o.Detach = s.Retry.Decide, s.MaxJobs, s.Detach
	for _, c := range s.Cases {
		addCase(&o, c[0], c[1], c[2])
	}
	if s.SSH != nil {
		s.SSH.Env = os.Environ()
		h, err := host.NewSSH(*s.SSH)
		if err != nil {
			panic(err)
		}
		o.Host, o.Binary.Dir = h, s.FarDir
		o.Slurm = slurm.New(h, slurm.Options{Timeout: ample, Cancel: time.Minute}) // a connection takes its time
		o.Poll.Agent = 500 * time.Millisecond
	}
	o.Progress = func(u Update) {
		fmt.Printf("%s %s %s %s: %s\n", u.At.Format("15:04:05.000"), u.Slug, u.Kind, u.JobID, u.Text)
	}
	return o
}

func driveMain(args []string) int {
	var s spec
	data, err := os.ReadFile(args[0])
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		fmt.Println(err)
		return 2
	}
	ctx, stop := Notify(context.Background())
	defer stop()
	o := s.options()
	_, err = Run(ctx, o)
	if o.Host != nil {
		_ = o.Host.Close()
	}
	var i *Interrupted
	if errors.As(err, &i) {
		return i.ExitCode()
	}
	if err != nil {
		fmt.Println("drive:", err)
		return 2
	}
	return 0
}

func cancelMain(args []string) int {
	_, err := runs.Cancel(context.Background(), runs.CancelOptions{
		Access: runs.Access{Environ: os.Environ(), Now: time.Now}, Dir: rundir.Dir(args[len(args)-1]), Reason: "interrupted",
		Cause: rundir.CauseInterrupted, Driver: args[len(args)-2], Patient: true,
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// child starts a driver in a process of its own; its output goes to the log.
func child(t *testing.T, s spec, env []string, wrap ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	s.Self = self
	data, err := json.Marshal(s)
	require.NoError(t, err)
	file := filepath.Join(dir, "spec.json")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	out, err := os.Create(filepath.Join(dir, "out"))
	require.NoError(t, err)
	argv := append(wrap, self, "drive", file)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("driver %d:\n%s", cmd.Process.Pid, text)
		}
	})
	return cmd
}

// waitForOutput waits until a driver of child has printed text.
func waitForOutput(t *testing.T, driver *exec.Cmd, text string) {
	t.Helper()
	out, ok := driver.Stdout.(*os.File)
	require.True(t, ok)
	require.Eventually(t, func() bool {
		said, err := os.ReadFile(out.Name())
		return err == nil && strings.Contains(string(said), text)
	}, ample, 50*time.Millisecond, "the driver does not print %q", text)
}

// jobRecord waits for the first attempt's job to have an id.
func jobRecord(t *testing.T, dir rundir.Dir, slug string, n int) rundir.Job {
	t.Helper()
	var j rundir.Job
	require.Eventually(t, func() bool {
		return rundir.ReadJSON(dir.CaseDir(slug).Attempt(0, n).JobFile(), &j) == nil && j.ID != ""
	}, ample, 20*time.Millisecond, "no job id")
	return j
}
