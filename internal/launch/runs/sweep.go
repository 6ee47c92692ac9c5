package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// SweepOptions say where orphans are looked for.
type SweepOptions struct {
	Host  host.Host
	Slurm *slurm.Client // nil = only the local backend
	// RunsDir is where runs of the local backend are looked for; "" = nowhere.
	RunsDir string
	// OlderThan is how long an owner must have been silent: long enough for a
	// Jenkins restart and its resume.
	OlderThan time.Duration
	// Owner names one owner tag whose jobs end whatever its lease says: for jobs
	// whose run directory cannot be seen from here.
	Owner   string
	DryRun  bool
	Environ []string
	Now     func() time.Time
}

// Swept is one live job of ours and what sweep thinks of it.
type Swept struct {
	Job    string // id, or pid
	Name   string
	Owner  string // tag
	Dir    string // run directory
	Orphan bool
	Why    string
	Err    error // of the cancellation
}

// Sweep ends live jobs whose owner is dead. A job is ours only by the owner tag
// in its name and this user's; its owner is dead only by a lease that says so. It
// never goes by a bare name.
func Sweep(ctx context.Context, o SweepOptions) ([]Swept, error) {
	var all []Swept
	var errs []error
	if o.Slurm != nil {
		s, err := o.sweepCluster(ctx)
		all, errs = append(all, s...), append(errs, err)
	}
	if o.RunsDir != "" {
		s, err := o.sweepLocal()
		all, errs = append(all, s...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

func (o SweepOptions) sweepCluster(ctx context.Context) ([]Swept, error) {
	rows, err := o.Slurm.Queue(ctx, "")
	if err != nil {
		return nil, err
	}
	var found []Swept
	var leases []string
	for _, r := range rows {
		tag, ours := jobs.TagOf(r.Name)
		if !ours || r.State.Class() == slurm.Terminal {
			continue
		}
		s := Swept{Job: r.ID, Name: r.Name, Owner: tag, Dir: runDirOf(r.Command)}
		if s.Dir != "" {
			leases = append(leases, rundir.Dir(s.Dir).LeaseFile())
		}
		found = append(found, s)
	}
	const maxLease = 64 << 10
	data, err := o.Host.Read(ctx, maxLease, leases...)
	if err != nil {
		return nil, fmt.Errorf("leases: %w", err)
	}
	for i := range found {
		o.judge(&found[i], data[rundir.Dir(found[i].Dir).LeaseFile()])
		if found[i].Orphan && !o.DryRun {
			found[i].Err = o.Slurm.Cancel(ctx, "", found[i].Job)
		}
	}
	return found, nil
}

// judge says whether the owner is dead.
func (o SweepOptions) judge(s *Swept, lease []byte) {
	if o.Owner != "" {
		s.Orphan, s.Why = s.Owner == o.Owner, "another owner"
		if s.Orphan {
			s.Why = "named with --owner"
		}
		return
	}
	var l rundir.Lease
	if len(lease) == 0 || json.Unmarshal(lease, &l) != nil || l.Schema > rundir.Schema || l.Heartbeat.IsZero() {
		s.Why = "its run directory cannot be seen from here; end it with --owner " + s.Owner
		return
	}
	silent := o.Now().Sub(l.Heartbeat).Round(time.Second)
	switch {
	case l.Released != nil && l.Detached:
		s.Why = "left running on purpose (--detach)"
	case silent < o.OlderThan:
		s.Why = fmt.Sprintf("its owner gave a sign of life %v ago", silent)
	default:
		s.Orphan, s.Why = true, fmt.Sprintf("its owner (process %d on %s) has been silent for %v", l.PID, l.Host, silent)
	}
}

// runDirOf reads the run directory out of the path of one of our batch scripts:
// RUN/cases/<slug>/rep-<q>/attempt-<n>/job.sh; "" if it is something else.
func runDirOf(script string) string {
	if !path.IsAbs(script) || path.Base(script) != "job.sh" {
		return ""
	}
	attempt := path.Dir(script)
	rep := path.Dir(attempt)
	cases := path.Dir(path.Dir(rep))
	if !strings.HasPrefix(path.Base(attempt), "attempt-") || !strings.HasPrefix(path.Base(rep), "rep-") || path.Base(cases) != "cases" {
		return ""
	}
	return path.Dir(cases)
}

// sweepLocal looks for agents of the local backend whose owner is dead.
func (o SweepOptions) sweepLocal() ([]Swept, error) {
	runs, err := filepath.Glob(filepath.Join(o.RunsDir, "*", "run.json"))
	if err != nil {
		return nil, err
	}
	var found []Swept
	for _, f := range runs {
		dir := rundir.Dir(filepath.Dir(f))
		open, err := Open(dir)
		if err != nil {
			found = append(found, unreadable(dir, err))
		}
		for _, j := range open {
			if j.Job.Backend != jobs.BackendLocal || len(proc.WithCookie(jobs.Cookie(j.Job))) == 0 {
				continue
			}
			s := Swept{Job: j.Job.ID, Name: j.Job.Name, Owner: j.Job.Owner, Dir: string(dir)}
			lease, err := host.NewHere(nil).Read(context.Background(), 64<<10, dir.LeaseFile())
			if err != nil {
				found = append(found, unreadable(dir, err))
				continue
			}
			o.judge(&s, lease[dir.LeaseFile()])
			if s.Orphan && !o.DryRun {
				s.Err = jobs.Local{Env: o.Environ}.Cancel(context.Background(), []rundir.Job{j.Job})
			}
			found = append(found, s)
		}
	}
	return found, nil
}

// unreadable is a run of which it cannot be said what it has.
func unreadable(dir rundir.Dir, err error) Swept {
	return Swept{Job: "?", Name: filepath.Base(string(dir)), Dir: string(dir), Why: "its records cannot be read: " + strings.ReplaceAll(err.Error(), "\n", "; ")}
}
