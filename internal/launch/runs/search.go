package runs

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// MaxRecord bounds agent.json: thousands of timeline entries and log lines.
const MaxRecord = 32 << 20

// Search is what a search for a job whose submission left no id has found.
type Search struct {
	Job slurm.Job
	OK  bool // it exists, or its agent has left a record with its id
	// Over says that whatever was started to submit it has certainly ended, Ran that its agent has left a record, or may
	// have: one that cannot be read. Blind says that squeue has not answered.
	Over, Ran, Blind bool
}

// Search looks for a job whose submission left no id: where it may be found by its name and, for it may be gone from
// there, in the record of its agent. With an error, nobody says that there is none.
func (a Access) Search(ctx context.Context, j rundir.Job, there rundir.AttemptDir) (s Search, err error) {
	s.Over = a.SubmissionOver(j) // asked first: what ends after the look may leave a job that this has not seen
	if s.Job, s.OK, err = a.backend(j).Find(ctx, j); s.OK && j.Backend != rundir.BackendLocal {
		return s, nil
	} // of the processes of a local job the record knows the agent's
	s.Blind = err != nil && !errors.Is(err, slurm.ErrNotQueued)
	got, unread := a.Host.Read(ctx, MaxRecord, there.AgentFile())
	data, left := got[there.AgentFile()]
	var rec rundir.AgentRecord
	if json.Unmarshal(data, &rec) == nil && rec.JobID != "" {
		s.OK, s.Job.ID = true, rec.JobID
	}
	if s.OK {
		return s, nil
	}
	s.Ran = left || unread != nil
	if err == nil && !errors.As(unread, new(*rundir.NodeError)) { // that stays; a file server may be away
		err = unread
	}
	if err != nil {
		a.Log.Debug("search", "name", j.Name, "err", err)
	}
	return s, err
}
