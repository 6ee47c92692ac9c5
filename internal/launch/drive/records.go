package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxRecord bounds agent.json: thousands of timeline entries and log lines.
const maxRecord = 32 << 20

// readAgents reads the agents' records: free of charge for Slurm.
func (d *driver) readAgents(work context.Context) {
	if d.agentBusy {
		return
	}
	paths := map[string]*theCase{}
	logs := map[string]*theCase{}
	for _, c := range d.cases {
		if a := c.cur; a != nil && a.job.ID != "" && !a.ending {
			paths[a.there.AgentFile()] = c
			logs[a.there.SlurmOut()] = c
		}
	}
	if len(paths) == 0 {
		return
	}
	d.agentBusy = true
	names := make([]string, 0, len(paths))
	for p := range paths {
		names = append(names, p)
	}
	offsets := d.console.offsets(logs)
	d.background(func() {
		got, err := d.o.Host.Read(work, maxRecord, names...)
		parts, _ := d.o.Host.ReadAt(work, consolePart, offsets)
		d.send(work, func(context.Context) {
			d.agentBusy = false
			if err != nil {
				d.o.Log.Debug("agent records", "err", err)
			}
			for p, data := range got {
				d.seeAgent(paths[p], data)
			}
			for p, data := range parts {
				d.console.print(logs[p], p, data)
			}
		})
	})
}

// seeAgent takes a record. One that cannot be read, or is another job's, says
// nothing.
func (d *driver) seeAgent(c *theCase, data []byte) {
	a := c.cur
	if a == nil || a.ending || string(data) == string(a.raw) {
		return
	}
	var rec rundir.AgentRecord
	if err := json.Unmarshal(data, &rec); err != nil || rec.Schema > rundir.Schema || rec.JobID != a.job.ID {
		return
	}
	now := d.o.Now()
	before := a.facts.Agent
	a.raw, a.facts.Agent, a.facts.AgentChanged = data, &rec, now
	if a.facts.AgentSeen.IsZero() {
		a.facts.AgentSeen = now
	}
	d.tellAgent(c, before, &rec)
	if rec.End != nil && a.facts.EndSeen.IsZero() {
		a.facts.EndSeen = now
		d.queue.reset(now, 1500*time.Millisecond) // the batch script ends in a moment
	}
}

// tellAgent tells what changed in the record.
func (d *driver) tellAgent(c *theCase, before, rec *rundir.AgentRecord) {
	a := c.cur
	a.last.Phase = rec.Phase
	if before == nil || before.Phase != rec.Phase {
		d.tell(PhaseNow, c, "phase %s", rec.Phase)
	}
	for _, r := range rec.Roles {
		if a.roles[r.Name] == r.State {
			continue
		}
		a.roles[r.Name] = r.State
		switch r.State {
		case rundir.RoleEnded:
			d.tell(Role, c, "%s ended: %s", r.Name, endText(r))
			if r.StoppedBy == "" {
				d.queue.soon(d.o.Now(), 5*time.Second) // perhaps the whole job is ending
			}
		case rundir.RolePending:
		default:
			d.tell(Role, c, "%s %s", r.Name, strings.ReplaceAll(r.State, "_", " "))
		}
	}
}

func endText(r rundir.RoleRecord) string {
	text := fmt.Sprintf("exit %d", r.Exit)
	if r.Signal != 0 {
		text = fmt.Sprintf("signal %d", r.Signal)
	}
	if r.StoppedBy != "" {
		text += ", stopped by " + r.StoppedBy
	}
	return text
}

// lookAtProcesses finds out whether the local agents are alive.
func (d *driver) lookAtProcesses(context.Context) {
	if d.o.Backend != jobs.BackendLocal {
		return
	}
	for _, c := range d.cases {
		a := c.cur
		if a == nil || a.job.ID == "" || a.ending {
			continue
		}
		p := a.facts.Local
		p.Alive = jobs.Alive(a.job)
		if !p.Alive && p.GoneSince.IsZero() {
			p.GoneSince = d.o.Now()
		}
	}
}
