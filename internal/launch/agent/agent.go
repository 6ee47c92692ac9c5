package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/runorder"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/scan"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Options is everything the agent needs beside the attempt directory.
type Options struct {
	Dir     rundir.AttemptDir // absolute
	Backend string            // rundir.BackendSlurm or rundir.BackendLocal; "" = as planned
	Version string            // of this ci-disagg
	Env     []string          // of the agent; the steps start from it
	Host    string
	PID     int
	Now     func() time.Time
	Stdout  io.Writer
	Classes []blame.Rule // built-in failure classes; the plan's stand before them
	// GuardArgv is the command line of a process that calls step.ServeGuard, for the local backend; nil = no guard.
	GuardArgv func(token string) []string
	Alone     bool // with that: this process does nothing else, so what is left behind to it is a role's
	// HelperArgv is the command line of a process that calls node.Watch for a node of a
	// run; nil = nobody looks at the nodes.
	HelperArgv func(run, node int, name string) []string
	// Signals are the signals that end the attempt early.
	Signals <-chan os.Signal

	// Heartbeat is the longest time between two writes of the record; 0 = 5 s.
	Heartbeat time.Duration
	// BrokenAfter is how long the record may go unwritten before that counts: a file server may be away for a moment. A
	// full or read-only disk counts at once. 0 = 30 s.
	BrokenAfter time.Duration
	// Ask is how long Slurm has for one question, and for all that is to be known of the job; 0 = 10 s, and 15 s.
	Ask time.Duration
	// Answer is how long a server has that is asked whether it still answers; 0 = 5 s.
	Answer time.Duration
	// StatusEvery is the time between two status lines; 0 = 1 min.
	StatusEvery time.Duration
}

// ErrRefused is returned when Slurm has restarted the job: a measurement is
// never continued, and a restarted one would overwrite its evidence.
var ErrRefused = errors.New("the job was restarted by Slurm; refusing to run it again")

// Run supervises one attempt. It returns nil when it could do its work to the
// end, whatever became of the roles: that stands in the record. An error means
// that the record is missing or cannot be trusted.
func Run(ctx context.Context, o Options) error {
	a, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = a.files.Close() }()
	defer a.console.close()
	if a.restart > 0 {
		return a.refuse()
	}
	return a.runAll(ctx)
}

// agent is the job: what its runs, one after the other, have in common.
type agent struct {
	o       Options
	dir     rundir.AttemptDir
	files   *rundir.Tree
	plan    rundir.Plan
	jobID   string
	token   string // for the test's own files
	mark    string // of our processes on this machine
	restart int
	started time.Time
	nodes   []string
	guard   *step.Guard
	reading
	console *console
	driver  *watch.Driver

	installed  map[string]bool // builds whose install step, if they have one, has come to a good end
	stepsSoFar int
	ends       []rundir.RunEnd // of the runs so far
	end        *rundir.AgentEnd
	written    rundir.AgentRecord // the record as it was written last
}

// reading is how what the roles say is read.
type reading struct {
	classes blame.Classes
	look    *scan.Patterns
	secrets *mask.Masker // of what is kept
}

func prepare(ctx context.Context, o Options) (*agent, error) {
	files, err := o.Dir.Tree()
	if err != nil {
		return nil, err
	}
	a := &agent{o: o, dir: o.Dir, files: files, started: o.Now(), installed: map[string]bool{}}
	if err := files.ReadJSON(o.Dir.PlanFile(), &a.plan); err != nil {
		return nil, err
	}
	if len(a.plan.Roles()) == 0 || len(a.plan.Runs) == 0 {
		return nil, fmt.Errorf("%s: the plan has no roles", o.Dir.PlanFile())
	}
	if a.classes, err = blame.Compile(append(planRules(a.plan), o.Classes...)); err != nil {
		return nil, err
	}
	a.look = scan.NewPatterns(a.classes)
	a.driver = &watch.Driver{File: o.Dir.Dir().LeaseFile()}
	a.identify()
	a.secrets = jobs.Mask(a.o.Env, a.plan)
	files.Mask = a.secrets.Bytes
	a.console = newConsole(a.secrets.Each(o.Stdout), o.Now)
	if err := a.checkBackend(ctx); err != nil {
		a.console.close()
		return nil, err
	}
	return a, nil
}

// runAll does the plan's runs one after the other. A run that fails ends the job only
// where nothing can run after it.
func (a *agent) runAll(ctx context.Context) error {
	defer a.guard.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go a.driver.Watch(ctx, a.o.Now)
	todo := runorder.New(a.plan, a.started)
	for {
		ref, ok := todo.Next(a.o.Now())
		if !ok {
			return a.closeSession(todo)
		}
		v, err := a.newSupervisor(ref)
		if err == nil {
			err = v.supervise(ctx)
		}
		if err != nil {
			return a.cannot(err)
		}
		last := todo.Last() || v.st.endsJob()
		if err := v.finish(last); err != nil || last {
			return err
		}
		todo.Ended(a.ends[len(a.ends)-1])
		if sig := a.consult(todo); sig != nil {
			return v.signalledBetween(ctx, sig)
		}
	}
}

func planRules(p rundir.Plan) []blame.Rule {
	rules := make([]blame.Rule, 0, len(p.Classes))
	for _, c := range p.Classes {
		rules = append(rules, blame.Rule{Name: c.Name, Class: blame.Class(c.Class), Kind: c.Kind, Pattern: c.Pattern, Why: c.Why, Node: c.Node, Weak: c.Weak})
	}
	return rules
}

func (a *agent) say(format string, args ...any) { a.console.say(format, args...) }

// cannot ends an attempt of which a run, most often the first, could not begin: the record
// says why, if it can be written at all, and what the runs before it came to.
func (a *agent) cannot(err error) error {
	a.say("%v", err)
	now := a.o.Now()
	rec := a.header(now)
	if len(a.ends) > 0 {
		rec = a.written
	}
	rec.Heartbeat, rec.Phase, rec.Runs = now, rundir.PhaseDone, a.ends
	rec.End = &rundir.AgentEnd{At: now, Outcome: rundir.OutcomeInfra, Reason: err.Error(), Finding: &rundir.Finding{
		Class: string(blame.Infra), Kind: "agent", Rule: "agent-cannot-run", Message: err.Error(),
	}}
	if planted(err) {
		rec.End.Finding, rec.End.Outcome = blame.Planted(rec.End.Outcome, err.Error()), rundir.OutcomeTestFailed
	}
	return errors.Join(err, a.files.WriteJSON(a.dir.AgentFile(), rec))
}

// refuse ends a restarted job. What the first start wrote stays.
func (a *agent) refuse() error {
	var rec rundir.AgentRecord
	if err := a.files.ReadJSON(a.dir.AgentFile(), &rec); err != nil {
		rec = a.header(a.started)
	}
	now := a.o.Now()
	rec.Restart = a.restart
	rec.Heartbeat = now
	rec.Timeline = append(rec.Timeline, rundir.Event{At: now, What: fmt.Sprintf("refused: restart %d of the job", a.restart)})
	// What looked like a cancellation to the first start was the requeue.
	if rec.End == nil || rec.End.Outcome == rundir.OutcomeCancelled {
		rec.End = &rundir.AgentEnd{At: now, Outcome: rundir.OutcomeInfra, Reason: ErrRefused.Error(), Finding: &rundir.Finding{
			Class: string(blame.Infra), Kind: "restarted", Rule: "job-restarted", Message: fmt.Sprintf("Slurm restarted the job (restart %d)", a.restart),
		}}
	}
	a.say("%v (restart %d)", ErrRefused, a.restart)
	return errors.Join(ErrRefused, a.files.WriteJSON(a.dir.AgentFile(), rec))
}
