package follow

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// sizeTimeout bounds the question how much a job has printed, which resume asks of one job after another.
const sizeTimeout = 15 * time.Second

// Job is an attempt under way.
type Job struct {
	Name  string            // of the case, for the console
	There rundir.AttemptDir // as the job sees it
	Job   rundir.Job
}

// Sight is what there is to be seen of one agent.
type Sight struct {
	Record *rundir.AgentRecord // nil: nothing new
	Unread bool                // whether there is a record, and which, could not be found out
	Local  bool                // it is a process of this machine, or of Elsewhere
	Alive  bool
	// Elsewhere is the host on which it cannot be seen from here. "" = it is here.
	Elsewhere string
}

// Reader reads what the agents write.
type Reader struct {
	access runs.Access
	saw    func(context.Context, []Job, []Sight)

	mu      sync.Mutex
	console *console
	last    map[string]string // agent.json as last read, by path
}

// Listeners are told what was read.
type Listeners struct {
	// Console receives what the jobs print (the roles' multiplexed output), each line
	// prefixed with the case when there are several; nil = nothing.
	Console io.Writer
	Saw     func(context.Context, []Job, []Sight) // what was seen of the agents, one Sight per Job; nil = nobody is told
}

// New is a Reader; prefix says that each line of a job begins with its case.
func New(access runs.Access, to Listeners, prefix bool) *Reader {
	if to.Saw == nil {
		to.Saw = func(context.Context, []Job, []Sight) {}
	}
	return &Reader{access: access, saw: to.Saw, console: newConsole(to.Console, prefix), last: map[string]string{}}
}

// Offsets says from where on each job's output is read.
func (r *Reader) Offsets(watch []Job) map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int64{}
	for _, w := range watch {
		r.console.offset(out, w.There.SlurmOut(), w.Name)
	}
	return out
}

// Read reads the agents' records and the jobs' output, after a look at the processes:
// a record is complete when its process was gone before it was read. There is one
// Sight per job, in their order.
func (r *Reader) Read(ctx context.Context, watch []Job, offsets map[string]int64) []Sight {
	sights := make([]Sight, len(watch))
	paths := make([]string, 0, len(watch))
	for i, w := range watch {
		if w.Job.Backend == rundir.BackendLocal {
			sights[i].Local, sights[i].Alive, sights[i].Elsewhere = true, jobs.Alive(w.Job), jobs.Elsewhere(w.Job)
		}
		paths = append(paths, w.There.AgentFile())
	}
	got, err := r.access.Host.Read(ctx, runs.MaxRecord, paths...)
	unread := r.unread(paths, got, err)
	parts, _ := r.access.Host.ReadAt(ctx, consolePart, offsets)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range watch {
		sights[i].Record, sights[i].Unread = r.record(w, got[paths[i]]), unread[paths[i]]
	}
	r.console.print(offsets, parts)
	r.saw(ctx, watch, sights)
	return sights
}

// unread are those of the paths of which it is not known what is there, if only nothing, or something that is no file:
// err is of a look at all of them, which got these.
func (r *Reader) unread(paths []string, got map[string][]byte, err error) map[string]bool {
	if err == nil {
		return nil
	}
	r.access.Log.Debug("agent records", "err", err)
	var some host.UnreadError
	errors.As(err, &some)
	out := map[string]bool{}
	for _, p := range paths {
		of := err
		if some != nil {
			of = some[p]
		}
		_, ok := got[p]
		out[p] = !ok && of != nil && !errors.As(of, new(*rundir.NodeError))
	}
	return out
}

// record is an agent's record that has changed. One that cannot be read, or is
// another job's, says nothing.
func (r *Reader) record(w Job, data []byte) *rundir.AgentRecord {
	path := w.There.AgentFile()
	if len(data) == 0 || r.last[path] == string(data) {
		return nil
	}
	var rec rundir.AgentRecord
	if json.Unmarshal(data, &rec) != nil || rec.Schema > rundir.Schema || rec.JobID != w.Job.ID {
		return nil
	}
	r.last[path] = string(data)
	return &rec
}

// restPart bounds what is read at a time of what a job printed last, and how often that is done.
const restPart, restTimes = 16 * consolePart, 16

// Rest shows what a job that is over has printed since it was last read: of very much the beginning and the end, since
// what it died of stands there.
func (r *Reader) Rest(ctx context.Context, there rundir.AttemptDir) {
	r.mu.Lock()
	out := map[string]int64{}
	r.console.offset(out, there.SlurmOut(), "")
	r.mu.Unlock()
	for i, more := 0, true; more && i < restTimes; i++ {
		more = r.restFrom(ctx, there.SlurmOut(), out)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.console.end(there.SlurmOut())
	delete(r.last, there.AgentFile())
}

// restFrom shows what is read of a file at once, and reports whether there may be more, from where from says then.
func (r *Reader) restFrom(ctx context.Context, path string, from map[string]int64) bool {
	parts, err := r.access.Host.ReadAt(ctx, restPart, from)
	if err != nil {
		r.access.Log.Warn("what the job printed last is not shown: it could not be read", "file", path, "err", err)
	}
	var size int64
	more := len(parts[path]) == restPart
	if more {
		size, _ = r.size(ctx, path)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.console.print(from, parts)
	if more {
		r.console.skip(path, size-restPart)
	}
	shown := from[path] + int64(len(parts[path]))
	r.console.offset(from, path, "")
	return more || from[path] != shown // somebody else has shown less meanwhile
}

// Resume leaves out what a job has printed before this process, wherever its output is.
// Where that cannot be found out, it is shown again.
func (r *Reader) Resume(ctx context.Context, there rundir.AttemptDir) {
	if r.console.out == nil {
		return
	}
	path := there.SlurmOut()
	size, ok := r.size(ctx, path)
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok {
		r.console.logs[path] = &logTail{offset: size}
	}
}

// size is how large a regular file is.
func (r *Reader) size(ctx context.Context, path string) (int64, bool) {
	if r.access.Host.Shared() {
		st, err := os.Lstat(path)
		if err != nil || !st.Mode().IsRegular() {
			return 0, false
		}
		return st.Size(), true
	}
	res, err := r.access.Host.Run(ctx, host.Cmd{
		Argv: []string{"sh", "-c", `[ -f "$1" ] && [ ! -h "$1" ] && exec wc -c <"$1"`, "sh", path}, Timeout: sizeTimeout, MaxOutput: 100,
	})
	if err != nil || res.Exit != 0 {
		return 0, false
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(res.Stdout)), 10, 64)
	return size, err == nil
}
