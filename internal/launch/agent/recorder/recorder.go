// Package recorder writes the agent's record while the run goes on.
//
// In: snapshots of the record, more often than a network file system takes them. Out: the
// newest of them in agent.json, and each role's part of it in the role's own file; one call
// back when they can no longer be written.
package recorder

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// stopBound is how long Stop waits for a write under way: a file server that is away may
// hold it for as long as it likes.
const stopBound = 10 * time.Second

// The last record waits two minutes for such a write.
const (
	tryEvery   = 100 * time.Millisecond
	writeTries = 1200
)

// Recorder writes the newest snapshot, in a goroutine of its own, so that a
// stalled file system holds nothing up but the record.
type Recorder struct {
	files  *rundir.Tree
	dir    rundir.AttemptDir
	run    rundir.RunDir
	after  time.Duration
	broken func(error)
	box    chan rundir.AgentRecord // holds at most the newest
	done   chan struct{}
	last   time.Time // of the last Put; used by its caller only
	once   sync.Once

	stopped atomic.Bool                  // what is still in the box is older than what comes now
	mu      sync.Mutex                   // of a write, which may hang
	roles   map[string]rundir.RoleRecord // as last written
}

// New starts a recorder of one run of an attempt. broken is told once why the record could
// not be written for so long as after says, or, on a full disk, at all.
func New(files *rundir.Tree, dir rundir.AttemptDir, run rundir.RunDir, after time.Duration, broken func(error)) *Recorder {
	r := &Recorder{
		files: files, dir: dir, run: run, after: after, broken: broken,
		box: make(chan rundir.AgentRecord, 1), done: make(chan struct{}), roles: map[string]rundir.RoleRecord{},
	}
	go r.writeAll()
	return r
}

// Put hands over a new snapshot when something changed or the heartbeat is due. It never
// waits, and is called by one goroutine.
func (r *Recorder) Put(take func() rundir.AgentRecord, changed bool, at time.Time, heartbeat time.Duration) {
	// Half the interval: the write itself and a busy loop take their time too.
	if !changed && at.Sub(r.last) < heartbeat/2 {
		return
	}
	r.last = at
	s := take()
	for {
		select {
		case r.box <- s:
			return
		default:
		}
		select {
		case <-r.box: // an older one that nobody has taken
		default:
		}
	}
}

func (r *Recorder) writeAll() {
	defer close(r.done)
	var failing time.Time
	for s := range r.box {
		err := r.writeUnlessStopped(s)
		switch {
		case err == nil:
			failing = time.Time{}
		case failing.IsZero() && !full(err):
			failing = s.Heartbeat
		case full(err) || s.Heartbeat.Sub(failing) >= r.after:
			r.once.Do(func() { go r.broken(err) })
		}
	}
}

func (r *Recorder) writeUnlessStopped(s rundir.AgentRecord) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped.Load() {
		return nil
	}
	return r.write(s)
}

// Write writes a record at once: the last one, after Stop. It waits for a write under way,
// so that no older record comes after it, though not for ever: errHangs.
func (r *Recorder) Write(s rundir.AgentRecord) error {
	r.stopped.Store(true)
	for range writeTries {
		if r.mu.TryLock() {
			defer r.mu.Unlock()
			return r.write(s)
		}
		time.Sleep(tryEvery)
	}
	return errHangs
}

var errHangs = errors.New("a write of the record hangs, and nothing can be written after it")

func (r *Recorder) write(s rundir.AgentRecord) error {
	var errs []error
	if len(r.roles) > 0 && r.files.Gone(r.dir.AgentFile()) && r.files.Gone(r.dir.PlanFile()) { // both were here
		errs = append(errs, errRemoved)
	}
	for _, role := range s.Roles {
		if old, ok := r.roles[role.Name]; ok && reflect.DeepEqual(old, role) {
			continue
		}
		if err := r.files.WriteJSON(r.run.RoleStatus(role.Name), rundir.RoleStatus{Schema: rundir.Schema, RoleRecord: role}); err != nil {
			errs = append(errs, err)
			continue
		}
		r.roles[role.Name] = role
	}
	return errors.Join(append(errs, r.files.WriteJSON(r.dir.AgentFile(), s))...)
}

var errRemoved = errors.New("somebody has removed the attempt's files while it ran")

// full reports whether writing will not work again by itself, or what was written has gone.
func full(err error) bool {
	return errors.Is(err, errRemoved) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// Stop ends the goroutine once what was handed over is written. A write that hangs is not
// waited for long.
func (r *Recorder) Stop() {
	close(r.box)
	select {
	case <-r.done:
	case <-time.After(stopBound):
	}
}
