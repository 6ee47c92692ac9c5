package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
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
	// refused is how many submissions find nobody who answers, and make no job.
	refused int
	// unsigned is how many submissions find munge away.
	unsigned int
	// away says that no file can be read.
	away func() bool
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
	if s.unanswered[c.Argv[0]] || c.Argv[0] == "sbatch" && s.count("sbatch") <= s.refused {
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
	if s.away() {
		return nil, host.ErrUnreachable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]byte{}
	for _, j := range s.jobs {
		state, started := s.state(j)
		now := time.Now()
		if now.Before(started) || state == "CANCELLED" || s.run(j.id-1) < 2*time.Second { // its node died before its agent could write
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
		Here: host.NewHere(nil), calls: map[string]int{}, hang: func() bool { return false }, away: func() bool { return false },
		wait: func(int) time.Duration { return 10 * time.Minute }, run: func(int) time.Duration { return time.Hour },
		end: func(int) string { return "COMPLETED" }, word: func(int, time.Duration) string { return "" },
	}
}

func simOptions(t *testing.T, s *sim, dir rundir.Dir, cases int) Options {
	t.Helper()
	o := testOptionsIn(rundir.BackendSlurm, "/opt/ci-disagg", dir, t.Name())
	o.Poll = Polling{Agent: 5 * time.Second, Lease: time.Minute}
	o.Host, o.Slurm = s, slurm.New(s, slurm.Options{})
	o.Processes = func(string) []int { return nil } // a look waits, on the fake clock too, where one is just being started
	o.Now = time.Now
	for i := range cases {
		addCase(&o, fmt.Sprint("c", i), "x", "x")
	}
	return o
}
