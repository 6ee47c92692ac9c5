package agent

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/node"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// snapshot is the record as of now.
func (v *supervisor) snapshot(now time.Time) rundir.AgentRecord {
	rec := v.header(now)
	rec.Run, rec.Runs = v.ref, slices.Clone(v.ends)
	rec.Phase = v.st.phase
	rec.Phases = append(rec.Phases, v.st.spans...)
	rec.Timeline = append(rec.Timeline, v.st.timeline...)
	rec.Stalls = slices.Clone(v.stalls)
	if v.helpers != nil {
		rec.Switches = v.helpers.switches
	}
	for i := range v.st.roles {
		rec.Roles = append(rec.Roles, v.roleRecord(i))
	}
	return rec
}

func (v *supervisor) roleRecord(i int) rundir.RoleRecord {
	r := v.st.roles[i]
	rec := rundir.RoleRecord{
		Name: r.name, Kind: r.kind, State: r.state, Nodes: r.nodes, Error: r.err,
		Started: timeOrNil(r.started), Ready: timeOrNil(r.readyAt), Ended: timeOrNil(r.ended), StopSent: timeOrNil(r.stopSent),
		Exit: r.end.Exit, Signal: r.end.Signal, OOM: r.end.OOM, FirstTask: r.end.First, StoppedBy: v.st.stoppedBy(r),
	}
	if s := v.steps[i]; s != nil {
		rec.Step = s.ID()
	}
	if l := v.logs[i]; l != nil {
		st := l.State()
		rec.LogBytes, rec.LostBytes = l.Written()
		if st.First != nil {
			rec.FirstError = &st.First.LogLine
		}
		for _, k := range st.Candidates {
			rec.Lines = append(rec.Lines, k.LogLine)
		}
	}
	return rec
}

// stoppedBy says who asked for a role's end. An end after our SIGTERM is ours.
// One by a signal while the job as a whole is being ended is Slurm's.
func (s state) stoppedBy(r role) string {
	if r.state != rundir.RoleEnded {
		return ""
	}
	if !r.stopSent.IsZero() && !r.failedAt().Before(r.stopSent) {
		return rundir.StoppedByAgent
	}
	if s.jobEnded() && blame.SentWithJob(r.end.Signal, r.failedAt(), s.extra, s.ending.job) {
		return rundir.StoppedBySlurm
	}
	return ""
}

// endsJob reports whether nothing can run after this: the job is being ended, or its
// directory or a step is beyond reach.
func (s state) endsJob() bool {
	return s.broken != "" || s.ending != nil && (s.ending.signal != "" || s.ending.gaveUp || s.jobEnded()) ||
		s.count(func(r role) bool { return r.end.Stuck }) > 0
}

// jobEnded reports whether Slurm was ending the job as a whole.
func (s state) jobEnded() bool {
	return s.ending != nil && (blame.JobEnds(s.ending.job.State) || s.ending.signal != "" && s.askJob && s.ending.job.State == "")
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// collect waits until every reaped role's log is complete.
func (v *supervisor) collect(gaveUp bool) {
	done := make(chan struct{})
	go func() {
		v.helpers.stop()
		v.closing.Wait()
		close(done)
	}()
	bound := cmp.Or(v.plan.Budgets.Collect.D(), time.Minute)
	if gaveUp {
		bound = time.Second // that step will not be reaped any more
	}
	select {
	case <-done:
	case <-time.After(bound):
		v.say("logs are not complete after %v", bound)
	}
	v.send(event{kind: evCollected, at: v.o.Now()})
}

// finish closes the run's record, and the job's after its last run: a job ended as
// the first of its runs that did not pass. The error says that it could not be.
func (v *supervisor) finish(last bool) error {
	v.record.Stop()
	now := v.o.Now()
	seen := v.helpers.read(v.files, v.run)
	v.st.sighted(seen)
	v.stalls = append(v.stalls, node.Stalls(seen)...)
	v.st.word = v.watch.Wrote(v.drain, v.st.drainAt, statusDelay)
	if h := v.helpers; h != nil {
		if err := h.software.Write(h.names); err != nil {
			v.say("what the machines were is not written down: %v", err)
		}
	}
	rec := v.snapshot(now)
	evidence := v.evidence(seen)
	finding, outcome, reason := conclude(v.st, evidence)
	end := &rundir.AgentEnd{At: now, Outcome: outcome, Reason: reason, Finding: finding}
	// Plain data: it cannot fail to encode, and without it the finding stands.
	end.Evidence, _ = json.Marshal(evidence)
	v.epilogue(rec.Roles, end)
	err := v.files.WriteJSON(v.run.RecordFile(), rundir.RunRecord{
		Schema: rundir.Schema, JobID: v.jobID, Token: v.token, Nodes: v.nodes, Started: v.began, RunAccount: rec.RunAccount, End: end,
	})
	v.ends = append(v.ends, rundir.RunEnd{Run: v.ref, At: now, Outcome: outcome})
	v.installed[v.ref.Build] = !slices.ContainsFunc(v.st.roles, func(r role) bool { // else the build's next run does it again
		return r.wave == waveInstall && (r.state != rundir.RoleEnded || !r.end.Well())
	})
	if v.end == nil || v.end.Outcome == rundir.OutcomePassed || v.plan.IsSession() {
		v.end = end // of a session, the run that ends the job: others were no more than runs
	}
	if rec.Runs = v.ends; last {
		rec.End = v.end
	}
	v.written = rec
	err = errors.Join(err, v.record.Write(rec))
	if err == nil && v.st.broken != "" {
		err = errors.New(v.st.broken)
	}
	for _, r := range rec.Roles {
		if r.LostBytes > 0 {
			err = errors.Join(err, fmt.Errorf("%d bytes of %s's output are lost", r.LostBytes, r.Name))
		}
	}
	if err != nil {
		err = fmt.Errorf("the run directory is incomplete: %w", err)
		v.say("%v", err)
	}
	return err
}

// epilogue says how it ended, and of a failure who and where.
func (v *supervisor) epilogue(roles []rundir.RoleRecord, end *rundir.AgentEnd) {
	v.say("outcome %s: %s", end.Outcome, end.Reason)
	f := end.Finding
	if f == nil || f.Root == "" {
		return
	}
	for i, r := range roles {
		if r.Name != f.Root || v.logs[i] == nil {
			continue
		}
		if r.FirstError != nil {
			v.say("first error of %s: %s:%d: %s", r.Name, r.FirstError.File, r.FirstError.Number, r.FirstError.Text)
		}
		v.say("last lines of %s:", r.Name)
		for _, l := range v.logs[i].LastLines() {
			v.say("  %6d  %s", l.Number, l.Text)
		}
	}
}

// statusLine says once a minute where things stand.
func (v *supervisor) statusLine(now time.Time) {
	v.statusAt = cmp.Or(v.statusAt, now)
	if now.Sub(v.statusAt) < cmp.Or(v.o.StatusEvery, time.Minute) {
		return
	}
	v.statusAt = now
	var parts []string
	for _, r := range v.st.roles {
		if r.wave == waveMain || r.live() {
			parts = append(parts, r.name+" "+r.state)
		}
	}
	v.say("%s %s for %v; %s; last output %v ago", now.UTC().Format("15:04:05Z"), v.st.phase, now.Sub(v.st.since).Round(time.Second),
		strings.Join(parts, ", "), v.watch.Quiet(printed(v.logs), now).Round(time.Second))
}
