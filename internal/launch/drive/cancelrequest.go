package drive

import (
	"errors"
	"io/fs"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// cancelRequested reads a request that is newer than our lease and is no helper's, be it ours or an earlier drive's.
func (d *driver) cancelRequested() (rundir.Cancel, bool) {
	var c rundir.Cancel
	err := rundir.ReadJSON(d.o.Dir.CancelFile(), &c)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.o.Log.Warn("cancel request", "err", err)
		}
		return c, false
	}
	return c, c.At.After(d.lease.Record().Acquired) && c.Cause != rundir.CauseInterrupted
}
