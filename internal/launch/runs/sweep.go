package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// SweepOptions say where orphans are looked for.
type SweepOptions struct {
	Access
	Queue bool // look at the cluster's queue
	// RunsDir is where runs are looked for whose driver is dead: those of Backend, and
	// of Cluster; "" = nowhere.
	RunsDir string
	Backend string
	Cluster string
	// OlderThan is how long an owner must have been silent: long enough for a
	// Jenkins restart and its resume.
	OlderThan time.Duration
	// Owner names one owner tag whose jobs end whatever its lease says: for jobs
	// whose run directory cannot be seen from here.
	Owner  string
	DryRun bool
}

// Swept is one live job of ours, or one run whose jobs are over, and what sweep thinks
// of it.
type Swept struct {
	Job      string // id, or pid
	Name     string
	Owner    string // tag
	Dir      string // run directory
	Orphan   bool
	Finished bool // the run's driver is dead and its jobs are over: that is written down now
	Why      string
	Err      error // of the cancellation
}

// Sweep ends live jobs whose owner is dead, and writes down how the jobs of dead
// drivers ended. A job is ours only by the owner tag in its name, or by its script,
// and this user's; its owner is dead only by a lease that says so. It never goes by a
// bare name.
func Sweep(ctx context.Context, o SweepOptions) ([]Swept, error) {
	o.Access = o.Complete()
	var all []Swept
	var errs []error
	if o.Queue {
		s, err := o.sweepCluster(ctx)
		all, errs = append(all, s...), append(errs, err)
	}
	if o.RunsDir != "" {
		s, err := o.sweepRuns(ctx)
		all, errs = append(all, s...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

const maxLease = 64 << 10

func (o SweepOptions) sweepCluster(ctx context.Context) ([]Swept, error) {
	rows, err := o.Slurm.Queue(ctx, "")
	if err != nil {
		return nil, err
	}
	var found []Swept
	var paths []string
	scripts := map[string]string{} // of renamed jobs, by id
	for _, r := range rows {
		tag, dir, ours := jobs.Ours(r)
		if !ours || r.State.Class() == slurm.Terminal {
			continue
		}
		s := Swept{Job: r.ID, Name: r.Name, Owner: tag, Dir: string(dir)}
		if dir != "" {
			paths = append(paths, dir.LeaseFile())
			scripts[r.ID] = rundir.AttemptDir(path.Dir(r.Command)).JobFile()
			paths = append(paths, scripts[r.ID])
		}
		found = append(found, s)
	}
	data, err := o.Host.Read(ctx, maxLease, paths...)
	if data == nil && err != nil && !errors.Is(err, host.ErrUnread) { // one that cannot be read keeps no other job back
		return nil, fmt.Errorf("leases: %w", err)
	}
	unread := err // of a few runs, where something else stands in the place of a record: the others are looked at
	found = slices.DeleteFunc(found, func(s Swept) bool {
		return s.Owner == "" && !renamed(s.Job, data[scripts[s.Job]])
	})
	if unread != nil {
		found = append(found, Swept{Job: "?", Name: "-", Why: "not every lease can be read: " + line(unread), Err: unread})
	}
	for i := range found {
		s := &found[i]
		if s.Err != nil {
			continue
		}
		if s.Owner == "" {
			var j rundir.Job
			_ = json.Unmarshal(data[scripts[s.Job]], &j) // it has been read
			s.Owner = j.Owner
		}
		o.judge(s, data[rundir.Dir(s.Dir).LeaseFile()])
		if s.Orphan && !o.DryRun {
			o.sign(*s)
			s.Err = o.backend(rundir.Job{}).Cancel(ctx, []rundir.Job{{ID: s.Job}})
		}
	}
	return found, nil
}

// here is a job's run directory and its attempt, as far as they are seen from here.
func (o SweepOptions) here(s Swept) (dir rundir.Dir, e JobEnd, ok bool) {
	base := filepath.Base(s.Dir) // behind a login node the run's id and its owner
	for _, dir := range []rundir.Dir{rundir.Dir(s.Dir), rundir.Dir(filepath.Join(o.RunsDir, strings.TrimSuffix(base, filepath.Ext(base))))} {
		open, _ := Open(dir)
		if i := slices.IndexFunc(open, func(e JobEnd) bool { return e.Job.ID == s.Job && e.Job.Owner == s.Owner }); i >= 0 {
			return dir, open[i], true
		}
	}
	return "", JobEnd{}, false
}

// sign leaves word in the run's directory, as far as that is seen from here, that it is sweep which ends a job: Slurm
// only knows that this user did. Who has asked for its end before keeps the word.
func (o SweepOptions) sign(s Swept) {
	dir, e, ok := o.here(s)
	if !ok {
		return
	}
	if _, asked := dir.CancelledAfter(e.Job.Intent); asked || e.Job.Cancel != nil {
		return
	}
	request := rundir.Cancel{At: o.Now(), Reason: "ended by ci-disagg sweep: " + s.Why, Outcome: rundir.OutcomeCancelled, Cause: rundir.CauseRequested}
	if err := rundir.WriteJSON(dir.CancelFile(), request); err != nil {
		o.Log.Warn("that sweep ends the job is not written down", "job", s.Job, "err", err)
	}
}

// renamed reports whether a job of another name that runs a script of ours is the one
// that the record beside the script tells of: a site's plugin may rename jobs. Anybody
// may run our script again under a name of his own.
func renamed(id string, record []byte) bool {
	var j rundir.Job
	return json.Unmarshal(record, &j) == nil && j.Name != "" && (j.ID == id || j.ID == "")
}

// judge decides whether the owner is dead.
func (o SweepOptions) judge(s *Swept, data []byte) {
	if o.Owner != "" {
		s.Orphan, s.Why = s.Owner == o.Owner, "another owner"
		if s.Orphan {
			s.Why = "named with --owner"
		}
		return
	}
	var l rundir.Lease
	if json.Unmarshal(data, &l) != nil || l.Schema > rundir.Schema {
		l = rundir.Lease{}
	}
	s.Orphan, s.Why = o.dead(l)
	if !s.Orphan {
		return
	}
	if dir, _, ok := o.here(*s); ok { // what lies with the job may be a copy, and an old one
		if own, err := lease.Read(dir.LeaseFile()); err == nil && own != nil && own.Heartbeat.After(l.Heartbeat) {
			l = *own
		}
	}
	if l.Heartbeat.IsZero() {
		s.Orphan, s.Why = false, "its run directory cannot be seen from here; end it with --owner "+s.Owner
		return
	}
	s.Orphan, s.Why = o.dead(l)
}

// dead reports whether the lease's holder is to be taken for dead, and why or why not.
func (o SweepOptions) dead(l rundir.Lease) (bool, string) {
	silent := o.Now().Sub(l.Heartbeat).Round(time.Second)
	switch {
	case l.Released != nil && l.Detached:
		return false, "left running on purpose (--detach)"
	case l.Released != nil: // by its own driver
		return true, fmt.Sprintf("nobody has driven it since %s", l.Released.UTC().Format("15:04:05Z"))
	case silent < o.OlderThan:
		return false, fmt.Sprintf("its owner gave a sign of life %v ago", silent)
	default:
		return true, fmt.Sprintf("its owner (process %d on %s) has been silent for %v", l.PID, l.Host, silent)
	}
}

// sweepRuns looks at the runs here whose driver is dead: it ends what is left of them
// on this machine, and writes down how their jobs ended.
func (o SweepOptions) sweepRuns(ctx context.Context) ([]Swept, error) {
	entries, err := entriesOf(o.RunsDir)
	if err != nil {
		return nil, err
	}
	var found []Swept
	for _, e := range entries {
		dir := rundir.Dir(filepath.Join(o.RunsDir, e.Name()))
		switch _, err := os.Lstat(dir.RunFile()); {
		case err != nil && slices.ContainsFunc([]error{fs.ErrNotExist, syscall.ENOTDIR, fs.ErrPermission}, func(none error) bool { return errors.Is(err, none) }):
			continue // no run, or none of ours
		case err != nil:
			found = append(found, unreadable(dir, err))
			continue
		}
		open, err := Open(dir)
		if err != nil {
			found = append(found, unreadable(dir, err))
		}
		held, err := lease.Read(dir.LeaseFile())
		switch {
		case err != nil:
			found = append(found, unreadable(dir, err))
			continue
		case held == nil || len(open) == 0:
			continue
		}
		if o.Backend == rundir.BackendLocal {
			found = append(found, o.sweepLocal(ctx, dir, open, *held)...)
		}
		if dead, why := o.dead(*held); dead && o.Owner == "" && !o.DryRun {
			found = append(found, o.finish(ctx, dir, why)...)
		}
	}
	return found, nil
}

// finish writes down how a dead driver's jobs ended, if they are where this sweep looks; nothing = there is nothing to
// tell.
func (o SweepOptions) finish(ctx context.Context, dir rundir.Dir, why string) []Swept {
	var run rundir.Run
	err := rundir.ReadJSON(dir.RunFile(), &run)
	switch {
	case err != nil:
		return []Swept{unreadable(dir, err)}
	case run.Backend != o.Backend || o.Backend != rundir.BackendLocal && run.Cluster != o.Cluster:
		return nil
	}
	left, err := Finish(ctx, o.Access, dir)
	switch {
	case err != nil && !errors.Is(err, errDriven):
		return []Swept{unreadable(dir, err)}
	case err != nil || left > 0:
		return nil
	}
	return []Swept{{Job: "-", Name: filepath.Base(string(dir)), Dir: string(dir), Finished: true, Why: why + "; how its jobs ended is written down now"}}
}

// sweepLocal ends the agents on this machine of a run whose owner is dead.
func (o SweepOptions) sweepLocal(ctx context.Context, dir rundir.Dir, open []JobEnd, held rundir.Lease) []Swept {
	var found []Swept
	for _, e := range open {
		if e.Job.Backend != rundir.BackendLocal || len(proc.WithCookie(jobs.Cookie(e.Job))) == 0 {
			continue
		}
		s := Swept{Job: e.Job.ID, Name: e.Job.Name, Owner: e.Job.Owner, Dir: string(dir)}
		s.Orphan, s.Why = o.dead(held)
		if o.Owner != "" {
			s.Orphan, s.Why = s.Owner == o.Owner, "named with --owner"
		}
		if s.Orphan && !o.DryRun {
			o.sign(s)
			s.Err = o.backend(e.Job).Cancel(ctx, []rundir.Job{e.Job})
		}
		found = append(found, s)
	}
	return found
}

// unreadable is a run of which it cannot be said what it has.
func unreadable(dir rundir.Dir, err error) Swept {
	return Swept{Job: "?", Name: filepath.Base(string(dir)), Dir: string(dir), Why: "its records cannot be read: " + line(err), Err: fmt.Errorf("%s: %w", dir, err)}
}

// line is an error in one line.
func line(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
