package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// askQueue asks squeue, once per cluster. One that does not answer leaves all unsaid.
func (d *driver) askQueue(work context.Context, clusters []string) event {
	e := event{kind: evQueue}
	for _, cluster := range clusters {
		rows, err := d.o.Slurm.Queue(work, cluster)
		if err != nil {
			return event{kind: evQueue, err: err}
		}
		e.rows = append(e.rows, rows...)
	}
	return e
}

// ask asks scontrol, sacct and sinfo about one job.
func (d *driver) ask(work context.Context, a action) event {
	j := slurm.Job{ID: a.job.ID, Cluster: a.job.Routed}
	got := answers{asked: a.ask}
	if a.ask&outcome.AskControl != 0 {
		got.control, got.ctlErr = d.o.Slurm.Control(work, j)
	}
	if a.ask&outcome.AskAccounting != 0 {
		got.rows, got.rowErr = d.o.Slurm.Accounting(work, j.Cluster, []string{j.ID}, a.job.Intent.Add(-10*time.Minute))
	}
	if a.ask&outcome.AskNodes != 0 {
		got.trouble, got.nodeErr = d.o.Slurm.Troubles(work, j.Cluster, a.nodes)
	}
	return event{kind: evAnswers, answers: got}
}

// close brings home what an attempt has left and writes down how it ended. Often a job is over before its driver finds
// out that somebody has asked for that: then this is written first, since what follows goes by it.
func (d *driver) close(work context.Context, a action, record *jobFile) event {
	d.reader.Rest(work, a.there)
	err := d.bringHome(work, a)
	warning, o := errors.Join(err, d.o.Collect.Scrub(a.dir)), outcome.Planted(a.outcome, err)
	by := runs.EndedBy(d.o.Dir, a.job, o.Ended)
	if o.Outcome == rundir.OutcomeCancelled && by != a.job.Cancel {
		a.job.Cancel = by
		warning = errors.Join(warning, record.next(a.job)())
		o.Reason += ": " + by.Reason
		if o.Finding != nil {
			f := *o.Finding
			f.Message += ": " + by.Reason
			o.Finding = &f
		}
	}
	err = writeOutcome(work, a.dir, o)
	if errors.As(err, new(*rundir.NodeError)) { // the job has put something there: the report tells, the other cases go on
		warning, err = errors.Join(warning, fmt.Errorf("the outcome is not kept: %w", err)), nil
	}
	return event{kind: evClosed, outcome: o, endedBy: a.job.Cancel, warning: warning, err: err}
}

// writeOutcome tries for as long as the run's record is tried.
func writeOutcome(work context.Context, dir rundir.AttemptDir, o rundir.AttemptOutcome) error {
	for tried := time.Duration(0); ; tried += writeAgain {
		err := rundir.WriteJSON(dir.OutcomeFile(), o)
		if err == nil || tried >= patience(err) || runs.Sleep(work, writeAgain) != nil {
			return err
		}
	}
}

// bringHome collects the attempt's files from behind a login node, and leaves no process of a local attempt behind. A
// connection that comes and goes is not a lost attempt: it is tried for some minutes.
func (d *driver) bringHome(work context.Context, a action) error {
	if d.o.Backend == rundir.BackendLocal && a.job.ID != "" {
		return jobs.KillLeft(a.job)
	}
	if d.o.Host.Shared() || a.job.ID == "" {
		return nil
	}
	var err error
	for i := range 8 {
		if _, err = collect.Gather(work, d.o.Host, string(a.there), string(a.dir), d.o.Collect); err == nil {
			return nil
		}
		if d.stopping.Load() || errors.Is(err, fs.ErrNotExist) || errors.Is(err, collect.ErrIncomplete) || errors.As(err, new(*rundir.NodeError)) ||
			runs.Sleep(work, min(time.Minute, time.Second<<i)) != nil {
			break
		}
	}
	return fmt.Errorf("not everything could be collected from %s:%s, where it stays: %w", d.o.Host.Name(), a.there, err)
}
