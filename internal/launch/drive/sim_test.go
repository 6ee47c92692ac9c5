package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// sim is a host whose Slurm answers from a script on a fake clock: for what takes
// hours, and for counting. It prints what the recordings in testdata/slurm-output
// look like.
type sim struct {
	*host.Here
	// hang makes squeue block until it is given up. unanswered makes a command fail as one does whose daemon does not
	// answer. crowded is how many calls of sbatch find no room for one more process here. wait and run are how long a
	// job waits and runs; end is its last state. All of them are set before a driver runs and only read from then on.
	hang       func() bool
	unanswered map[string]bool
	crowded    int
	wait, run  func(n int) time.Duration
	end        func(n int) string
	// word replaces Slurm's word for a job that has run for so long (negative: not yet) where it is not empty. lost is how
	// many submissions make a job whose id nobody is told.
	word func(n int, ran time.Duration) string
	lost int
	// unsigned is how many submissions find munge away.
	unsigned int
	// renames says that a plugin of the site gives jobs other names.
	renames bool

	mu    sync.Mutex
	jobs  []*simJob
	calls map[string]int
}

type simJob struct {
	id     int
	name   string
	submit time.Time
	script string
	cancel time.Time
}

func (s *sim) state(j *simJob) (state string, started time.Time) {
	n := j.id - 1
	started = j.submit.Add(s.wait(n))
	over := started.Add(s.run(n))
	now := time.Now()
	odd := s.word(n, now.Sub(started))
	switch {
	case odd != "" && j.cancel.IsZero():
		return odd, started
	case !j.cancel.IsZero() && j.cancel.Before(over):
		return "CANCELLED", started
	case now.Before(started):
		return "PENDING", started
	case now.Before(over):
		return "RUNNING", started
	default:
		return s.end(n), started
	}
}

func (s *sim) Run(ctx context.Context, c host.Cmd) (host.Result, error) {
	if n := s.call(c.Argv[0]); c.Argv[0] == "sbatch" && n <= s.crowded {
		return host.Result{Exit: -1}, fmt.Errorf("%w: %w", host.ErrNotStarted, syscall.EAGAIN)
	}
	if c.Argv[0] == "sbatch" && s.count("sbatch") <= s.unsigned {
		return host.Result{Exit: 1, Stderr: []byte("sbatch: error: Munge encode failed: Failed to access \"/run/munge/munge.socket.2\": No such file or directory\n" +
			"sbatch: error: Batch job submission failed: Protocol authentication error\n")}, nil
	}
	if s.unanswered[c.Argv[0]] {
		return host.Result{Exit: 1, Stderr: []byte(c.Argv[0] + ": error: Socket timed out on send/recv operation\n")}, nil
	}
	switch c.Argv[0] {
	case "sbatch":
		return s.sbatch(c)
	case "squeue":
		if s.hang() {
			select {
			case <-ctx.Done():
				return host.Result{}, ctx.Err()
			case <-time.After(c.Timeout):
				return host.Result{}, context.DeadlineExceeded
			}
		}
		return s.squeue()
	case "sacct":
		return s.sacct()
	case "scontrol":
		return host.Result{Exit: 1, Stderr: []byte("slurm_load_jobs error: Invalid job id specified\n")}, nil
	case "scancel":
		s.scancel(c.Argv[1:])
		return host.Result{}, nil
	}
	return host.Result{Exit: 127}, nil
}

// call counts a call of a command and returns how many there have been.
func (s *sim) call(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[command]++
	return s.calls[command]
}

// count is how often the commands have been called in all.
func (s *sim) count(commands ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range commands {
		n += s.calls[c]
	}
	return n
}

func (s *sim) scancel(args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if slices.Contains(args, fmt.Sprint(j.id)) || slices.Contains(args, "--name="+j.name) {
			j.cancel = time.Now()
		}
	}
}

// all is how often each command has been called.
func (s *sim) all() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// cancelled is when the first job was cancelled, zero when it was not.
func (s *sim) cancelled() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[0].cancel
}

func (s *sim) sbatch(c host.Cmd) (host.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &simJob{id: len(s.jobs) + 1, submit: time.Now(), script: c.Argv[len(c.Argv)-1]}
	for _, a := range c.Argv {
		if n, ok := strings.CutPrefix(a, "--job-name="); ok {
			j.name = n
		}
	}
	if s.renames {
		j.name = fmt.Sprint("site-", j.id)
	}
	s.jobs = append(s.jobs, j)
	if s.calls["sbatch"] <= s.lost {
		return host.Result{Exit: 1, Stderr: []byte("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n")}, nil
	}
	return host.Result{Stdout: fmt.Appendf(nil, "%d\n", j.id)}, nil
}

func (s *sim) squeue() (host.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	us, row := "\x1f", "\x1e"
	text := row + strings.Join([]string{"JOBID", "NAME", "STATE", "REASON", "START_TIME", "SUBMIT_TIME", "NODES", "NODELIST", "USER", "COMMAND"}, us) + "\n"
	for _, j := range s.jobs {
		state, started := s.state(j)
		reason, nodes := "None", "gpu0"
		if state == "PENDING" {
			reason, nodes = "Priority", ""
		}
		text += row + strings.Join([]string{
			fmt.Sprint(j.id), j.name, state, reason, fmt.Sprint(started.Unix()), fmt.Sprint(j.submit.Unix()), "1", nodes, "me", j.script,
		}, us) + "\n"
	}
	return host.Result{Stdout: []byte(text)}, nil
}

func (s *sim) sacct() (host.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := "JobID|JobName|State|ExitCode|DerivedExitCode|Submit|Start|End|NodeList|Reason\n"
	for _, j := range s.jobs {
		state, started := s.state(j)
		exit := map[string]string{"OUT_OF_MEMORY": "0:125", "FAILED": "1:0"}[state]
		if exit == "" {
			exit = "0:0"
		}
		text += fmt.Sprintf("%d|%s|%s|%s|0:0|%d|%d|%d|gpu0|None\n", j.id, j.name, state, exit, j.submit.Unix(), started.Unix(), time.Now().Unix())
	}
	return host.Result{Stdout: []byte(text)}, nil
}

// Read gives the agents' records: a sign of life every five seconds, and the end
// record two seconds before the job's.
func (s *sim) Read(_ context.Context, _ int64, paths ...string) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]byte{}
	for _, j := range s.jobs {
		state, started := s.state(j)
		now := time.Now()
		if now.Before(started) || state == "CANCELLED" {
			continue
		}
		rec := rundir.AgentRecord{Schema: rundir.Schema, JobID: fmt.Sprint(j.id), RunAccount: rundir.RunAccount{Phase: rundir.PhaseBenchmark}, Started: started, Heartbeat: now.Truncate(5 * time.Second)}
		end := started.Add(s.run(j.id - 1)).Add(-2 * time.Second)
		if now.After(end) && s.end(j.id-1) == "COMPLETED" {
			rec.Phase = rundir.PhaseDone
			rec.Roles = []rundir.RoleRecord{{Name: "GEN_0", State: rundir.RoleEnded}, {Name: "BENCHMARK", State: rundir.RoleEnded}}
			rec.End = &rundir.AgentEnd{At: end, Outcome: rundir.OutcomePassed, Reason: "every role ended well"}
		}
		for _, p := range paths {
			if strings.HasPrefix(p, strings.TrimSuffix(j.script, "job.sh")) {
				out[p], _ = json.Marshal(rec)
			}
		}
	}
	return out, nil
}

func (s *sim) ReadAt(context.Context, int, map[string]int64) (map[string][]byte, error) {
	return nil, nil
}

func newSim() *sim {
	return &sim{
		Here: host.NewHere(nil), calls: map[string]int{}, hang: func() bool { return false },
		wait: func(int) time.Duration { return 10 * time.Minute }, run: func(int) time.Duration { return time.Hour },
		end: func(int) string { return "COMPLETED" }, word: func(int, time.Duration) string { return "" },
	}
}

func simOptions(t *testing.T, s *sim, dir rundir.Dir, cases int) Options {
	t.Helper()
	o := testOptionsIn(jobs.BackendSlurm, "/opt/ci-disagg", dir, t.Name())
	o.Poll = Polling{Agent: 5 * time.Second, Lease: time.Minute}
	o.Host, o.Slurm = s, slurm.New(s, slurm.Options{})
	o.Now = time.Now
	for i := range cases {
		addCase(&o, fmt.Sprint("c", i), "x", "x")
	}
	return o
}

// The politeness that the waiter promises, counted.
func TestCallsOfALargeSuite(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(n int) time.Duration { return time.Duration(n) * time.Minute }
		o := simOptions(t, s, dir, 50)
		begun := time.Now()
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		hours := time.Since(begun).Hours()
		for _, c := range run.Cases {
			require.Equal(t, rundir.OutcomePassed, c.Attempts[0].Outcome)
		}
		ours, naive := s.count("squeue", "sacct", "scontrol"), 0.0
		for n := range run.Cases { // one squeue and one sacct a minute for as long as the job lives
			naive += 2 * (s.wait(n) + s.run(n)).Minutes()
		}
		t.Logf("Slurm queries an hour, 50 jobs in %.1f simulated hours\n  one waiter for all:                        %5.0f  %v\n  one sacct and one squeue a job and minute: %5.0f",
			hours, float64(ours)/hours, s.all(), naive/hours)
		require.Less(t, float64(ours)/hours, 400.0)
		require.Equal(t, 50, s.count("sbatch"))
	})
}

func TestAStateIsToldWithinThirtySeconds(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(int) time.Duration { return 3 * time.Hour }
		o := simOptions(t, s, dir, 1)
		var at time.Time
		o.Progress = func(u Update) {
			if u.Kind == EndedNow {
				at = u.At
			}
		}
		cancelled := time.Now().Add(time.Hour + 7*time.Second)
		time.AfterFunc(time.Until(cancelled), func() { s.scancel([]string{"1"}) })
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.OutcomeCancelled, run.Cases[0].Attempts[0].Outcome)
		require.Less(t, at.Sub(cancelled), 35*time.Second) // and what follows once it is known
	})
}

func TestAHangingQueueIsNoAnswer(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(int) time.Duration { return time.Minute }
		begun := time.Now()
		s.hang = func() bool { d := time.Since(begun); return d > 2*time.Minute && d < 50*time.Minute }
		o := simOptions(t, s, dir, 1)
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.OutcomePassed, run.Cases[0].Attempts[0].Outcome)
	})
}

func TestOutOfMemoryAndWalltime(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.end = func(n int) string { return []string{"OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL", "COMPLETED"}[n] }
		o := simOptions(t, s, dir, 4)
		o.MaxJobs = 1
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		var got []rundir.Outcome
		for _, c := range run.Cases {
			got = append(got, c.Attempts[0].Outcome)
		}
		require.Equal(t, []rundir.Outcome{"test_failed", "timeout:benchmark", "infra", "passed"}, got)
		o1 := outcomeOf(t, dir, "c0", 0, 1)
		require.Equal(t, outcome.KindOOM, o1.Finding.Kind)
		require.Equal(t, "0:125", o1.ExitCode)
	})
}

// Nobody will ever say whether the job exists: that ends, too.
func TestASubmissionThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.unanswered = map[string]bool{"sbatch": true, "sacct": true}
		begun := time.Now()
		run, err := Run(context.Background(), simOptions(t, s, dir, 1))
		require.NoError(t, err)
		require.Less(t, time.Since(begun), notReadyFor+2*time.Minute)
		require.Equal(t, rundir.OutcomeInfra, run.Cases[0].Attempts[0].Outcome)
		require.Contains(t, outcomeOf(t, dir, "c0", 0, 1).Reason, "could not be found out for 10m0s")
		require.Equal(t, "submit-failed", outcomeOf(t, dir, "c0", 0, 1).Finding.Kind, "a retry may do better")
		require.Positive(t, s.count("scancel"), "it may exist all the same")
	})
}

// Every source says that there is no job, again and again: that ends as well.
func TestSubmissionsThatLeaveNoJob(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.unanswered = map[string]bool{"sbatch": true}
		begun := time.Now()
		run, err := Run(context.Background(), simOptions(t, s, dir, 1))
		require.NoError(t, err)
		require.Less(t, time.Since(begun), notReadyFor+2*time.Minute)
		require.Len(t, run.Cases[0].Attempts, 1)
		require.Equal(t, rundir.OutcomeInfra, run.Cases[0].Attempts[0].Outcome)
		require.Contains(t, outcomeOf(t, dir, "c0", 0, 1).Reason, "for 10m0s: it left no job")
	})
}

// Without a process there was no submission: no job is looked for, and no attempt is used up.
func TestASubmissionThatCouldNotBeStarted(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.crowded = 3
		o := simOptions(t, s, dir, 1)
		var seen updates
		o.Progress = seen.add
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, []rundir.Attempt{{Attempt: 1, Outcome: rundir.OutcomePassed, Why: "first", Due: rundir.DueFirst}}, run.Cases[0].Attempts)
		require.True(t, seen.has(Warning, "not submitted yet"))
		require.False(t, seen.has(Warning, "looking for it"))
	})
}

// A request to end the run that the driver has not come across yet is found before each submission.
func TestNothingIsSubmittedAfterACancel(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait, s.run = func(int) time.Duration { return 0 }, func(int) time.Duration { return time.Minute }
		o := simOptions(t, s, dir, 2)
		o.MaxJobs, o.Poll.Lease = 1, time.Hour // its own pace would be too slow
		o.Progress = func(u Update) {
			if u.Kind == EndedNow {
				require.NoError(t, rundir.WriteJSON(dir.CancelFile(), rundir.Cancel{At: u.At, Reason: "enough"}))
			}
		}
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, 1, s.count("sbatch"))
		require.Empty(t, run.Cases[1].Attempts)
	})
}

// apart is a login node whose files cannot be listed.
type apart struct {
	*sim
	list func() ([]host.FileInfo, error)
	n    atomic.Int32
}

func (*apart) Shared() bool { return false }

func (a *apart) List(context.Context, string, int) ([]host.FileInfo, error) {
	a.n.Add(1)
	return a.list()
}

// driverOf is a driver with one attempt under way, and what closing that takes.
func driverOf(t *testing.T, o Options) (*driver, action) {
	t.Helper()
	require.NoError(t, o.complete())
	d := newDriver(o, o.Run, o.Plans, nil)
	c := &d.state.cases[0]
	c.attempt = d.state.newAttempt(c, 0, 1, o.Now())
	c.stage, c.job = stageWatched, rundir.Job{Schema: rundir.Schema, Backend: o.Backend, Name: "n", ID: "7"}
	return d, action{of: c.key(0), dir: c.dir, there: c.there, job: c.job}
}

func TestAnInterruptionEndsTheTriesToBringHome(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		h := &apart{sim: newSim(), list: func() ([]host.FileInfo, error) { return nil, errors.New("away") }}
		o := simOptions(t, h.sim, dir, 1)
		o.Host, o.Binary.Dir = h, "/far"
		d, a := driverOf(t, o)
		done := make(chan error, 1)
		go func() { done <- d.bringHome(context.Background(), a) }()
		time.Sleep(2 * time.Second)
		d.stopping.Store(true)
		require.ErrorContains(t, <-done, "away")
		require.LessOrEqual(t, h.n.Load(), int32(3))
	})
}

func TestAnIncompleteCollectionIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		h := &apart{sim: newSim(), list: func() ([]host.FileInfo, error) { return nil, host.ErrPartial }}
		o := simOptions(t, h.sim, dir, 1)
		o.Host, o.Binary.Dir = h, "/far"
		d, a := driverOf(t, o)
		begun := time.Now()
		require.ErrorIs(t, d.bringHome(context.Background(), a), collect.ErrIncomplete)
		require.Zero(t, time.Since(begun))
	})
}

func TestTheNewestJobRecordStands(t *testing.T) {
	t.Parallel()
	f := &jobFile{path: t.TempDir() + "/job.json"}
	first, second := f.next(rundir.Job{Schema: rundir.Schema, ID: "1"}), f.next(rundir.Job{Schema: rundir.Schema, ID: "2"})
	require.NoError(t, second())
	require.NoError(t, first())
	var got rundir.Job
	require.NoError(t, rundir.ReadJSON(f.path, &got))
	require.Equal(t, "2", got.ID)
}

func TestQueueBudgetOnAFakeClock(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(int) time.Duration { return 30 * time.Hour }
		o := simOptions(t, s, dir, 1)
		o.Plans[0].Budgets.Queue = rundir.Duration(6 * time.Hour)
		begun := time.Now()
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.TimeoutOf(rundir.PhaseQueue), run.Cases[0].Attempts[0].Outcome)
		require.InDelta(t, 6*time.Hour, time.Since(begun), float64(time.Minute))
		require.False(t, s.cancelled().IsZero())
	})
}
