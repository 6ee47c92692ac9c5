package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// brokenAfter is how long the record may go unwritten before that counts: a file
// server may be away for a moment. A full or read-only disk counts at once.
const brokenAfter = 30 * time.Second

// snapshot is what is written: the record, and each role's part of it.
type snapshot = rundir.AgentRecord

// recorder writes the newest snapshot, in a goroutine of its own, so that a
// stalled file system holds nothing up but the record.
type recorder struct {
	dir    rundir.AttemptDir
	broken func(error)
	box    chan snapshot // holds at most the newest
	done   chan struct{}
	last   time.Time // of the last put; used by the loop only
	once   sync.Once
	roles  map[string]rundir.RoleRecord // as last written
}

func newRecorder(dir rundir.AttemptDir, broken func(error)) *recorder {
	r := &recorder{dir: dir, broken: broken, box: make(chan snapshot, 1), done: make(chan struct{}), roles: map[string]rundir.RoleRecord{}}
	go r.run()
	return r
}

// put hands over a new snapshot when something changed or the heartbeat is due.
func (r *recorder) put(take func() snapshot, changed bool, at time.Time, heartbeat time.Duration) {
	// Half the interval: the write itself and a busy loop take their time too.
	if !changed && at.Sub(r.last) < heartbeat/2 {
		return
	}
	r.last = at
	s := take()
	for {
		select {
		case r.box <- s:
			return
		default:
		}
		select {
		case <-r.box: // an older one that nobody has taken
		default:
		}
	}
}

func (r *recorder) run() {
	defer close(r.done)
	var failing time.Time
	for s := range r.box {
		err := r.write(s)
		switch {
		case err == nil:
			failing = time.Time{}
		case failing.IsZero() && !full(err):
			failing = s.Heartbeat
		case full(err) || s.Heartbeat.Sub(failing) >= brokenAfter:
			r.once.Do(func() { go r.broken(err) })
		}
	}
}

func (r *recorder) write(s snapshot) error {
	var errs []error
	for _, role := range s.Roles {
		if old, ok := r.roles[role.Name]; ok && reflect.DeepEqual(old, role) {
			continue
		}
		if err := rundir.WriteJSON(r.dir.RoleStatus(role.Name), rundir.RoleStatus{Schema: rundir.Schema, RoleRecord: role}); err != nil {
			errs = append(errs, err)
			continue
		}
		r.roles[role.Name] = role
	}
	return errors.Join(append(errs, rundir.WriteJSON(r.dir.AgentFile(), s))...)
}

// full says that writing will not work again by itself.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// stop ends the goroutine; a write that hangs is not waited for.
func (r *recorder) stop() {
	close(r.box)
	t := time.NewTimer(10 * time.Second)
	defer t.Stop()
	select {
	case <-r.done:
	case <-t.C:
	}
}

// snapshot is the record as of now.
func (a *agent) snapshot(now time.Time) snapshot {
	rec := a.header(now)
	rec.Phase = a.st.phase
	rec.Phases = append(rec.Phases, a.st.spans...)
	rec.Timeline = append(rec.Timeline, a.st.timeline...)
	for i := range a.st.roles {
		rec.Roles = append(rec.Roles, a.roleRecord(i))
	}
	return rec
}

func (a *agent) roleRecord(i int) rundir.RoleRecord {
	r := a.st.roles[i]
	rec := rundir.RoleRecord{
		Name: r.name, Kind: r.kind, State: r.state, Nodes: r.nodes, Error: r.err,
		Started: timeOrNil(r.started), Ready: timeOrNil(r.readyAt), Ended: timeOrNil(r.ended), StopSent: timeOrNil(r.stopSent),
		Exit: r.end.Exit, Signal: r.end.Signal, OOM: r.end.OOM, FirstTask: r.end.First, StoppedBy: a.st.stoppedBy(r),
	}
	if s := a.steps[i]; s != nil {
		rec.Step = s.id()
	}
	if l := a.logs[i]; l != nil {
		st := l.state()
		rec.LogBytes, rec.LostBytes = l.written()
		if st.first != nil {
			rec.FirstError = &st.first.LogLine
		}
		for _, k := range st.candidates {
			rec.Lines = append(rec.Lines, k.LogLine)
		}
	}
	return rec
}

// stoppedBy says who asked for a role's end. An end after our SIGTERM is ours.
// One by a signal while the job as a whole is being ended is Slurm's.
func (s state) stoppedBy(r role) string {
	if r.state != rundir.RoleEnded || s.ending == nil {
		return ""
	}
	if !r.stopSent.IsZero() && !r.fell().Before(r.stopSent) {
		return "agent"
	}
	if r.end.Signal != 0 && s.jobEnded() {
		return "slurm"
	}
	return ""
}

// jobEnded says that Slurm was ending the job as a whole.
func (s state) jobEnded() bool {
	if s.ending == nil {
		return false
	}
	switch s.ending.job.State {
	case "CANCELLED", "PREEMPTED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "COMPLETING":
		return true
	}
	return s.ending.signal != "" && s.askJob && s.ending.job.State == ""
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// collect waits until every reaped role's log is complete.
func (a *agent) collect(gaveUp bool) {
	done := make(chan struct{})
	go func() { a.closing.Wait(); close(done) }()
	bound := orDefault(a.plan.Budgets.Collect.D(), time.Minute)
	if gaveUp {
		bound = time.Second // that step will not be reaped any more
	}
	t := time.NewTimer(bound)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		a.say("logs are not complete after %v", bound)
	}
	a.send(event{kind: evCollected, at: a.o.Now()})
}

// finish closes the record. The error says that it could not be.
func (a *agent) finish() error {
	a.record.stop()
	now := a.o.Now()
	rec := a.snapshot(now)
	evidence := a.evidence()
	finding, outcome, reason := conclude(a.st, evidence)
	rec.End = &rundir.AgentEnd{At: now, Outcome: outcome, Reason: reason, Finding: finding}
	// Plain data: it cannot fail to encode, and without it the finding stands.
	rec.End.Evidence, _ = json.Marshal(evidence)
	a.epilogue(rec)
	err := a.record.write(rec)
	if err == nil && a.st.broken != "" {
		err = errors.New(a.st.broken)
	}
	for _, r := range rec.Roles {
		if r.LostBytes > 0 {
			err = errors.Join(err, fmt.Errorf("%d bytes of %s's output are lost", r.LostBytes, r.Name))
		}
	}
	if err != nil {
		err = fmt.Errorf("the run directory is incomplete: %w", err)
		a.say("%v", err)
	}
	return err
}

// epilogue says how it ended, and of a failure who and where.
func (a *agent) epilogue(rec rundir.AgentRecord) {
	a.say("outcome %s: %s", rec.End.Outcome, rec.End.Reason)
	f := rec.End.Finding
	if f == nil || f.Root == "" {
		return
	}
	for i, r := range rec.Roles {
		if r.Name != f.Root || a.logs[i] == nil {
			continue
		}
		if r.FirstError != nil {
			a.say("first error of %s: %s:%d: %s", r.Name, r.FirstError.File, r.FirstError.Number, r.FirstError.Text)
		}
		a.say("last lines of %s:", r.Name)
		for _, l := range a.logs[i].lastLines() {
			a.say("  %6d  %s", l.Number, l.Text)
		}
	}
}

// statusLine says once a minute where things stand.
func (a *agent) statusLine(now time.Time) {
	if every := orDefault(a.o.StatusEvery, time.Minute); a.statusAt.IsZero() || now.Sub(a.statusAt) < every {
		if a.statusAt.IsZero() {
			a.statusAt = now
		}
		return
	}
	a.statusAt = now
	var parts []string
	for _, r := range a.st.roles {
		if r.wave == waveMain || r.live() {
			parts = append(parts, r.name+" "+r.state)
		}
	}
	a.say("%s %s for %v; %s; last output %v ago", now.UTC().Format("15:04:05Z"), a.st.phase, now.Sub(a.st.since).Round(time.Second),
		strings.Join(parts, ", "), a.quiet(a.logs, now).Round(time.Second))
}

func signalName(sig os.Signal) string {
	if s, ok := sig.(syscall.Signal); ok {
		return rundir.SignalName(int(s))
	}
	return sig.String()
}
