package drive

import (
	"context"
	"path/filepath"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
)

// showEvery is how often the lease is shown behind the login node.
const showEvery = 30 * time.Second

// showLease copies the lease to where the jobs are, if that is another file
// system: sweep finds the owner of a job from the job alone, on any machine.
func (d *driver) showLease(work context.Context) {
	if d.o.Host.Shared() || d.o.Backend == jobs.BackendLocal || d.o.Now().Sub(d.shown) < showEvery || !d.showing.CompareAndSwap(false, true) {
		return
	}
	d.shown = d.o.Now()
	go func() { // a connection that hangs must not hold up our signs of life
		defer d.showing.Store(false)
		if err := d.o.Host.Push(work, string(d.o.Dir), string(d.far), []string{filepath.Base(d.o.Dir.LeaseFile())}); err != nil {
			d.o.Log.Warn("lease behind the login node", "err", err)
		}
	}()
}
