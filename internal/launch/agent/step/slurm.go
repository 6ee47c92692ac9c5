package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/scan"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	slurmCall = 10 * time.Second // bound of one Slurm command where no other is set
	// srunError is the code with which srun ends when Slurm itself is the
	// trouble (SLURM_EXIT_ERROR), to tell it from a program's exit 1.
	srunError = 213
	// oomExit is what srun ends with when a task ran out of memory (srun(1)).
	oomExit = 253
	// stuckSrun is how long an srun may outlive its tasks' SIGKILL.
	stuckSrun = 15 * time.Second
	// early is what Slurm's clock may add to how long before its time limit a job is
	// told of it by --signal, which is 120 s where the plan does not say more.
	early = 120 * time.Second
)

// Slurm starts roles as srun steps of the job that the agent runs in.
type Slurm struct {
	Call time.Duration // bound of one Slurm command; 0 = 10 s

	plan  rundir.Plan
	at    script.RunPlace
	env   []string
	jobID string
	now   func() time.Time
	hosts []string

	mu     sync.Mutex        // never held while Slurm is asked: the loop takes it, too
	ids    map[string]string // step name → job.step
	over   map[string]bool   // ids of steps that take no signal
	asked  time.Time         // when the ids were last asked for
	asking bool              // and there is no answer yet
	outs   []*Output

	stuckAfter time.Duration // stuckSrun, but in tests
}

// NewSlurm starts the steps of one run in the job jobID.
func NewSlurm(plan rundir.Plan, at script.RunPlace, env []string, jobID string, now func() time.Time) *Slurm {
	return &Slurm{plan: plan, at: at, env: env, jobID: jobID, now: now, ids: map[string]string{}, over: map[string]bool{}, stuckAfter: stuckSrun}
}

func (s *Slurm) call() time.Duration { return cmp.Or(s.Call, slurmCall) }

// Asks implements Starter.
func (s *Slurm) Asks() bool { return true }

// run runs one of Slurm's commands. Jenkins' cookies have no business here. -a is
// for hidden partitions, which hide jobs and steps from their own user, too.
func (s *Slurm) run(ctx context.Context, argv ...string) (string, error) {
	env := append(proc.WithoutJenkins(s.env), "SLURM_TIME_FORMAT=%s", "TZ=UTC0", "LC_ALL=C")
	res, err := proc.Run(ctx, proc.Command{Argv: argv, Env: env, Timeout: s.call(), Grace: time.Second, MaxStdout: 1 << 20})
	return string(res.Stdout), err
}

// Nodes implements Starter.
func (s *Slurm) Nodes(ctx context.Context) ([]string, error) {
	list := proc.Getenv(s.env, "SLURM_JOB_NODELIST")
	if list == "" {
		return nil, errors.New("SLURM_JOB_NODELIST is not set")
	}
	out, err := s.run(ctx, "scontrol", "show", "hostnames", list)
	if err != nil {
		return nil, err
	}
	s.hosts = strings.Fields(out)
	return s.hosts, nil
}

// Job asks slurmctld what it thinks of the job, and when it only says that the
// job is on its way out, slurmdbd for the state behind that.
func (s *Slurm) Job(ctx context.Context) blame.Job {
	out, err := s.run(ctx, "scontrol", "-a", "-o", "show", "job", s.jobID)
	if err != nil {
		return blame.Job{} // a failed query says nothing
	}
	jobs, err := slurm.ParseControl(out)
	if err != nil || len(jobs) != 1 {
		return blame.Job{}
	}
	j := blame.Job{State: string(jobs[0].State), Reason: jobs[0].Reason, At: s.now()}
	// Of a job that is on its way out, End is when that began and no limit any more.
	j.TimeUp = jobs[0].State.Class() == slurm.Active && !jobs[0].End.IsZero() && !j.At.Before(jobs[0].End.Add(-early-max(s.plan.Warned.D(), 120*time.Second)))
	if jobs[0].State.Class() == slurm.Leaving {
		if state, by := s.accounted(ctx); state != "" {
			j.State, j.CancelledBy = state, by
		}
	}
	if !jobs[0].Preempt.IsZero() { // it is called running until its grace time is over, but its roles have had SIGTERM
		j.State = string(slurm.Preempted)
	}
	j.FailedNodes = s.downNodes(ctx)
	s.fromLogs(&j)
	return j
}

// fromLogs reads why Slurm ended the job from what slurmstepd wrote into the
// roles' output, where the state itself does not say: without accounting, a job
// that is being ended is just COMPLETING.
func (s *Slurm) fromLogs(j *blame.Job) {
	if slurm.State(j.State).Class() == slurm.Terminal {
		return
	}
	s.mu.Lock()
	outs := s.outs
	s.mu.Unlock()
	for _, l := range outs {
		switch l.State().Due {
		case "PREEMPTION":
			j.State = string(slurm.Preempted)
		case "TIME LIMIT":
			j.State = string(slurm.Timeout)
		case "NODE FAILURE":
			j.State = string(slurm.NodeFail)
		}
	}
}

func (s *Slurm) accounted(ctx context.Context) (state, by string) {
	out, err := s.run(ctx, "sacct", "-X", "-n", "-P", "-j", s.jobID, "-o", "State")
	if err != nil {
		return "", ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	st, by := slurm.ParseState(line)
	if st.Class() != slurm.Terminal {
		return "", ""
	}
	return string(st), by
}

// downNodes are the job's nodes that Slurm does not trust any more.
func (s *Slurm) downNodes(ctx context.Context) []string {
	if len(s.hosts) == 0 {
		return nil
	}
	out, err := s.run(ctx, slurm.TroubleQuery(s.hosts)...)
	if err != nil {
		return nil
	}
	return slurm.LostNodes(slurm.ParseTroubles(out))
}

// Start implements Starter.
func (s *Slurm) Start(ctx context.Context, spec Spec, out *Output, bad func(rundir.TaskEnd)) (Step, error) {
	out.scan.BadTask = bad
	s.mu.Lock()
	s.outs = append(s.outs, out)
	s.mu.Unlock()
	argv := []string{"srun"}
	if spec.Install {
		argv = append(argv, script.InstallArgs(s.plan, s.at, s.hosts)...)
	} else {
		argv = append(argv, script.StepArgs(s.plan, s.at, spec.Role, s.hosts)...)
	}
	env := append(proc.WithoutJenkins(s.env), fmt.Sprintf("SLURM_EXIT_ERROR=%d", srunError))
	// The step ends by its own rules and not by the context. An srun that gets
	// SIGTERM forwards nothing: it gives its tasks up for killing
	// (docs/facts/slurm.md#cancelling-a-step). So it is in a
	// group of its own and is only signalled when it is stuck.
	p, err := proc.Start(context.WithoutCancel(ctx), proc.Command{Argv: argv, Env: env, Stdout: out, Stderr: out, KillLeft: true, WaitDelay: flushTime})
	if err != nil {
		return nil, err
	}
	return &slurmStep{s: s, name: spec.Role.Name, tasks: spec.Tasks, p: p, out: out}, nil
}

// Helper implements Starter.
func (s *Slurm) Helper(ctx context.Context, h Helper) (*proc.Process, error) {
	argv := append(append([]string{"srun"}, script.HelperArgs(s.plan, h.Node)...), h.Argv...)
	return proc.Start(context.WithoutCancel(ctx), proc.Command{
		Argv: argv, Env: proc.WithoutJenkins(s.env), Stdin: h.Stdin, Stdout: h.Tell, Stderr: io.Discard, KillLeft: true,
	})
}

// stepID finds the id of a step by its name. All steps are asked for at once,
// and at most once a second. It is "" also while somebody else is asking.
func (s *Slurm) stepID(ctx context.Context, name string) string {
	if s.mayAsk(name) {
		out, err := s.run(ctx, "squeue", "-a", "-h", "-s", "-j", s.jobID, "-o", "%i|%j")
		s.answered(out, err)
	}
	return s.known(name)
}

func (s *Slurm) mayAsk(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.ids[name] != "" || s.asking || now.Sub(s.asked) < time.Second {
		return false
	}
	s.asked, s.asking = now, true
	return true
}

// answered keeps the ids of squeue's answer. A failed query says nothing.
func (s *Slurm) answered(out string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = false
	if err != nil {
		return
	}
	ours := regexp.MustCompile(`^` + regexp.QuoteMeta(s.jobID) + `\.\d+$`)
	for line := range strings.SplitSeq(out, "\n") {
		id, step, ok := strings.Cut(strings.TrimSpace(line), "|")
		if ok && ours.MatchString(id) && !s.over[id] {
			s.ids[step] = id
		}
	}
}

// another is the id of a step by its name where slurmctld takes no signal for the one that was known: it may have been
// that of the run before, which squeue still listed. "" = there is no other.
func (s *Slurm) another(ctx context.Context, name, over string) string {
	s.mu.Lock()
	s.over[over] = true
	delete(s.ids, name)
	s.asked = time.Time{}
	s.mu.Unlock()
	id := s.stepID(ctx, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[name] == "" { // it is the one, as far as anybody knows
		delete(s.over, over)
		s.ids[name] = over
	}
	return id
}

// known is the id as far as it is known, without asking.
func (s *Slurm) known(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[name]
}

type slurmStep struct {
	s     *Slurm
	name  string
	tasks int
	p     *proc.Process
	out   *Output
	stuck atomic.Bool
	late  bool // the end was told before the output was there
}

func (t *slurmStep) ID() string { return t.s.known(t.name) }

// Signal reaches every process of the step through slurmstepd. Signalling srun
// instead may leave tasks behind. Only a step that Slurm does not know (srun is
// still waiting for its creation) and one whose srun is stuck after SIGKILL are
// ended by ending srun.
func (t *slurmStep) Signal(ctx context.Context, sig syscall.Signal) error {
	if t.out.State().Waiting { // no step yet, and there must not be one
		return ignoreDone(t.p.Signal(sig))
	}
	id := t.idNow(ctx)
	if id == "" {
		return ignoreDone(t.p.Signal(sig))
	}
	for {
		_, err := t.s.run(ctx, "scancel", "-s", strings.TrimPrefix(rundir.SignalName(int(sig)), "SIG"), id)
		heard := err == nil || answered(err)
		if heard && sig == syscall.SIGKILL {
			go t.unstick()
		}
		if err == nil {
			return nil
		}
		select { // most likely the step has just ended: the caller's next look will tell
		case <-t.p.Exited():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
		if heard {
			if id = t.s.another(ctx, t.name, id); id != "" {
				continue
			}
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrNotSent, err)
		}
	}
}

// idNow is the step's id, "" where Slurm does not tell it soon or the step has ended.
func (t *slurmStep) idNow(ctx context.Context) string {
	for range 4 {
		if id := t.s.stepID(ctx, t.name); id != "" {
			return id
		}
		select {
		case <-t.p.Exited():
			return ""
		case <-time.After(400 * time.Millisecond):
		}
	}
	return ""
}

// ErrNotSent is returned where nobody has taken a signal: slurmctld does not answer.
var ErrNotSent = errors.New("Slurm takes no signal for the step")

// answered reports whether a command of Slurm's failed by slurmctld's own word.
func answered(err error) bool {
	var exit *proc.ExitError
	if !errors.As(err, &exit) || exit.Signal != 0 {
		return false
	}
	call := slurm.CallError{Text: exit.Stderr}
	return !call.Unanswered() && !call.Standby() && !call.Unauthenticated()
}

func (t *slurmStep) Flush() (End, bool) {
	<-t.p.Done()
	return t.told(), t.late
}

func ignoreDone(err error) error {
	if err == nil || errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return fmt.Errorf("srun: %w", err)
}

// unstick ends an srun that does not notice the end of its tasks.
func (t *slurmStep) unstick() {
	timer := time.NewTimer(t.s.stuckAfter)
	defer timer.Stop()
	select {
	case <-t.p.Exited():
	case <-timer.C:
		t.stuck.Store(true)
		_ = t.p.Signal(syscall.SIGKILL) // it may have gone this instant
	}
}

func (t *slurmStep) Wait() End {
	go t.findID()
	t.p.Ended()
	soon := time.NewTimer(flushSoon)
	defer soon.Stop()
	select {
	case <-t.p.Done():
	case <-soon.C:
		t.late = true
	}
	return t.told()
}

// told is how the step has ended, as far as its output tells by now.
func (t *slurmStep) told() End {
	res := t.p.Ended()
	end := End{Exit: res.Exit, Signal: res.Signal}
	st := t.out.State()
	if end = refine(end, st); t.tasks == 1 {
		end.First = nil // there is only one
	}
	if t.stuck.Load() {
		// srun tells of each task that ends. Where it has, something else holds its output.
		if end.Stuck = st.FirstTask == nil; !end.Stuck {
			end.Left = "processes that it had left behind held its output"
		}
	}
	return end
}

// findID learns the step's id while it runs, for the record and for a quick
// teardown later.
func (t *slurmStep) findID() {
	for _, after := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 20 * time.Second, time.Minute} {
		select {
		case <-t.p.Exited():
			return
		case <-time.After(after):
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*t.s.call())
		id := t.s.stepID(ctx, t.name)
		cancel()
		if id != "" {
			return
		}
	}
}

// refine reads srun's exit code together with what srun said: the code is the
// highest of all tasks, the messages say which task ended first.
func refine(end End, st scan.State) End {
	if first := st.FirstTask; first != nil && end.Exit != 0 {
		end.First = first
		end.Exit, end.Signal = first.Exit, first.Signal
	} else if end.Signal == 0 && end.Exit > 128 && end.Exit < 128+65 {
		end.Signal = end.Exit - 128
	}
	end.Forced = end.First == nil && st.Forced(end.Signal)
	end.Lost = st.LostNode
	switch {
	case end.Exit == oomExit || st.OOM:
		end.OOM = true
	case st.FirstTask == nil && (end.Exit == srunError || end.Exit != 0 && st.Launcher != ""):
		end.Err = cmp.Or(st.Launcher, st.Complaint, fmt.Sprintf("srun ended with %d: Slurm could not run the step", srunError))
	}
	return end
}
