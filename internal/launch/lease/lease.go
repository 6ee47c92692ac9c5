// Package lease says who drives a run: one process at a time, which gives signs of
// life in the run directory's lease.json.
package lease

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// ErrLost is returned when another driver has taken the run over.
var ErrLost = errors.New("another ci-disagg has taken over this run")

// BusyError says who drives the run.
type BusyError struct{ Lease rundir.Lease }

func (e *BusyError) Error() string {
	return fmt.Sprintf("this run is driven by process %d on %s (last sign of life %s)",
		e.Lease.PID, e.Lease.Host, e.Lease.Heartbeat.UTC().Format("15:04:05Z"))
}

// TTL is how old the last sign of life of a driver on another host must be
// before its run may be taken over. A driver on this host is dead as soon as its
// process is; a process without signs of life is dead here too, since its id may
// be somebody else's by now.
const TTL = 60 * time.Second

// settle is how long a new holder waits before it believes that its lease stood:
// two that take over at the same time both write, the last rename wins, and the
// other sees it. Network file systems show a rename late, so a holder also reads
// the lease again before every submission.
const settle = 2 * time.Second

// Lease is our claim to be the run's driver.
type Lease struct {
	file string
	now  func() time.Time

	mu   sync.Mutex
	mine rundir.Lease // as last written
	seen time.Time    // when it was last found to be ours
}

// HostName names this machine and its process id space: a pid means nothing in
// another container of the same host name.
func HostName() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		name += " " + ns
	}
	return name
}

// Acquire takes the lease, or says who has it. interrupted is called when ctx ends
// while it waits; it waits on all the same, because whoever has to write down the
// end of the jobs must hold the lease.
func Acquire(ctx context.Context, dir rundir.Dir, now func() time.Time, interrupted func(*Lease)) (*Lease, error) {
	var id [8]byte
	_, _ = rand.Read(id[:])
	at := now()
	l := &Lease{file: dir.LeaseFile(), now: now, mine: rundir.Lease{
		Schema: rundir.Schema, Owner: hex.EncodeToString(id[:]), Host: HostName(), PID: os.Getpid(), Acquired: at, Heartbeat: at,
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
			interrupted(l)
			<-t.C
		}
	}
	return l, l.Check()
}

// claim writes our lease and gives the one that it replaces, nil = there was none.
func (l *Lease) claim() (*rundir.Lease, error) {
	held, err := Read(l.file)
	if err != nil {
		return nil, err
	}
	if held == nil {
		err := rundir.CreateJSON(l.file, l.mine)
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if held, err = Read(l.file); err != nil || held == nil || held.Owner == l.mine.Owner {
			return nil, err // over NFS a call that has succeeded may be repeated, and then fail
		}
	}
	if Lives(*held, l.mine.Acquired) {
		return nil, &BusyError{Lease: *held}
	}
	if held.Released != nil {
		return l.take(held)
	}
	return held, rundir.WriteJSON(l.file, l.mine)
}

// claimed ends the name of the file of whoever takes a lease that was given back.
const claimed = ".claim"

// take writes our lease over one that was given back. Of several who find it so only the
// one that made the claim's file may; it looks again first, for it may come late.
func (l *Lease) take(held *rundir.Lease) (*rundir.Lease, error) {
	for err := rundir.CreateJSON(l.file+claimed, l.mine); err != nil; err = rundir.CreateJSON(l.file+claimed, l.mine) {
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		other, err := Read(l.file + claimed)
		switch {
		case err != nil:
			return nil, err
		case other == nil: // whoever it was is through
			if err := l.still(held); err != nil {
				return nil, err
			}
			continue
		case other.Owner == l.mine.Owner: // over NFS a call that has succeeded may be repeated, and then fail
		case Driven(*other, l.mine.Acquired):
			return nil, &BusyError{Lease: *other}
		default: // it died over it: whoever comes now has to wait and look
			_ = os.Remove(l.file + claimed)
			return other, rundir.WriteJSON(l.file, l.mine)
		}
		break
	}
	defer func() { _ = os.Remove(l.file + claimed) }()
	if err := l.still(held); err != nil {
		return nil, err
	}
	return held, rundir.WriteJSON(l.file, l.mine)
}

// still reports, as an error, that the lease is not the one any more that was read.
func (l *Lease) still(held *rundir.Lease) error {
	now, err := Read(l.file)
	switch {
	case err != nil:
		return err
	case now == nil:
		return ErrLost
	case now.Owner != held.Owner || now.Released == nil:
		return &BusyError{Lease: *now}
	}
	return nil
}

// Read reads a lease; nil = nobody has held it.
func Read(file string) (*rundir.Lease, error) {
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

// unheardBound is how long a lease that can be read may go unwritten, on a full disk: as long as nobody has taken over,
// the drive goes on, to say what has become of its jobs. After twice that long they would be swept.
const unheardBound = 15 * time.Minute

// Lives reports whether the holder has to be taken for alive by one who wants to
// drive the run: an earlier drive of this very process is over.
func Lives(l rundir.Lease, now time.Time) bool {
	return Driven(l, now) && (l.PID != os.Getpid() || l.Host != HostName())
}

// Driven reports whether the run has a driver, as far as its lease tells.
func Driven(l rundir.Lease, now time.Time) bool {
	return l.Released == nil && now.Sub(l.Heartbeat) < TTL && (l.Host != HostName() || proc.Exists(l.PID))
}

// Check reads the lease; it is ErrLost when it is no longer ours.
func (l *Lease) Check() error {
	held, err := Read(l.file)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if held == nil || held.Owner != l.mine.Owner {
		return ErrLost
	}
	l.seen = l.now()
	return nil
}

// silent says for how long nobody has been told that we live, and unseen for how long we have not been told that nobody
// else has taken over.
func (l *Lease) silent() (unheard, unseen time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Sub(l.mine.Heartbeat), l.now().Sub(l.seen)
}

// Renew gives a sign of life, after looking whether the lease is still ours.
func (l *Lease) Renew() error {
	if err := l.Check(); err != nil {
		return err
	}
	mine := l.Record()
	mine.Heartbeat = l.now()
	return l.write(mine)
}

func (l *Lease) write(mine rundir.Lease) error {
	err := rundir.WriteJSON(l.file, mine)
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.mine = mine
	}
	return err
}

// Record is the lease as last written.
func (l *Lease) Record() rundir.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine
}

// Release gives the lease back. detached says that jobs go on without a driver
// on purpose.
func (l *Lease) Release(detached bool) error {
	if err := l.Check(); err != nil {
		if errors.Is(err, ErrLost) {
			return nil
		}
		return err
	}
	at, mine := l.now(), l.Record()
	mine.Released, mine.Detached, mine.Heartbeat = &at, detached, at
	return l.write(mine)
}

// Return puts the lease back that ours took the place of: the run is whose it was.
func (l *Lease) Return(held rundir.Lease) error {
	if err := l.Check(); err != nil {
		if errors.Is(err, ErrLost) {
			return nil
		}
		return err
	}
	return rundir.WriteJSON(l.file, held)
}

// Keep renews the lease until ctx ends; beat is called each time. lost is called once, when another driver
// has taken over or no sign of life could be written for too long: whoever takes
// over must find us silent.
func (l *Lease) Keep(ctx context.Context, every time.Duration, beat func(), lost func(error)) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := l.Renew()
		unheard, unseen := l.silent()
		switch {
		case errors.Is(err, ErrLost):
			lost(err)
			return
		case err != nil && (unseen > TTL*3/4 || unheard > unheardBound):
			lost(fmt.Errorf("%w, or will: %w", ErrLost, err))
			return
		}
		beat()
	}
}
