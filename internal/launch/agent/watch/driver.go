package watch

import (
	"context"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Driver watches the run's lease, which its driver renews: here where the file
// system is shared, else as a copy that it sends. What counts is that the record
// changes, on this machine's clock; the times in it are another machine's.
type Driver struct {
	File string // the lease

	mu      sync.Mutex
	last    rundir.Lease
	changed time.Time // zero = never seen
}

// lookEvery is how often the lease is read.
const lookEvery = 30 * time.Second

// Watch reads the lease now and then until ctx is done. A file server that hangs holds
// up nobody else.
func (d *Driver) Watch(ctx context.Context, now func() time.Time) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		d.look(now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// look reads the lease. One that cannot be read says nothing: the driver may be kept from writing it by the same file
// server, so the time without a sign begins anew.
func (d *Driver) look(now time.Time) {
	var l rundir.Lease
	err := rundir.ReadJSON(d.File, &l)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil && !d.changed.IsZero():
		d.changed = now
	case err == nil && !sameSign(l, d.last):
		d.last, d.changed = l, now
	}
}

// Alone is how long the driver has given no sign of life, 0 = none was ever seen, or
// it has left the job alone on purpose.
func (d *Driver) Alone(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed.IsZero() || d.last.Released != nil && d.last.Detached {
		return 0
	}
	return now.Sub(d.changed)
}

func sameSign(a, b rundir.Lease) bool { return a.Owner == b.Owner && a.Heartbeat.Equal(b.Heartbeat) }
