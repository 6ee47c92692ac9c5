package runs

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Shown keeps a copy of a run's lease where its jobs are, if that is another file system: sweep finds the owner of a
// job from the job alone, and the job's agent its driver. A nil one is of jobs that see the lease itself.
type Shown struct {
	access   Access
	dir, far rundir.Dir
	at       time.Time // of the last copy; the keeper's own

	mu sync.Mutex // held by whoever copies
}

// ShowLease is the copy in far of the lease in dir.
func ShowLease(a Access, dir, far rundir.Dir) *Shown {
	if a.Host.Shared() {
		return nil
	}
	return &Shown{access: a, dir: dir, far: far}
}

// Beat copies the lease every half minute. It waits for nothing: a connection that hangs must not hold up signs of
// life.
func (s *Shown) Beat(ctx context.Context) {
	if s == nil || s.access.Now().Sub(s.at) < 30*time.Second || !s.mu.TryLock() {
		return
	}
	s.at = s.access.Now()
	go func() {
		defer s.mu.Unlock()
		if err := s.copy(ctx); err != nil {
			s.access.Log.Warn("lease behind the login node", "err", err)
		}
	}()
}

// Last copies the lease as it was given back, of which no further beat tells: it is tried for half a minute.
func (s *Shown) Last(ctx context.Context) (err error) {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // a file server may hang for longer
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for pause := time.Second; pause <= 16*time.Second; pause *= 2 {
		if err = s.copy(ctx); err == nil || Sleep(ctx, pause) != nil {
			break
		}
	}
	return err
}

func (s *Shown) copy(ctx context.Context) error {
	return s.access.Host.Push(ctx, string(s.dir), string(s.far), []string{filepath.Base(s.dir.LeaseFile())})
}
