package agent

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/runorder"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// lookEvery is how often the answer of the run's driver is looked for while the agent
// waits for one.
const lookEvery = 200 * time.Millisecond

// consult takes the driver's answers to the pairs measured so far, and waits for the one
// to the pair that has just ended, for as long as the plan says. A signal ends the wait,
// and is what comes back.
func (a *agent) consult(todo *runorder.Order) os.Signal {
	if !a.plan.IsSession() {
		return nil
	}
	began := a.o.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		a.readAnswers(todo)
		now := a.o.Now()
		if _, waits := todo.Asking(); !waits || now.Sub(began) >= a.plan.Pairs.AnswerWait.D() {
			return nil
		}
		if now.Sub(a.written.Heartbeat) >= cmp.Or(a.o.Heartbeat, 5*time.Second)/2 {
			a.written.Heartbeat = now
			_ = a.files.WriteJSON(a.dir.AgentFile(), a.written) // a sign of life: the next run says so if it cannot be written
		}
		select {
		case sig := <-a.o.Signals:
			return sig
		case <-tick.C:
		}
	}
}

// readAnswers takes what the driver has answered since, to whichever pair. What cannot
// be read is no answer.
func (a *agent) readAnswers(todo *runorder.Order) {
	for _, run := range todo.Open() {
		var answer rundir.Answer
		if a.files.ReadJSON(a.dir.AnswerFile(run), &answer) != nil || answer.After != run {
			continue
		}
		a.say("answer after run %d: %s: %s", run, answer.Do, answer.Why)
		todo.Answered(answer)
	}
}

// closeSession closes the record of a session that has come to its end. What became of
// single runs stands in their records; for the job stands the failure of head that base
// does not share, or that of all pairs.
func (a *agent) closeSession(todo *runorder.Order) error {
	now := a.o.Now()
	rec := a.written
	rec.Heartbeat, rec.Phase, rec.Runs = now, rundir.PhaseDone, a.ends
	rec.End = &rundir.AgentEnd{At: now, Outcome: rundir.OutcomePassed, Reason: fmt.Sprintf("the session ended after %d pairs: %s", len(rundir.PairsOf(a.ends)), todo.Why())}
	shows, fails := a.standsFor(todo)
	if shows != nil {
		var run rundir.RunRecord
		if err := a.files.ReadJSON(a.dir.Run(shows.Run.Index).RecordFile(), &run); err != nil {
			return a.cannot(err)
		}
		rec.RunAccount = run.RunAccount
		if fails {
			rec.End = todo.Own(run.End)
			rec.End.At, rec.End.Reason = now, fmt.Sprintf("%s: run %d (%s): %s", todo.Why(), run.Run.Index, run.Run.Build, run.End.Reason)
		}
	}
	a.say("outcome %s: %s", rec.End.Outcome, rec.End.Reason)
	return a.files.WriteJSON(a.dir.AgentFile(), rec)
}

// standsFor is the run that the job's record shows, and whether its failure is the job's:
// that of head that base does not share, or one of those that left no pair. Else it is the
// last one of head that passed; nil where there is none.
func (a *agent) standsFor(todo *runorder.Order) (shows *rundir.RunEnd, fails bool) {
	if head := todo.HeadFailed(); head != nil {
		return head, true
	}
	for i := len(a.ends) - 1; i >= 0; i-- {
		e := &a.ends[i]
		switch passed := e.Outcome == rundir.OutcomePassed; {
		case todo.NoPair() && !passed:
			return e, true
		case passed && e.Run.Build == rundir.HeadBuild && (shows == nil || shows.Run.Build != rundir.HeadBuild):
			shows = e
		}
	}
	return shows, false
}

// signalledBetween ends the job as a signal during a run would have.
func (v *supervisor) signalledBetween(ctx context.Context, sig os.Signal) error {
	now := v.o.Now()
	s, _ := next(state{limits: v.st.limits, phase: rundir.PhaseSetup}, event{kind: evSignal, at: now, text: rundir.SignalOf(sig)})
	if v.starter.Asks() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.st.askJobBound)
		defer cancel()
		s.ending.job = v.starter.Job(ctx)
	}
	finding, outcome, reason := conclude(s, s.evidence())
	rec := v.written
	rec.Heartbeat, rec.Timeline = now, append(rec.Timeline, s.timeline...)
	rec.End = &rundir.AgentEnd{At: now, Outcome: outcome, Reason: reason, Finding: finding}
	v.say("outcome %s: %s", outcome, reason)
	return v.files.WriteJSON(v.dir.AgentFile(), rec)
}
