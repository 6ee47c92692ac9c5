package drive

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// jobFile writes the job.json of an attempt that is submitted. Workers may have
// several versions of it in hand at the same time: the newest stands.
type jobFile struct {
	path string
	made int // versions made, the owner's

	mu      sync.Mutex
	written int // the newest version on disk
}

// next takes the next version, in the owner; a worker writes it.
func (f *jobFile) next(j rundir.Job) (write func() error) {
	f.made++
	version := f.made
	return func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if version < f.written {
			return nil
		}
		err := rundir.WriteJSON(f.path, j)
		if err == nil {
			f.written = version
		}
		return err
	}
}

// registry is what the abort path needs: every job that may exist. It has its own
// lock because that path must not wait for the owner.
type registry struct {
	mu    sync.Mutex
	jobs  map[int]rundir.Job // by case
	ended bool
}

func newRegistry() *registry { return &registry{jobs: map[int]rundir.Job{}} }

// sync takes what the state knows of the jobs: their ids, and which are over.
func (r *registry) sync(cases []caseState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range cases {
		switch c := &cases[i]; c.stage {
		case stageSearching, stageWatched:
			r.jobs[i] = c.job
		case stageSubmitting: // its worker enters it, right before the submission
		default:
			delete(r.jobs, i)
		}
	}
}

// enter registers the job of a case that is about to be submitted; false = too late.
func (r *registry) enter(i int, j rundir.Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.jobs[i] = j
	return true
}

// closed reports whether it is too late for any further job.
func (r *registry) closed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// closeAll lists the jobs that may exist, in suite order, and keeps any further one from being submitted.
func (r *registry) closeAll() []rundir.Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	out := make([]rundir.Job, 0, len(r.jobs))
	for _, i := range slices.Sorted(maps.Keys(r.jobs)) {
		out = append(out, r.jobs[i])
	}
	return out
}

// wanted is asked before a submission is written down: the run must still be ours, and nobody may have ended it.
func (d *driver) wanted() error {
	if err := d.lease.Check(); err != nil {
		return err
	}
	if c, ok := d.cancelRequested(); ok {
		return &cancelledError{c.Reason}
	}
	if d.registry.closed() {
		return errTooLate
	}
	return nil
}

// cancelRequested reads a request that is newer than our lease and is no helper's, be it ours or an earlier drive's.
func (d *driver) cancelRequested() (c rundir.Cancel, ok bool) {
	there, err := readIfThere(d.o.Dir.CancelFile(), &c)
	if err != nil {
		d.o.Log.Warn("cancel request", "err", err)
	}
	return c, there && c.At.After(d.lease.Record().Acquired) && c.Cause != rundir.CauseInterrupted
}

// allow is asked right before a submission: it must still be wanted, and whoever ends the run's jobs has to know of
// this one.
func (d *driver) allow(o submit.Order, j rundir.Job) error {
	if err := d.wanted(); err != nil {
		return err
	}
	if !d.registry.enter(o.Case, j) {
		return errTooLate
	}
	return nil
}

// cancelledError says that `ci-disagg cancel` came before the submission.
type cancelledError struct{ reason string }

func (e *cancelledError) Error() string { return "cancelled before the submission: " + e.reason }

var errTooLate = errors.New("interrupted before the submission")
