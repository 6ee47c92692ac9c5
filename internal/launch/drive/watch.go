package drive

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/follow"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// resolve finds out where an attempt stands, and acts on it.
func (t caseTransition) resolve() {
	c := t.c
	c.facts.Now, c.facts.Job, c.facts.AcctOff = t.at, c.job, t.acctOff
	r := outcome.Resolve(c.facts)
	if r.Cancel != "" && (c.endSent.IsZero() || t.at.Sub(c.endSent) > cancelAgain) {
		t.cancel(r.Cause, r.As, r.Cancel)
	}
	if r.Done {
		t.close(r)
		return
	}
	if r.Waits != "" && c.last.Waits == "" {
		t.tell(Warning, t.i, "%s", r.Waits)
	}
	c.last = r
	t.tellQueue()
	if r.Ask != 0 {
		t.ask()
	}
	if c.toEnd() && t.at.Sub(c.endSent) > cancelAgain {
		t.cancel(c.job.Cancel.Cause, c.job.Cancel.Outcome, c.job.Cancel.Reason)
	}
}

// cancelAgain is how long a cancelled job may go on before it is cancelled once more: a scancel can get lost.
const cancelAgain = 30 * time.Second

// cancel asks for the end of one attempt and notes why.
func (t caseTransition) cancel(cause rundir.CancelCause, as rundir.Outcome, why string) {
	c := t.c
	if !c.toEnd() {
		c.job.Cancel = &rundir.Cancel{At: t.at, Cause: cause, Reason: why, Outcome: as}
		t.tell(Warning, t.i, "ending it: %s", why)
	}
	c.endSent, c.facts.Job = t.at, c.job
	t.doFor(t.i, action{kind: doCancel})
	t.doFor(t.i, action{kind: doNote})
	t.queue.reset(t.at, time.Second)
}

// ask puts the questions that would settle more, at most every few seconds.
func (t caseTransition) ask() {
	c := t.c
	wait, silent := 2*time.Second, outcome.Silent(c.facts)
	switch q := c.facts.Queue.Row; {
	case c.last.Waits != "": // for the agent's record, up to an hour
		wait = 5 * time.Minute
	case silent: // for all cases together ten a minute at most, and each in its turn
		if wait = max(time.Minute, time.Duration(t.silent())*10*time.Second); t.at.Sub(t.queue.instead) < 6*time.Second {
			return
		}
	case c.last.Ask&outcome.AskNodes != 0: // it is over, and its nodes are waited for only for a moment
	case q != nil && q.State.Class() != slurm.Terminal: // slurmctld has not answered, or sacct; that may take hours
		wait = 30 * time.Second
	case !c.facts.AbsentSince.IsZero() && t.at.Sub(c.facts.AbsentSince) > 30*time.Second:
		wait = 20 * time.Second
	}
	if c.asking || t.at.Sub(c.askedAt) < wait {
		return
	}
	if c.asking, c.askedAt = true, t.at; silent {
		t.queue.instead = t.at
	}
	t.doFor(t.i, action{kind: doAsk, ask: c.last.Ask, nodes: c.last.Nodes})
}

// silent is of how many jobs squeue has said nothing for long.
func (t *transition) silent() (n int) {
	for i := range t.cases {
		if c := &t.cases[i]; c.watched() && outcome.Silent(c.facts) {
			n++
		}
	}
	return n
}

// takeAnswers takes what scontrol, sacct and sinfo have said.
func (t *transition) takeAnswers(c *caseState, a answers) {
	c.asking = false
	if a.asked&outcome.AskControl != 0 && a.ctlErr == nil {
		c.facts.Control = outcome.Seen[slurm.ControlJob]{At: t.at, Row: a.control}
	}
	if a.asked&outcome.AskAccounting != 0 && a.rowErr == nil {
		c.facts.Acct = outcome.Seen[slurm.AcctRow]{At: t.at, Row: slurm.NewestRow(a.rows, c.job.ID)}
	}
	if a.asked&outcome.AskNodes != 0 && a.nodeErr == nil {
		c.facts.Trouble = outcome.Seen[[]slurm.NodeTrouble]{At: t.at, Row: &a.trouble}
	}
	t.acctOff = t.acctOff || errors.Is(a.rowErr, slurm.ErrNoAccounting)
}

// readAgents has the agents' records read: free of charge for Slurm.
func (t *transition) readAgents() {
	if !t.reading.IsZero() {
		return
	}
	var a action
	for i := range t.cases {
		if c := &t.cases[i]; c.watched() {
			a.watch = append(a.watch, follow.Job{Name: c.plan.Case.ID, There: c.there, Job: c.job})
			a.watched = append(a.watched, c.key(i))
		}
	}
	if len(a.watch) == 0 {
		return
	}
	a.kind, t.reading = doRead, t.at
	t.do(a)
}

// seeAgents takes what the agents have written, and whether their processes live.
func (t *transition) seeAgents(watched []key, sights []follow.Sight) {
	looked := t.reading
	t.reading = time.Time{}
	for n, s := range sights {
		i := watched[n].cas
		c := &t.cases[i]
		if !c.watched() || c.key(i) != watched[n] {
			continue
		}
		if s.Local && c.facts.Local.Alive {
			c.facts.Local = &outcome.Process{Alive: s.Alive, Elsewhere: s.Elsewhere}
			if !s.Alive {
				c.facts.Local.GoneSince = looked
			}
		}
		if !s.Unread {
			c.facts.Looked = looked
		}
		if s.Record != nil {
			t.of(i).seeAgent(s.Record)
		}
	}
}

// seeAgent takes an agent's record that has changed.
func (t caseTransition) seeAgent(rec *rundir.AgentRecord) {
	c := t.c
	before := c.facts.Agent
	c.facts.Agent, c.facts.AgentChanged = rec, t.at
	if c.facts.AgentSeen.IsZero() {
		c.facts.AgentSeen = t.at
	}
	t.tellAgent(before, rec)
	if rec.End != nil && c.facts.EndSeen.IsZero() {
		c.facts.EndSeen = t.at
		t.queue.reset(t.at, time.Second*9/10) // by the next look the batch script has ended
	}
}

// tellAgent tells what changed in the record.
func (t caseTransition) tellAgent(before, rec *rundir.AgentRecord) {
	c := t.c
	c.last.Phase = rec.Phase
	if before == nil || before.Phase != rec.Phase {
		t.tell(PhaseNow, t.i, "phase %s", rec.Phase)
	}
	for _, r := range rec.Roles {
		if c.roles[r.Name] == r.State {
			continue
		}
		c.setRole(r.Name, r.State)
		switch r.State {
		case rundir.RoleEnded:
			t.tell(Role, t.i, "%s ended: %s", r.Name, r.EndWords())
			if r.StoppedBy == "" {
				t.queue.soon(t.at, 5*time.Second) // perhaps the whole job is ending
			}
		case rundir.RolePending:
		default:
			t.tell(Role, t.i, "%s %s", r.Name, strings.ReplaceAll(r.State, "_", " "))
		}
	}
}

// statusLine says once a minute where things stand.
func (t *transition) statusLine() {
	if t.status.IsZero() {
		t.status = t.at
	}
	if t.at.Sub(t.status) < time.Minute {
		return
	}
	t.status = t.at
	counts := map[string]int{}
	for i := range t.cases {
		switch c := &t.cases[i]; {
		case c.ending():
			counts["ending"]++
		case c.live() && c.facts.Agent == nil:
			counts["queued"]++
		case c.live():
			counts["running"]++
		case c.stage == stageDue:
			counts["waiting"]++
		default:
			counts["done"]++
		}
	}
	var parts []string
	for _, k := range []string{"running", "queued", "waiting", "ending", "done"} {
		if counts[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
		}
	}
	text := strings.Join(parts, ", ")
	if t.backend == rundir.BackendSlurm {
		text += fmt.Sprintf("; %d Slurm calls so far", t.calls)
	}
	t.tell(Status, -1, "%s", text)
}
