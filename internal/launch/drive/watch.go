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
func (m caseStep) resolve() {
	c := m.c
	c.facts.Now, c.facts.Job, c.facts.AcctOff = m.at, c.job, m.acctOff
	r := outcome.Resolve(c.facts)
	if r.Cancel != "" && (c.endSent.IsZero() || m.at.Sub(c.endSent) > cancelAgain) {
		m.cancel(r.Cause, r.As, r.Cancel)
	}
	if r.Done {
		m.close(r)
		return
	}
	c.last = r
	m.tellQueue()
	if r.Ask != 0 {
		m.ask()
	}
	if !c.endSent.IsZero() && m.at.Sub(c.endSent) > cancelAgain {
		m.cancel(c.job.Cancel.Cause, c.job.Cancel.Outcome, c.job.Cancel.Reason)
	}
}

// cancelAgain is how long a cancelled job may go on before it is cancelled once
// more: a scancel can get lost.
const cancelAgain = 30 * time.Second

// cancel asks for the end of one attempt and notes why.
func (m caseStep) cancel(cause rundir.CancelCause, as rundir.Outcome, why string) {
	c := m.c
	if c.job.Cancel == nil {
		c.job.Cancel = &rundir.Cancel{At: m.at, Cause: cause, Reason: why, Outcome: as}
		m.tell(Warning, m.i, "ending it: %s", why)
	}
	c.endSent, c.facts.Job = m.at, c.job
	m.doFor(m.i, action{kind: doCancel})
	m.doFor(m.i, action{kind: doNote})
	m.queue.reset(m.at, time.Second)
}

// ask puts the questions that would settle more, at most every few seconds.
func (m caseStep) ask() {
	c := m.c
	wait := 2 * time.Second
	switch q := c.facts.Queue.Row; {
	case q != nil && q.State.Class() == slurm.Waiting: // slurmctld has not answered, and the job may wait for hours
		wait = 30 * time.Second
	case !c.facts.AbsentSince.IsZero() && m.at.Sub(c.facts.AbsentSince) > 30*time.Second:
		wait = 20 * time.Second
	}
	if c.asking || m.at.Sub(c.askedAt) < wait {
		return
	}
	c.asking, c.askedAt = true, m.at
	m.doFor(m.i, action{kind: doAsk, ask: c.last.Ask, nodes: c.last.Nodes})
}

// takeAnswers takes what scontrol, sacct and sinfo have said.
func (m *machine) takeAnswers(c *caseState, a answers) {
	c.asking = false
	if a.asked&outcome.AskControl != 0 && a.ctlErr == nil {
		c.facts.Control = outcome.Seen[slurm.ControlJob]{At: m.at, Row: a.control}
	}
	if a.asked&outcome.AskAccounting != 0 && a.rowErr == nil {
		c.facts.Acct = outcome.Seen[slurm.AcctRow]{At: m.at, Row: slurm.NewestRow(a.rows, c.job.ID)}
	}
	if a.asked&outcome.AskNodes != 0 && a.nodeErr == nil {
		c.facts.Trouble = outcome.Seen[[]slurm.NodeTrouble]{At: m.at, Row: &a.trouble}
	}
	m.acctOff = m.acctOff || errors.Is(a.rowErr, slurm.ErrNoAccounting)
}

// readAgents has the agents' records read: free of charge for Slurm.
func (m *machine) readAgents() {
	if m.reading {
		return
	}
	var a action
	for i := range m.cases {
		if c := &m.cases[i]; c.watched() {
			a.watch = append(a.watch, follow.Job{Name: c.plan.Case.ID, There: c.there, Job: c.job})
			a.watched = append(a.watched, c.key(i))
		}
	}
	if len(a.watch) == 0 {
		return
	}
	m.reading = true
	a.kind = doRead
	m.do(a)
}

// seeAgents takes what the agents have written, and whether their processes live.
func (m *machine) seeAgents(watched []key, sights []follow.Sight) {
	m.reading = false
	for n, s := range sights {
		i := watched[n].cas
		c := &m.cases[i]
		if !c.watched() || c.key(i) != watched[n] {
			continue
		}
		if s.Local && c.facts.Local.Alive && !s.Alive {
			c.facts.Local = &outcome.Process{GoneSince: m.at}
		}
		if s.Record != nil {
			m.of(i).seeAgent(s.Record)
		}
	}
}

// seeAgent takes an agent's record that has changed.
func (m caseStep) seeAgent(rec *rundir.AgentRecord) {
	c := m.c
	before := c.facts.Agent
	c.facts.Agent, c.facts.AgentChanged = rec, m.at
	if c.facts.AgentSeen.IsZero() {
		c.facts.AgentSeen = m.at
	}
	m.tellAgent(before, rec)
	if rec.End != nil && c.facts.EndSeen.IsZero() {
		c.facts.EndSeen = m.at
		m.queue.reset(m.at, 1500*time.Millisecond) // the batch script ends in a moment
	}
}

// tellAgent tells what changed in the record.
func (m caseStep) tellAgent(before, rec *rundir.AgentRecord) {
	c := m.c
	c.last.Phase = rec.Phase
	if before == nil || before.Phase != rec.Phase {
		m.tell(PhaseNow, m.i, "phase %s", rec.Phase)
	}
	for _, r := range rec.Roles {
		if c.roles[r.Name] == r.State {
			continue
		}
		c.setRole(r.Name, r.State)
		switch r.State {
		case rundir.RoleEnded:
			m.tell(Role, m.i, "%s ended: %s", r.Name, r.EndWords())
			if r.StoppedBy == "" {
				m.queue.soon(m.at, 5*time.Second) // perhaps the whole job is ending
			}
		case rundir.RolePending:
		default:
			m.tell(Role, m.i, "%s %s", r.Name, strings.ReplaceAll(r.State, "_", " "))
		}
	}
}

// statusLine says once a minute where things stand.
func (m *machine) statusLine() {
	if m.status.IsZero() {
		m.status = m.at
	}
	if m.at.Sub(m.status) < time.Minute {
		return
	}
	m.status = m.at
	counts := map[string]int{}
	for i := range m.cases {
		switch c := &m.cases[i]; {
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
	if m.backend == rundir.BackendSlurm {
		text += fmt.Sprintf("; %d Slurm calls so far", m.calls)
	}
	m.tell(Status, -1, "%s", text)
}
