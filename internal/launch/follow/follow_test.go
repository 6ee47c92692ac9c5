package follow

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/sshtest"
)

// Who goes on with a run shows what its job prints from then on, here and behind a login node.
func TestResumeShowsNothingAgain(t *testing.T) {
	t.Parallel()
	resumeShowsNothingAgain(t, host.NewHere(os.Environ()))
	// Where there is nothing yet, nothing is left out.
	var out strings.Builder
	there := rundir.AttemptDir(t.TempDir())
	r := New(runs.Access{}.Complete(), Listeners{Console: &out}, false)
	r.Resume(t.Context(), there)
	require.NoError(t, os.WriteFile(there.SlurmOut(), []byte("first\n"), 0o600))
	r.Rest(t.Context(), there)
	require.Equal(t, "first\n", out.String())
}

func TestSSHResumeShowsNothingAgain(t *testing.T) {
	t.Parallel()
	need.Long(t, "an sshd")
	need.Root(t)
	sshd := sshtest.Start(t, sshtest.Options{})
	h, err := host.NewSSH(host.SSHConfig{Dest: sshd.Dest, Options: sshd.Options, Env: os.Environ(), Connect: 2 * time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	resumeShowsNothingAgain(t, h)
}

func resumeShowsNothingAgain(t *testing.T, on host.Host) {
	t.Helper()
	var out, log strings.Builder
	there := rundir.AttemptDir(filepath.Join(t.TempDir(), "it's there"))
	require.NoError(t, os.Mkdir(string(there), 0o755))
	require.NoError(t, os.WriteFile(there.SlurmOut(), []byte("old\nhalf of "), 0o600))
	r := New(runs.Access{Host: on, Log: slog.New(slog.NewTextHandler(&log, nil))}.Complete(), Listeners{Console: &out}, false)
	r.Resume(t.Context(), there)
	f, err := os.OpenFile(there.SlurmOut(), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("a line\nnew\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	r.Rest(t.Context(), there)
	require.Equal(t, "a line\nnew\n", out.String(), log.String())
	require.Empty(t, log.String())
}

// What a job printed last and cannot be shown is said to be missing.
func TestRestThatCannotBeRead(t *testing.T) {
	t.Parallel()
	var out, log strings.Builder
	h := halfRead{down: true, calls: new(int)}
	r := New(runs.Access{Host: h, Log: slog.New(slog.NewTextHandler(&log, nil))}.Complete(), Listeners{Console: &out}, false)
	r.Rest(t.Context(), "/there")
	require.Empty(t, out.String())
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "/there/slurm.out")
}

// What a job died of is the last that it prints, perhaps behind a flood and without an end of the line.
func TestRestShowsTheEnd(t *testing.T) {
	t.Parallel()
	var out, log strings.Builder
	there := rundir.AttemptDir(t.TempDir())
	r := New(runs.Access{Host: host.NewHere(os.Environ()), Log: slog.New(slog.NewTextHandler(&log, nil))}.Complete(), Listeners{Console: &out}, false)
	require.NoError(t, os.WriteFile(there.SlurmOut(), []byte("first\n"+strings.Repeat("a line of the flood\n", 125_000)+"RuntimeError: the cause"), 0o600))
	r.Rest(t.Context(), there)
	require.True(t, strings.HasPrefix(out.String(), "first\n"))
	require.True(t, strings.HasSuffix(out.String(), "flood\nRuntimeError: the cause\n"))
	require.Contains(t, out.String(), "[ci-disagg: 402877 bytes left out; all of it is in "+there.SlurmOut()+"]\n")
	require.Empty(t, log.String())

	out.Reset()
	there = rundir.AttemptDir(t.TempDir())
	r.Rest(t.Context(), there)
	require.Empty(t, log.String(), "a job that never wrote")
	require.NoError(t, os.WriteFile(there.SlurmOut(), []byte("RuntimeError: the cause"), 0o600))
	r.Rest(t.Context(), there)
	require.Equal(t, "RuntimeError: the cause\n", out.String())
	there = rundir.AttemptDir(t.TempDir())
	require.NoError(t, os.Mkdir(there.SlurmOut(), 0o755))
	r.Rest(t.Context(), there)
	require.Contains(t, log.String(), "level=WARN")
}

// amid is a host on which something happens while a file is read for the first time.
type amid struct {
	host.Host
	happens func()
}

func (a *amid) ReadAt(ctx context.Context, most int, from map[string]int64) (map[string][]byte, error) {
	got, err := a.Host.ReadAt(ctx, most, from)
	if f := a.happens; f != nil {
		a.happens = nil
		f()
	}
	return got, err
}

// A look that began before the job's end, and ends while the rest is read, hides nothing of it.
func TestRestBesideALook(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	there := rundir.AttemptDir(t.TempDir())
	h := &amid{Host: host.NewHere(os.Environ())}
	r := New(runs.Access{Host: h}.Complete(), Listeners{Console: &out}, false)
	job := []Job{{There: there}}
	text := strings.Repeat("a line\n", 50_000) + "RuntimeError: the cause\n"
	require.NoError(t, os.WriteFile(there.SlurmOut(), []byte(text), 0o600))
	h.happens = func() { r.Read(t.Context(), job, r.Offsets(job)) }
	r.Rest(t.Context(), there)
	require.Equal(t, text, out.String())
}

// What a job prints commands no build server: "passed" is not the job's to say.
func TestAJobCommandsNoBuildServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		prefix bool
		want   string
	}{
		{false, "# #vso[task.complete result=Succeeded;]\n: :error::not so\n"},
		{true, "a | # #vso[task.complete result=Succeeded;]\na | : :error::not so\n"},
	} {
		var out strings.Builder
		c := newConsole(&out, tt.prefix)
		c.offset(map[string]int64{}, "slurm.out", "a")
		c.print(map[string]int64{}, map[string][]byte{"slurm.out": []byte("##vso[task.complete result=Succeeded;]\n::error::not so\n")})
		require.Equal(t, tt.want, out.String())
	}
}

// halfRead is a host on which some files can be read, and others cannot.
type halfRead struct {
	host.Host
	files map[string]string // "" = cannot be read
	down  bool
	calls *int
}

func (h halfRead) Read(_ context.Context, _ int64, paths ...string) (map[string][]byte, error) {
	*h.calls++
	if h.down {
		return nil, host.ErrUnreachable
	}
	out, unread := map[string][]byte{}, host.UnreadError{}
	for _, p := range paths {
		switch text, ok := h.files[p]; {
		case !ok:
		case text == "":
			unread[p] = syscall.EIO
		case text == "link":
			unread[p] = &rundir.NodeError{Path: p}
		default:
			out[p] = []byte(text)
		}
	}
	if len(unread) == 0 {
		return out, nil
	}
	return out, unread
}

func (h halfRead) ReadAt(context.Context, int, map[string]int64) (map[string][]byte, error) {
	if h.down {
		return nil, host.ErrUnreachable
	}
	return nil, nil
}

// A record that cannot be read is not one that is not there, and says nothing of the others.
func TestUnreadIsNotMissing(t *testing.T) {
	t.Parallel()
	watch := []Job{{There: "/there"}, {There: "/missing"}, {There: "/unread"}, {There: "/link"}}
	calls := 0
	h := halfRead{calls: &calls, files: map[string]string{
		watch[0].There.AgentFile(): `{"schema":2,"heartbeat":"2026-11-30T00:00:00Z"}`, watch[2].There.AgentFile(): "", watch[3].There.AgentFile(): "link",
	}}
	look := func(watch ...Job) (unread []rundir.AttemptDir) {
		for i, s := range New(runs.Access{Host: h}.Complete(), Listeners{}, false).Read(t.Context(), watch, nil) {
			if s.Unread {
				unread = append(unread, watch[i].There)
			}
		}
		return unread
	}
	require.Equal(t, []rundir.AttemptDir{"/unread"}, look(watch...))
	require.Equal(t, 1, calls, "what a role does to its record costs no call for each case that waits in the queue")
	require.Equal(t, []rundir.AttemptDir{"/unread"}, look(watch[2]))
	require.Empty(t, look(watch[3]))
	h.down = true
	require.Len(t, look(watch...), 4)
}
