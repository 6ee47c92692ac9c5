package drive

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// cancelRequested reads a request that is newer than our lease.
func (d *driver) cancelRequested() (rundir.Cancel, bool) {
	var c rundir.Cancel
	err := rundir.ReadJSON(d.o.Dir.CancelFile(), &c)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.o.Log.Warn("cancel request", "err", err)
		}
		return c, false
	}
	return c, c.At.After(d.lease.Record().Acquired)
}

// requested is why ci-disagg cancel has ended a job, as the tail of a text; "" =
// it was not that. Often the job is over before its driver finds the request.
func (d *driver) requested(j rundir.Job) string {
	var c rundir.Cancel
	if err := rundir.ReadJSON(d.o.Dir.CancelFile(), &c); err != nil || c.At.Before(j.Intent) {
		return ""
	}
	return ": " + c.Reason
}

// cancelAll ends every attempt and submits nothing more: the run goes on to its
// report.
func (d *driver) cancelAll(work context.Context, why string) {
	if d.failed {
		return
	}
	d.failed = true
	d.tell(Next, nil, "the run was cancelled: %s", why)
	for _, c := range d.cases {
		if c.cur != nil && !c.cur.ending && c.cur.job.ID != "" {
			d.cancelJob(work, c, why, rundir.OutcomeCancelled)
		}
	}
}

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
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
