package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/follow"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// driver is one drive. Its state belongs to the goroutine that runs loop, and only next changes it; what next asks for
// is done here, and what may block is done by workers, whose findings come back as events.
type driver struct {
	o        Options
	state    state
	lease    *lease.Lease
	back     jobs.Backend
	submits  *submit.Submitter
	registry *registry
	reader   *follow.Reader

	events   chan event
	workers  sync.WaitGroup
	deciding sync.Mutex // Decide is called one at a time
	stopping atomic.Bool
	records  map[rundir.AttemptDir]*jobFile
	deadline *time.Timer
	shown    *runs.Shown
	result   error // of writing the last record, or of abandoning the jobs
}

func newDriver(o Options, run rundir.Run, plans []rundir.Plan, l *lease.Lease) *driver {
	d := &driver{
		o: o, lease: l, events: make(chan event), registry: newRegistry(), reader: follow.New(o.Access, o.Listeners, len(plans) > 1),
		records: map[rundir.AttemptDir]*jobFile{},
	}
	if o.Backend == rundir.BackendLocal {
		d.back = jobs.Local{Env: o.Environ, Passed: o.Passed}
	} else {
		d.back = jobs.Slurm{Client: o.Slurm}
	}
	d.state = newState(o, run, plans)
	if o.Backend != rundir.BackendLocal {
		d.shown = runs.ShowLease(o.Access, o.Dir, d.state.far)
	}
	d.submits = submit.New(submit.Settings{
		Access: o.Access, Run: run, Far: d.state.far, Backend: o.Backend, Partition: o.Cluster.Partition, Binary: o.Binary, Render: o.Render,
		Wanted: d.wanted, Allow: d.allow,
	}, d.back)
	return d
}

// newState is where a drive begins, before anything has been looked at.
func newState(o Options, run rundir.Run, plans []rundir.Plan) state {
	s := state{run: run, settings: settings{
		backend: o.Backend, tag: jobs.OwnerTag(run), cluster: o.Cluster, maxJobs: o.MaxJobs, failFast: o.FailFast, detach: o.Detach,
		poll: o.Poll, bounds: o.Bounds, dir: o.Dir, far: o.Dir,
	}}
	if !o.Host.Shared() {
		s.far = jobs.FarRun(o.Binary.Dir, run)
	}
	for i, c := range run.Cases {
		j := slices.IndexFunc(plans, func(p rundir.Plan) bool { return p.Case.Slug == c.Slug })
		if j >= 0 {
			s.cases = append(s.cases, caseState{index: i, plan: plans[j], record: c})
		}
	}
	return s
}

// drive runs until every case is through, or ctx ends.
func (d *driver) drive(ctx context.Context) error {
	// Commands outlive the interruption: what they say is still wanted.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer d.await()
	defer cancel()
	d.workers.Go(func() { d.keepLease(work) })
	open, _ := runs.Open(d.o.Dir) // what cannot be read is told by lookAround
	for _, e := range open {
		if i := slices.IndexFunc(d.state.cases, func(c caseState) bool { return c.plan.Case.Slug == e.Case }); i >= 0 {
			d.registry.enter(i, e.Job)
		}
	}
	defer d.armAbort(ctx, work)()
	all, err := d.lookAround(ctx)
	if err != nil {
		return err
	}
	d.step(work, event{kind: evBegin, found: all})
	d.loop(ctx, work)
	d.tellCalls()
	return errors.Join(d.state.err, d.result)
}

// await waits for the workers, who have been told that it is over; not for ever for one
// that stands in a call to a dead file server.
func (d *driver) await() {
	done := make(chan struct{})
	go func() { d.workers.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
	}
}

// keepLease gives signs of life, and looks each time whether somebody wants the run's end.
func (d *driver) keepLease(work context.Context) {
	d.lease.Keep(work, d.o.Poll.Lease, func() {
		d.shown.Beat(work)
		if c, ok := d.cancelRequested(); ok {
			d.send(work, event{kind: evRequested, text: c.Reason})
		}
	}, func(err error) { d.send(work, event{kind: evBroken, err: err}) })
}

// lookAround reads what the run directory says of the last attempt of each case.
func (d *driver) lookAround(ctx context.Context) ([]found, error) {
	all := make([]found, len(d.state.cases))
	for i, c := range d.state.cases {
		k := len(c.record.Attempts)
		if k == 0 || c.record.State == rundir.CaseDone || c.record.State == rundir.CaseSkipped {
			continue
		}
		dir := d.o.Dir.CaseDir(c.plan.Case.Slug).Attempt(c.record.Attempts[k-1].Rep, c.record.Attempts[k-1].Attempt)
		var j rundir.Job
		var o rundir.AttemptOutcome
		jobThere, err := readIfThere(dir.JobFile(), &j)
		if err != nil {
			return nil, err
		}
		outcomeThere, err := readIfThere(dir.OutcomeFile(), &o)
		if err != nil {
			return nil, err
		}
		if jobThere {
			all[i].job = &j
		}
		if outcomeThere {
			all[i].outcome, all[i].away = &o, d.away(j, dir)
		}
		if j.ID != "" && (!outcomeThere || all[i].away) {
			d.reader.Resume(ctx, rundir.AttemptDir(cmp.Or(j.Dir, string(dir))))
		}
	}
	return all, nil
}

// away reports whether the files of an attempt that somebody else has closed are still behind a login node.
func (d *driver) away(j rundir.Job, dir rundir.AttemptDir) bool {
	_, err := os.Lstat(filepath.Join(string(dir), collect.BundleFile))
	return d.o.Backend != rundir.BackendLocal && !d.o.Host.Shared() && j.ID != "" && errors.Is(err, fs.ErrNotExist)
}

// readIfThere reads a record; false = there is none.
func readIfThere(path string, v any) (bool, error) {
	err := rundir.ReadJSON(path, v)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// send hands an event to the owner, unless the drive is over.
func (d *driver) send(work context.Context, e event) {
	select {
	case d.events <- e:
	case <-work.Done():
	}
}

// loop is the owner.
func (d *driver) loop(ctx, work context.Context) {
	tick := time.NewTicker(d.o.Poll.Agent)
	defer tick.Stop()
	d.deadline = time.NewTimer(time.Hour)
	d.deadline.Stop()
	defer d.deadline.Stop()
	ended := ctx.Done()
	for !d.state.over {
		select {
		case e := <-d.events:
			d.step(work, e)
		case <-tick.C:
			d.step(work, event{kind: evTick})
		case <-d.deadline.C:
			d.step(work, event{kind: evTick})
		case <-ended:
			ended = nil
			d.stopping.Store(interrupts(ctx))
			d.step(work, event{kind: evInterrupted, err: context.Cause(ctx)})
			d.deadline.Reset(d.o.Poll.Abort)
		}
	}
}

// step lets next decide what an event means, and does it. What can be done at once is,
// and its event is taken before any other.
func (d *driver) step(work context.Context, e event) {
	for again := true; again; {
		e.at, e.calls, e.acctOff, e.spread = d.o.Now(), d.o.Slurm.TotalCalls(), d.o.Slurm.AccountingOff(), d.o.spread()
		var todo []action
		d.state, todo = next(d.state, e)
		again = false
		for _, a := range todo {
			if a.kind != doSave {
				d.do(work, a)
				continue
			}
			err := rundir.WriteJSON(d.o.Dir.RunFile(), a.run)
			if d.state.over {
				d.result = err
				continue
			}
			e, again = event{kind: evSaved, err: err}, true
		}
		d.registry.sync(d.state.cases)
	}
}

// do does one thing that next has asked for.
func (d *driver) do(work context.Context, a action) {
	answer := func(e event) {
		e.of = a.of
		d.send(work, e)
	}
	switch a.kind {
	case doTell:
		d.o.Progress(a.update)
		d.o.Log.Debug("update", "kind", string(a.update.Kind), "case", a.update.Slug, "text", a.update.Text)
	case doSubmit:
		turn := d.submits.Turn()
		d.workers.Go(func() {
			res, err := d.submits.Submit(work, a.order, turn)
			answer(event{kind: evSubmitted, submitted: res, err: err})
		})
	case doSearch:
		d.workers.Go(func() {
			s, err := d.o.Search(work, a.job, a.there)
			answer(event{kind: evSearched, search: s, err: err})
		})
	case doQueue:
		d.workers.Go(func() { answer(d.askQueue(work, a.clusters)) })
	case doAsk:
		d.workers.Go(func() { answer(d.ask(work, a)) })
	case doRead:
		offsets := d.reader.Offsets(a.watch)
		d.workers.Go(func() {
			answer(event{kind: evAgents, watched: a.watched, sights: d.reader.Read(work, a.watch, offsets)})
		})
	case doCancel:
		d.workers.Go(func() {
			if err := d.back.Cancel(work, []rundir.Job{a.job}); err != nil {
				answer(event{kind: evCancelFailed, err: err})
			}
		})
	case doNote:
		write := d.recordOf(a.dir).next(a.job)
		d.workers.Go(func() {
			if err := write(); err != nil {
				answer(event{kind: evCancelFailed, err: fmt.Errorf("the record of job %s cannot be written: %w", a.job.ID, err)})
			}
		})
	case doClose:
		record := d.recordOf(a.dir)
		d.workers.Go(func() { answer(d.close(work, a, record)) })
	case doDecide:
		d.workers.Go(func() {
			d.deciding.Lock()
			defer d.deciding.Unlock()
			answer(event{kind: evDecided, outcome: a.outcome, decision: d.o.Decide(work, a.ended)})
		})
	case doAbandon:
		d.abandon()
	case doSave: // step's own
	}
}

func (d *driver) recordOf(dir rundir.AttemptDir) *jobFile {
	if d.records[dir] == nil {
		d.records[dir] = &jobFile{path: dir.JobFile()}
	}
	return d.records[dir]
}

// tellCalls says in the end what the drive has asked of Slurm.
func (d *driver) tellCalls() {
	if d.o.Backend != rundir.BackendSlurm {
		return
	}
	calls := d.o.Slurm.Calls()
	parts := make([]string, 0, len(calls))
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, calls[name]))
	}
	d.o.Progress(Update{
		At: d.o.Now(), Kind: Status, Text: fmt.Sprintf("%d Slurm calls in all: %s", d.o.Slurm.TotalCalls(), strings.Join(parts, ", ")),
	})
}
