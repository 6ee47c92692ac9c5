package drive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// driver is one drive. All fields but the registry belong to the goroutine that
// runs loop; everything that may block runs elsewhere and comes back as an event.
type driver struct {
	o     Options
	run   rundir.Run
	cases []*theCase
	lease *lease.Lease
	back  jobs.Backend

	events  chan func(context.Context) // what other goroutines have found out, to be done by the owner
	workers sync.WaitGroup
	decide  sync.Mutex // Decide is called one at a time

	queue    queueView
	badNodes map[string]string // node → why; kept from further jobs
	known    []slurm.NodeRow   // nodes of the cluster, nil = not asked yet
	retries  int               // in this run
	agent    string            // path of the binary there, "" = not installed yet
	turn     chan struct{}     // closed when the submission before the next one has ended
	install  sync.Mutex        // one worker copies the binary, the others wait for it
	failed   bool              // --fail-fast has fired
	stopping atomic.Bool       // interrupted; workers look at it too
	fatal    error             // ends the drive
	pending  []func(context.Context)

	stopReason string
	shown      time.Time // when the lease was last shown behind the login node; used by its keeper only
	unwritten  time.Time // since when run.json could not be written
	rewrite    time.Time // when to try again
	leaseBusy  atomic.Bool
	agentBusy  bool
	status     time.Time
	registry   registry
	console    *console
}

// theCase is one case under way.
type theCase struct {
	index int // into run.Cases
	plan  rundir.Plan
	next  *next    // an attempt that is due, nil while one runs or all is done
	cur   *attempt // the attempt under way
}

// next is an attempt that is to be submitted.
type next struct {
	rep, number int
	why         string
	after       time.Time
	tries       int // submissions that found Slurm not ready
	since       time.Time
	exclude     []string // nodes to avoid, for a repetition elsewhere
	told        string   // what it waits for, as last told
	// name is the unique name of an earlier submission of this attempt that may
	// still turn up: a second job under it is then seen and ended.
	name string
}

// attempt is one job.
type attempt struct {
	rep, number int
	dir         rundir.AttemptDir // here
	there       rundir.AttemptDir // as the job sees it
	job         rundir.Job
	record      *jobFile
	facts       outcome.Facts
	last        outcome.Resolution
	text        string // last queue text told
	roles       map[string]string
	raw         []byte // agent.json as last read
	due         next   // what it was submitted for
	submitting  bool
	searching   bool      // its submission left no id: being looked for
	searchSince time.Time // since when without an answer
	fresh       bool      // just submitted, and not yet held against the cluster's limits
	ending      bool      // resolved: being collected and decided
	asked       bool      // a scontrol or sacct for it is under way
	askedAt     time.Time
	cancelled   bool // scancel has been sent
	cancelAt    time.Time
}

func newDriver(o Options, run rundir.Run, plans []rundir.Plan, l *lease.Lease) *driver {
	d := &driver{
		o: o, run: run, lease: l, events: make(chan func(context.Context)), badNodes: map[string]string{},
		console: newConsole(o.Console, len(plans) > 1),
	}
	if o.Backend == jobs.BackendLocal {
		d.back = jobs.Local{Env: o.Environ}
	} else {
		d.back = jobs.Slurm{Client: o.Slurm}
	}
	d.registry.jobs = map[string]rundir.Job{}
	for i, c := range run.Cases {
		j := slices.IndexFunc(plans, func(p rundir.Plan) bool { return p.Case.Slug == c.Slug })
		if j >= 0 {
			d.cases = append(d.cases, &theCase{index: i, plan: plans[j]})
		}
	}
	return d
}

// drive runs until every case is through, or ctx ends.
func (d *driver) drive(ctx context.Context) error {
	// Commands outlive the interruption: what they say is still wanted.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer d.workers.Wait()
	defer cancel()
	d.background(func() {
		d.lease.Keep(work, d.o.Poll.Lease, func() {
			d.showLease(work)
			if c, ok := d.cancelRequested(); ok {
				d.send(work, func(work context.Context) { d.cancelAll(work, c.Reason) })
			}
		}, func(err error) { d.send(work, func(context.Context) { d.fatal = err }) })
	})
	if err := d.pickUp(); err != nil {
		return err
	}
	stopAbort := d.armAbort(ctx, work)
	defer stopAbort()
	err := d.loop(ctx, work)
	d.tellCalls()
	return err
}

// background runs f beside the owner.
func (d *driver) background(f func()) {
	d.workers.Add(1)
	go func() {
		defer d.workers.Done()
		f()
	}()
}

// send hands f to the owner, unless the drive is over.
func (d *driver) send(work context.Context, f func(context.Context)) {
	select {
	case d.events <- f:
	case <-work.Done():
	}
}

// loop is the owner.
func (d *driver) loop(ctx, work context.Context) error {
	tick := time.NewTicker(d.o.Poll.Agent)
	defer tick.Stop()
	ended := ctx.Done()
	var deadline <-chan time.Time
	d.step(work)
	for !d.finished() {
		select {
		case f := <-d.events:
			f(work)
		case <-tick.C:
			d.readAgents(work)
			d.lookAtProcesses(work)
			d.statusLine()
		case <-ended:
			ended = nil
			d.interrupt(work, ctx)
			t := time.NewTimer(d.o.AbortWait)
			defer t.Stop()
			deadline = t.C
		case <-deadline:
			return context.Cause(ctx)
		}
		if d.fatal != nil {
			return d.giveUp()
		}
		d.step(work)
	}
	if d.stopping.Load() {
		return context.Cause(ctx)
	}
	if d.o.Detach && d.leaves() {
		return nil
	}
	now := d.o.Now()
	d.run.Ended = &now
	return d.writeRun()
}

// giveUp ends a drive that cannot go on. Jobs that nobody can write down any more
// must not hold nodes; those of a run that another driver has taken over must be
// left alone, and so must those that the caller only wants to leave.
func (d *driver) giveUp() error {
	if errors.Is(d.fatal, lease.ErrLost) || errors.Is(d.fatal, context.Canceled) || errors.Is(d.fatal, context.DeadlineExceeded) {
		return d.fatal
	}
	ctx, cancel := context.WithTimeout(context.Background(), abortBound)
	defer cancel()
	return errors.Join(d.fatal, d.back.Cancel(ctx, d.registry.closeAll()))
}

// step does everything that is due.
func (d *driver) step(work context.Context) {
	for _, c := range d.cases {
		if c.cur != nil {
			d.look(work, c)
		}
	}
	if !d.stopping.Load() {
		d.fill(work)
	}
	d.pollQueue(work)
	if !d.unwritten.IsZero() && d.o.Now().After(d.rewrite) {
		_ = d.writeRun() // it says itself what goes wrong
	}
	for len(d.pending) > 0 {
		todo := d.pending
		d.pending = nil
		for _, f := range todo {
			f(work)
		}
	}
}

// leaves says that a detached run leaves something to resume, and tells which
// cases were not even submitted.
func (d *driver) leaves() bool {
	waiting := 0
	for _, c := range d.cases {
		if c.next != nil && !d.failed {
			waiting++
		}
	}
	if waiting > 0 {
		d.tell(Warning, nil, "%d cases are not submitted yet: resume goes on with them", waiting)
	}
	return waiting > 0 || d.live() > 0
}

// live counts attempts under way.
func (d *driver) live() int {
	n := 0
	for _, c := range d.cases {
		if c.cur != nil {
			n++
		}
	}
	return n
}

func (d *driver) finished() bool {
	for _, c := range d.cases {
		if c.cur != nil {
			a := c.cur
			if d.o.Detach && !d.stopping.Load() && a.job.ID != "" && !a.ending && !a.cancelled && (!a.fresh || d.blind()) {
				continue // submitted: that is all a detached run waits for
			}
			return false
		}
		if c.next == nil || d.stopping.Load() || d.failed {
			continue
		}
		// A detached run leaves what a limit holds back, once it knows that one does, or that nobody will say.
		if why, blind := d.room(c); !d.o.Detach || why == "" || blind && !d.blind() {
			return false
		}
	}
	return true
}

// state is the case's record in run.json.
func (d *driver) state(c *theCase) *rundir.CaseState { return &d.run.Cases[c.index] }

// writeRun writes run.json. A file server may be away for a moment: a failure is
// made good by the next success, and ends the drive only when it lasts.
func (d *driver) writeRun() error {
	err := rundir.WriteJSON(d.o.Dir.RunFile(), d.run)
	now := d.o.Now()
	switch {
	case err == nil:
		d.unwritten = time.Time{}
		return nil
	case d.unwritten.IsZero():
		d.unwritten = now
		d.tell(Warning, nil, "the run's record cannot be written, trying on: %v", err)
	case now.Sub(d.unwritten) > patience(err):
		d.fatal = fmt.Errorf("the run's record cannot be written: %w", err)
	}
	d.rewrite = now.Add(writeAgain)
	return err
}

const (
	writeFor   = 2 * time.Minute
	fullFor    = 10 * time.Second
	writeAgain = 5 * time.Second
)

// patience is how long a failure to write is borne: a file server may come back,
// a full or read-only disk seldom does while a job holds its nodes.
func patience(err error) time.Duration {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) {
		return fullFor
	}
	return writeFor
}

// tell reports one change.
func (d *driver) tell(kind UpdateKind, c *theCase, format string, args ...any) {
	u := Update{At: d.o.Now(), Kind: kind, Text: fmt.Sprintf(format, args...)}
	if c != nil {
		u.Case, u.Slug = c.plan.Case.ID, c.plan.Case.Slug
		if a := c.cur; a != nil {
			u.Rep, u.Attempt, u.JobID, u.Phase = a.rep, a.number, a.job.ID, a.last.Phase
		}
	}
	d.o.Progress(u)
	d.o.Log.Debug("update", "kind", string(kind), "case", u.Slug, "text", u.Text)
}

func (d *driver) newAttempt(c *theCase, rep, number int) *attempt {
	a := &attempt{rep: rep, number: number, dir: d.o.Dir.CaseDir(c.plan.Case.Slug).Attempt(rep, number), roles: map[string]string{}}
	a.there, a.record = a.dir, &jobFile{path: a.dir.JobFile()}
	if !d.o.Host.Shared() {
		a.there = d.thereDir(c.plan.Case.Slug, rep, number)
	}
	a.facts = outcome.Facts{Since: d.o.Now(), Draft: c.plan.Draft, Budget: c.plan.Budgets, Bounds: d.o.Bounds}
	for _, r := range c.plan.Roles {
		a.facts.Roles = append(a.facts.Roles, r.Name)
	}
	if d.o.Backend == jobs.BackendLocal {
		a.facts.Local = &outcome.Process{Alive: true}
	}
	return a
}

// thereDir is an attempt directory behind the login node.
func (d *driver) thereDir(slug string, rep, number int) rundir.AttemptDir {
	return d.thereRun().CaseDir(slug).Attempt(rep, number)
}

func (d *driver) thereRun() rundir.Dir { return jobs.FarRun(d.o.Binary.Dir, d.run) }

// slurmJob is the attempt's job as the client knows it.
func (a *attempt) slurmJob() slurm.Job { return slurm.Job{ID: a.job.ID, Cluster: a.job.Routed} }
