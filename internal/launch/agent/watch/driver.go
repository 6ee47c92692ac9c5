package watch

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Driver watches the run's lease, which its driver renews: here where the file
// system is shared, else as a copy that it sends. What counts is that the record
// changes, on this machine's clock; the times in it are another machine's.
type Driver struct {
	File    string // the lease
	looked  time.Time
	last    rundir.Lease
	changed time.Time // zero = never seen
}

// lookEvery is how often the lease is read.
const lookEvery = 30 * time.Second

// Alone is how long the driver has given no sign of life, 0 = none was ever seen, or
// it has left the job alone on purpose. A lease that cannot be read says nothing.
func (d *Driver) Alone(now time.Time) time.Duration {
	if now.Sub(d.looked) >= lookEvery {
		d.looked = now
		var l rundir.Lease
		if err := rundir.ReadJSON(d.File, &l); err == nil && !sameSign(l, d.last) {
			d.last, d.changed = l, now
		}
	}
	if d.changed.IsZero() || d.last.Released != nil && d.last.Detached {
		return 0
	}
	return now.Sub(d.changed)
}

func sameSign(a, b rundir.Lease) bool { return a.Owner == b.Owner && a.Heartbeat.Equal(b.Heartbeat) }
