package drive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// LeaseTTL is how old the last sign of life of a driver on another host must be
// before its run may be taken over. A driver on this host is dead as soon as its
// process is; a process without signs of life is dead here too, since its id may
// be somebody else's by now.
const LeaseTTL = 60 * time.Second

// settle is how long a new holder waits before it believes that its lease stood:
// two that take over at the same time both write, the last rename wins, and the
// other sees it. Network file systems show a rename late, so a holder also reads
// the lease again before every submission.
const settle = 2 * time.Second

// lease is our claim to be the run's driver.
type lease struct {
	file string
	now  func() time.Time

	mu   sync.Mutex
	mine rundir.Lease
	seen time.Time // when we last found it to be ours
}

// hostName names this machine and its process id space: a pid means nothing in
// another container of the same host name.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		name += " " + ns
	}
	return name
}

// acquire takes the lease, or says who has it. interrupted is called when ctx ends
// while it waits; it waits on all the same, because whoever has to write down the
// end of the jobs must hold the lease.
func acquire(ctx context.Context, dir rundir.Dir, now func() time.Time, interrupted func()) (*lease, error) {
	var id [8]byte
	_, _ = rand.Read(id[:])
	at := now()
	l := &lease{file: dir.LeaseFile(), now: now, mine: rundir.Lease{
		Schema: rundir.Schema, Owner: hex.EncodeToString(id[:]), Host: hostName(), PID: os.Getpid(), Acquired: at, Heartbeat: at,
	}}
	held, err := l.claim()
	if err != nil {
		return nil, err
	}
	if held != nil && held.Released == nil { // contested
		t := time.NewTimer(settle)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			interrupted()
			<-t.C
		}
	}
	return l, l.check()
}

// claim writes our lease and gives the one that it replaces, nil = there was none.
func (l *lease) claim() (*rundir.Lease, error) {
	held, err := readLease(l.file)
	if err != nil {
		return nil, err
	}
	if held == nil {
		err := rundir.CreateJSON(l.file, l.mine)
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if held, err = readLease(l.file); err != nil || held == nil || held.Owner == l.mine.Owner {
			return nil, err // over NFS a call that has succeeded may be repeated, and then fail
		}
	}
	if leaseLives(*held, l.mine.Acquired) {
		return nil, &BusyError{Lease: *held}
	}
	return held, rundir.WriteJSON(l.file, l.mine)
}

func readLease(file string) (*rundir.Lease, error) {
	var held rundir.Lease
	err := rundir.ReadJSON(file, &held)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	return &held, nil
}

// leaseLives says whether the holder has to be taken for alive.
func leaseLives(l rundir.Lease, now time.Time) bool {
	if l.Released != nil {
		return false
	}
	if l.Host == hostName() {
		if l.PID == os.Getpid() {
			return false // an earlier drive of this very process
		}
		return !errors.Is(syscall.Kill(l.PID, 0), syscall.ESRCH) && now.Sub(l.Heartbeat) < LeaseTTL
	}
	return now.Sub(l.Heartbeat) < LeaseTTL
}

// check reads the lease and says whether it is still ours.
func (l *lease) check() error {
	held, err := readLease(l.file)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if held == nil || held.Owner != l.mine.Owner {
		return ErrLeaseLost
	}
	l.seen = l.now()
	return nil
}

// renew gives a sign of life, after looking whether the lease is still ours.
func (l *lease) renew() error {
	if err := l.check(); err != nil {
		return err
	}
	l.mu.Lock()
	l.mine.Heartbeat = l.now()
	mine := l.mine
	l.mu.Unlock()
	return rundir.WriteJSON(l.file, mine)
}

// record is the lease as last written.
func (l *lease) record() rundir.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine
}

// release gives the lease back. detached says that jobs go on without a driver
// on purpose.
func (l *lease) release(detached bool) error {
	if err := l.check(); err != nil {
		if errors.Is(err, ErrLeaseLost) {
			return nil
		}
		return err
	}
	l.mu.Lock()
	at := l.now()
	l.mine.Released, l.mine.Detached, l.mine.Heartbeat = &at, detached, at
	mine := l.mine
	l.mu.Unlock()
	return rundir.WriteJSON(l.file, mine)
}

// keep renews the lease until ctx ends; beat is called each time. lost is called once, when another driver
// has taken over or no sign of life could be written for too long: whoever takes
// over must find us silent.
func (l *lease) keep(ctx context.Context, every time.Duration, beat func(), lost func(error)) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := l.renew()
		l.mu.Lock()
		silent := l.now().Sub(l.seen)
		l.mu.Unlock()
		switch {
		case errors.Is(err, ErrLeaseLost):
			lost(err)
			return
		case err != nil && silent > LeaseTTL*3/4:
			lost(fmt.Errorf("%w, or will: %w", ErrLeaseLost, err))
			return
		}
		beat()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// showEvery is how often the lease is shown behind the login node.
const showEvery = 30 * time.Second

// showLease copies the lease to where the jobs are, if that is another file
// system: sweep finds the owner of a job from the job alone, on any machine.
func (d *driver) showLease(work context.Context) {
	if d.o.Host.Shared() || d.o.Backend == BackendLocal || d.o.Now().Sub(d.shown) < showEvery || !d.leaseBusy.CompareAndSwap(false, true) {
		return
	}
	d.shown = d.o.Now()
	d.background(func() { // a connection that hangs must not hold up our signs of life
		defer d.leaseBusy.Store(false)
		d.pushLease(work)
	})
}

func (d *driver) pushLease(work context.Context) {
	if err := d.o.Host.Push(work, string(d.o.Dir), string(d.thereRun()), []string{filepath.Base(d.o.Dir.LeaseFile())}); err != nil {
		d.o.Log.Warn("lease behind the login node", "err", err)
	}
}
