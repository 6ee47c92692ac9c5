package drive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// fill submits what is due and may run, in suite order.
func (d *driver) fill(work context.Context) {
	for _, c := range d.cases {
		if c.cur != nil || c.next == nil || d.failed || d.o.Now().Before(c.next.after) {
			continue
		}
		if why, _ := d.room(c); why != "" {
			d.waitFor(c, why)
			continue
		}
		d.start(work, c)
	}
}

// waitFor tells once what a case waits for.
func (d *driver) waitFor(c *theCase, why string) {
	if c.next.told != why {
		c.next.told = why
		d.tell(Queue, c, "waits: %s", why)
	}
}

// start makes the attempt's record and hands the rest to a worker.
func (d *driver) start(work context.Context, c *theCase) {
	n := *c.next
	a := d.newAttempt(c, n.rep, n.number)
	s := d.state(c)
	s.State = rundir.CaseRunning
	if k := len(s.Attempts); k == 0 || s.Attempts[k-1].Rep != n.rep || s.Attempts[k-1].Attempt != n.number {
		s.Attempts = append(s.Attempts, rundir.Attempt{Rep: n.rep, Attempt: n.number, Why: n.why})
	}
	if d.writeRun() != nil {
		c.next.after = d.o.Now().Add(writeAgain) // what is not on disk cannot be taken up again
		return
	}
	a.job = rundir.Job{
		Schema: rundir.Schema, Backend: d.o.Backend, Cluster: d.o.Cluster.Name, Owner: jobs.OwnerTag(d.run),
		Name: jobs.Name(d.run, c.plan.Case.Slug, n.rep, n.number), Intent: d.o.Now(), Host: lease.HostName(), Dir: string(a.there),
	}
	if n.name != "" {
		a.job.Name = n.name
	}
	c.cur, c.next = a, nil
	a.submitting, a.number, a.due = true, n.number, n
	in := order{avoid: n.exclude, bad: d.badList(), nodes: d.known}
	before, mine := d.turn, make(chan struct{})
	d.turn = mine
	d.background(func() {
		// One after the other, in suite order: a burst of submissions is what
		// slurmctld's rate limit is for.
		defer close(mine)
		if before != nil {
			<-before
		}
		res := d.submit(work, c.plan, a.dir, a.there, a.job, in)
		d.send(work, func(work context.Context) { d.submitted(work, c, a, res) })
	})
}

// order is what a submission depends on beside the attempt.
type order struct {
	avoid []string        // nodes this attempt had better not get (repetition elsewhere)
	bad   []string        // nodes to keep away from
	nodes []slurm.NodeRow // of the cluster, nil = not asked yet
}

// result is what became of a submission.
type result struct {
	job      rundir.Job // with id and exclusions
	nodes    []slurm.NodeRow
	warnings []string
	err      error
}

// submit renders, writes, copies and submits one attempt. It runs in a worker.
func (d *driver) submit(work context.Context, p rundir.Plan, dir, there rundir.AttemptDir, j rundir.Job, in order) result {
	res := result{job: j, nodes: in.nodes}
	secrets, err := jobs.Secrets(p, d.o.Environ)
	if err != nil {
		res.err = err
		return res
	}
	agent, err := d.installed(work)
	if err != nil {
		res.err = err
		return res
	}
	res.exclusions(work, d, p, in)
	for {
		if res.err = d.prepare(work, p, dir, there, agent, &res); res.err != nil {
			return res
		}
		if res.err = d.lease.Check(); res.err != nil {
			return res
		}
		if c, ok := d.cancelRequested(); ok {
			res.err = &cancelledError{c.Reason}
			return res
		}
		if !d.registry.enter(res.job) {
			res.err = errTooLate
			return res
		}
		id, err := d.back.Submit(work, jobs.Submission{Job: res.job, Local: dir, There: there, Agent: agent, Secret: secrets})
		var refused *slurm.CallError
		if errors.As(err, &refused) && refused.InvalidNode() && len(res.job.Excluded) > 0 {
			res.warnings = append(res.warnings, "a node to keep away from is unknown to the cluster; none is excluded")
			res.job.Excluded, res.job.Avoided = nil, nil
			continue
		}
		if err == nil {
			now := d.o.Now()
			res.job.ID, res.job.Routed, res.job.Submitted = id.ID, id.Cluster, &now
			res.err = rundir.WriteJSON(dir.JobFile(), res.job)
			return res
		}
		res.err = err
		return res
	}
}

// prepare writes the attempt directory: the files, then the intent. After this
// call a job may exist under the name on disk.
func (d *driver) prepare(work context.Context, p rundir.Plan, dir, there rundir.AttemptDir, agent string, res *result) error {
	_, rep, number := d.where(dir)
	files, err := d.o.Render(RenderInput{
		Plan: p, Backend: d.o.Backend, Attempt: there, Agent: agent, Name: res.job.Name, Owner: res.job.Owner,
		Exclude: res.job.Excluded, Run: d.run, Rep: rep, Number: number,
	})
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	paths := make([]string, 0, len(files))
	for _, f := range files {
		mode := rundir.FileMode
		if f.Exec {
			mode = rundir.ExecMode
		}
		if !filepath.IsLocal(f.Path) {
			return fmt.Errorf("rendered file %q leads out of the attempt directory", f.Path)
		}
		if err := rundir.WriteFile(filepath.Join(string(dir), f.Path), f.Data, mode); err != nil {
			return err
		}
		paths = append(paths, f.Path)
	}
	if !d.o.Host.Shared() {
		if err := d.o.Host.Push(work, string(dir), string(there), paths); err != nil {
			return err
		}
	}
	return rundir.WriteJSON(dir.JobFile(), res.job)
}

// where reads repetition and attempt out of an attempt directory's path.
func (d *driver) where(dir rundir.AttemptDir) (slug string, rep, number int) {
	attempt := filepath.Base(string(dir))
	repDir := filepath.Dir(string(dir))
	_, _ = fmt.Sscanf(attempt, "attempt-%d", &number)
	_, _ = fmt.Sscanf(filepath.Base(repDir), "rep-%d", &rep)
	return filepath.Base(filepath.Dir(repDir)), rep, number
}

// installed is the path of the agent's binary as the job sees it. On a cluster it
// is a copy of its own, named by its checksum: the original may be replaced while
// the job waits in the queue, and may not be visible on the nodes. Behind a login
// node all runs share one copy, and each holds a link to it.
func (d *driver) installed(work context.Context) (string, error) {
	d.install.Lock()
	defer d.install.Unlock()
	switch {
	case d.agent != "":
		return d.agent, nil
	case d.o.Backend == jobs.BackendLocal || !exists(d.o.Binary.Path):
		d.agent = d.o.Binary.Path
		return d.agent, nil
	}
	dir := filepath.Join(string(d.o.Dir), "bin")
	if !d.o.Host.Shared() {
		dir = jobs.FarBin(d.o.Binary.Dir)
	}
	path, err := host.InstallBinary(work, d.o.Host, d.o.Binary.Path, dir)
	if err == nil && !d.o.Host.Shared() {
		path, err = host.LinkBinary(work, d.o.Host, path, string(d.thereRun())+"/bin")
	}
	if err == nil {
		d.agent = path
	}
	return path, err
}

const (
	// notReadyFor is how long a submission is repeated that finds Slurm's
	// controller away, in standby or full.
	notReadyFor = 10 * time.Minute
	searchEvery = 5 * time.Second
	// searchSettle is how long a controller that did not answer in time may still
	// work on the submission.
	searchSettle = 15 * time.Second
)

// submitted goes on with the answer. It runs in the owner.
func (d *driver) submitted(work context.Context, c *theCase, a *attempt, res result) {
	a.submitting, a.job, d.known = false, res.job, res.nodes
	for _, w := range res.warnings {
		d.tell(Warning, c, "%s", w)
	}
	var ambiguous *slurm.AmbiguousError
	var refused *slurm.CallError
	var cancelled *cancelledError
	switch {
	case a.job.ID != "":
		if res.err != nil {
			d.tell(Warning, c, "job %s is submitted, but its record cannot be written: %v", a.job.ID, res.err)
		}
		d.attached(work, c, a)
		if d.o.Backend == jobs.BackendSlurm && a.job.Routed == "" && d.o.Cluster.limited() {
			a.fresh = true
			d.queue.soon(d.o.Now(), 2*time.Second)
		}
		d.tell(Submitted, c, "%s", submittedText(a))
	case errors.As(res.err, &ambiguous):
		d.tell(Warning, c, "%v: looking for it by its name", res.err)
		a.searching, a.askedAt = true, d.o.Now().Add(searchSettle-searchEvery)
		a.job.Intent = d.o.Now()
	case errors.As(res.err, &cancelled):
		d.withdraw(c, a)
		d.cancelAll(work, cancelled.reason)
	case errors.Is(res.err, errTooLate), errors.Is(res.err, lease.ErrLost):
		d.withdraw(c, a)
		if errors.Is(res.err, lease.ErrLost) {
			d.fatal = res.err
		}
	case errors.As(res.err, &refused) && (refused.Standby() || refused.Busy() || refused.Unanswered()), errors.Is(res.err, host.ErrUnreachable), crowded(res.err):
		d.notReady(c, a, res.err)
	default:
		d.refused(c, a, res.err)
	}
}

// crowded says that a command could not be started on this machine just now.
func crowded(err error) bool {
	return errors.Is(err, host.ErrNotStarted) && slices.ContainsFunc(
		[]error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ETXTBSY}, func(e error) bool { return errors.Is(err, e) })
}

func submittedText(a *attempt) string {
	if a.job.Backend == jobs.BackendLocal {
		return "started here, agent process " + a.job.ID
	}
	text := "job " + a.job.ID + " submitted"
	if a.job.Routed != "" {
		text += " to cluster " + a.job.Routed
	}
	if len(a.job.Excluded) > 0 {
		text += fmt.Sprintf(", kept away from %v", a.job.Excluded)
	}
	return text
}

// attached: the attempt's job is known.
func (d *driver) attached(work context.Context, c *theCase, a *attempt) {
	a.searching, a.facts.Job = false, a.job
	d.registry.put(a.job)
	d.queue.reset(d.o.Now(), d.o.Poll.First)
	switch {
	case d.stopping.Load():
		d.cancelJob(work, c, d.stopReason, rundir.OutcomeCancelled)
	case d.failed:
		d.cancelJob(work, c, "the run was ended while this was being submitted", rundir.OutcomeCancelled)
	}
}

// withdraw takes an attempt back that was never submitted.
func (d *driver) withdraw(c *theCase, a *attempt) {
	d.registry.drop(a.job.Name)
	s := d.state(c)
	c.cur, c.next = nil, &next{rep: a.rep, number: a.number, why: s.Attempts[len(s.Attempts)-1].Why, name: a.job.Name}
	s.Attempts = s.Attempts[:len(s.Attempts)-1]
	if len(s.Attempts) == 0 {
		s.State = rundir.CaseWaiting
	}
}

// notReady submits again later: nothing was submitted, and nothing is wrong with
// the job.
func (d *driver) notReady(c *theCase, a *attempt, err error) {
	n, now := a.due, d.o.Now()
	if n.since.IsZero() {
		n.since = now
	}
	if now.Sub(n.since) > notReadyFor {
		d.refused(c, a, fmt.Errorf("for %v: %w", notReadyFor, err))
		return
	}
	delay := min(time.Minute, 10*time.Second<<min(n.tries, 3))
	n.tries, n.after, n.name = n.tries+1, now.Add(delay), a.job.Name
	d.tell(Warning, c, "not submitted yet: %v; again in %v", err, delay)
	d.registry.drop(a.job.Name)
	c.cur, c.next = nil, &n
}

// refused closes an attempt that never became a job.
func (d *driver) refused(c *theCase, a *attempt, err error) {
	kind := "submit-failed" // ours: disk, binary, connection
	var refused *slurm.CallError
	if errors.As(err, &refused) && refused.Command == "sbatch" {
		kind = outcome.KindSubmit
	}
	d.registry.drop(a.job.Name)
	text := "nothing was submitted: " + err.Error()
	now := d.o.Now()
	d.finish(c, outcome.Resolution{
		Phase: rundir.PhaseQueue, Done: true, Outcome: rundir.OutcomeInfra, Confidence: "client", Reason: text, Ended: now,
		Finding: &rundir.Finding{Class: "infra", Kind: kind, Rule: "submit", Message: text},
	})
}

// search looks for a job whose submission left no id.
func (d *driver) search(work context.Context, c *theCase) {
	a := c.cur
	if a.asked || d.o.Now().Sub(a.askedAt) < searchEvery {
		return
	}
	a.asked, a.askedAt = true, d.o.Now()
	if a.searchSince.IsZero() {
		a.searchSince = a.askedAt
	}
	j := a.job
	d.background(func() {
		over := jobs.SubmissionOver(j, d.o.Now(), d.o.Host.Name() != "here")
		found, ok, err := d.back.Find(work, j)
		d.send(work, func(work context.Context) { d.searched(work, c, a, found, ok, over, err) })
	})
}

func (d *driver) searched(work context.Context, c *theCase, a *attempt, j slurm.Job, ok, over bool, err error) {
	a.asked = false
	switch {
	case ok:
		now := a.job.Intent
		a.job.ID, a.job.Routed, a.job.Submitted = j.ID, j.Cluster, &now
		if err := a.record.next(a.job)(); err != nil {
			d.tell(Warning, c, "the record of job %s cannot be written: %v", j.ID, err)
		}
		d.attached(work, c, a)
		d.tell(Submitted, c, "found job %s by its name", j.ID)
	case err != nil && d.o.Now().Sub(a.searchSince) > notReadyFor:
		j := a.job
		d.background(func() { _ = d.back.Cancel(work, []rundir.Job{j}) }) // should it exist after all
		d.refused(c, a, fmt.Errorf("whether its job exists could not be found out for %v: %w", notReadyFor, err))
	case err != nil:
		d.o.Log.Debug("search", "name", a.job.Name, "err", err)
	case over && d.stopping.Load():
		d.finish(c, outcome.Resolution{
			Phase: rundir.PhaseQueue, Done: true, Outcome: rundir.OutcomeCancelled, Confidence: "client", Reason: d.stopReason, Ended: d.o.Now(),
		})
	case over && a.dir != "" && exists(a.dir.AgentFile()):
		// It ran, and is gone from everywhere we may look by name.
		d.attachGone(c, a)
	case over:
		d.notReady(c, a, errors.New("it left no job"))
	}
}

// attachGone goes on with an attempt whose agent's record says which job it was.
func (d *driver) attachGone(c *theCase, a *attempt) {
	var rec rundir.AgentRecord
	if err := rundir.ReadJSON(a.dir.AgentFile(), &rec); err != nil || rec.JobID == "" {
		d.refused(c, a, fmt.Errorf("the agent's record of an attempt without job id is unreadable: %w", err))
		return
	}
	a.job.ID = rec.JobID
	a.searching, a.facts.Job = false, a.job
	d.registry.put(a.job)
}
