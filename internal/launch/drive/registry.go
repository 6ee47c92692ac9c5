package drive

import (
	"errors"
	"sync"

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
	jobs  map[string]rundir.Job // by unique name
	ended bool
}

func (r *registry) put(j rundir.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs[j.Name] = j
}

func (r *registry) drop(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.jobs, name)
}

// closeAll says that no further job may be submitted, and lists those that may
// exist.
func (r *registry) closeAll() []rundir.Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	out := make([]rundir.Job, 0, len(r.jobs))
	for _, j := range r.jobs {
		out = append(out, j)
	}
	return out
}

// enter registers a job about to be submitted; false = too late.
func (r *registry) enter(j rundir.Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.jobs[j.Name] = j
	return true
}

// cancelledError says that `ci-disagg cancel` came before the submission.
type cancelledError struct{ reason string }

func (e *cancelledError) Error() string { return "cancelled before the submission: " + e.reason }

var errTooLate = errors.New("interrupted before the submission")
