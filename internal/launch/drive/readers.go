package drive

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxRecord bounds agent.json: thousands of timeline entries and log lines.
const maxRecord = 32 << 20

// readers read what the agents write, and show this driver's lease where they are.
type readers struct {
	o Options

	mu      sync.Mutex
	console *console
	last    map[string]string // agent.json as last read, by path

	shown   time.Time // when the lease was last shown; the keeper's own
	showing atomic.Bool
}

func newReaders(o Options, prefix bool) *readers {
	return &readers{o: o, console: newConsole(o.Console, prefix), last: map[string]string{}}
}

// offsets says from where on each job's output is read.
func (r *readers) offsets(watch []watched) map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int64{}
	for _, w := range watch {
		r.console.offset(out, w.there.SlurmOut(), w.name)
	}
	return out
}

// read reads the agents' records and the jobs' output, after a look at the processes:
// a record is complete when its process was gone before it was read.
func (r *readers) read(work context.Context, watch []watched, offsets map[string]int64) event {
	e := event{kind: evAgents}
	paths := make([]string, 0, len(watch))
	for _, w := range watch {
		s := sight{of: w.of}
		if r.o.Backend == jobs.BackendLocal {
			s.local, s.alive = true, jobs.Alive(w.job)
		}
		e.sights = append(e.sights, s)
		paths = append(paths, w.there.AgentFile())
	}
	got, err := r.o.Host.Read(work, maxRecord, paths...)
	if err != nil {
		r.o.Log.Debug("agent records", "err", err)
	}
	parts, _ := r.o.Host.ReadAt(work, consolePart, offsets)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range watch {
		e.sights[i].record = r.record(w, got[paths[i]])
	}
	r.console.print(offsets, parts)
	return e
}

// record is an agent's record that has changed. One that cannot be read, or is
// another job's, says nothing.
func (r *readers) record(w watched, data []byte) *rundir.AgentRecord {
	path := w.there.AgentFile()
	if len(data) == 0 || r.last[path] == string(data) {
		return nil
	}
	var rec rundir.AgentRecord
	if json.Unmarshal(data, &rec) != nil || rec.Schema > rundir.Schema || rec.JobID != w.job.ID {
		return nil
	}
	r.last[path] = string(data)
	return &rec
}

// rest shows what a job that is over has printed since it was last read.
func (r *readers) rest(work context.Context, there rundir.AttemptDir) {
	r.mu.Lock()
	out := map[string]int64{}
	r.console.offset(out, there.SlurmOut(), "")
	r.mu.Unlock()
	parts, _ := r.o.Host.ReadAt(work, 16*consolePart, out)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.console.print(out, parts)
	delete(r.last, there.AgentFile())
}

// showEvery is how often the lease is shown behind the login node.
const showEvery = 30 * time.Second

// showLease copies the lease to where the jobs are, if that is another file
// system: sweep finds the owner of a job from the job alone, on any machine.
func (r *readers) showLease(work context.Context, far rundir.Dir) {
	if r.o.Host.Shared() || r.o.Backend == jobs.BackendLocal || r.o.Now().Sub(r.shown) < showEvery || !r.showing.CompareAndSwap(false, true) {
		return
	}
	r.shown = r.o.Now()
	go func() { // a connection that hangs must not hold up our signs of life
		defer r.showing.Store(false)
		if err := r.o.Host.Push(work, string(r.o.Dir), string(far), []string{filepath.Base(r.o.Dir.LeaseFile())}); err != nil {
			r.o.Log.Warn("lease behind the login node", "err", err)
		}
	}()
}
