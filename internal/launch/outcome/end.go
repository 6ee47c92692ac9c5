package outcome

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// agentNoRecord is the agent's exit code when it could not write its record (see `ci-disagg agent --help`).
const agentNoRecord = 3

// noLaunch is the "signal" with which Slurm ends a job whose batch script it could not start
// (docs/facts/slurm.md#script-that-never-started).
const noLaunch = 53

// fromAgent takes the agent's word, Slurm having none against it.
func fromAgent(f Facts, v view, r Resolution) Resolution {
	e := f.Agent.End
	r.Done, r.Outcome, r.Reason, r.Finding, r.Ended = true, e.Outcome, e.Reason, e.Finding, e.At
	r.Confidence = confidence(f, v)
	if r.Outcome == rundir.OutcomePassed {
		return checkPassed(f, r)
	}
	if f.Job.Cancel != nil && r.Outcome != rundir.OutcomeTestFailed {
		return ours(f, v, r)
	}
	return r
}

// checkPassed: green needs every planned role in the record, and ended, but for those that may leave.
func checkPassed(f Facts, r Resolution) Resolution {
	var missing []string
	for _, name := range f.Roles {
		i := slices.IndexFunc(f.Agent.Roles, func(x rundir.RoleRecord) bool { return x.Name == name })
		if i < 0 || f.Agent.Roles[i].State != rundir.RoleEnded {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return r
	}
	return done(r, rundir.OutcomeInfra, KindIncomplete, r.Confidence,
		"the agent says passed, but its record does not account for "+strings.Join(missing, ", "))
}

// combine: the agent has said how it ended, and Slurm says that the job is over.
func combine(f Facts, v view, r Resolution) Resolution {
	a := fromAgent(f, v, r)
	if v.ended.After(a.Ended) {
		a.Ended = v.ended
	}
	passed := a.Outcome == rundir.OutcomePassed
	recognised := a.Outcome == rundir.OutcomeInfra || a.Outcome == rundir.OutcomeCancelled // else a role may have failed by itself
	if v.state == slurm.Cancelled && recognised && f.Job.Cancel == nil {
		if refused, ok := nodeRefused(f, v, r, a.Confidence); ok {
			return refused // of which the agent has seen no more than the signal
		}
	}
	switch {
	case passed && v.state == slurm.Completed && (!v.exit.Known || v.exit.Zero()):
		return a
	case !passed && !blame.JobOverrules(blame.JobEnd{State: string(v.state), At: v.ended}, blamed(f, a.Outcome)):
		return a
	}
	if passed {
		if f.Job.Cancel != nil {
			return ours(f, v, r)
		}
		return done(r, rundir.OutcomeInfra, KindDisagree, a.Confidence,
			fmt.Sprintf("the agent says passed, Slurm says %s%s: not counted as a pass", v.state, exitText(v)))
	}
	return fromSlurm(f, v, r)
}

// withCollateral adds to a finding about the job as a whole which roles went with it, as the agent has seen it. One
// that it blames itself is one of them if it ended when the job did.
func withCollateral(f Facts, about *rundir.Finding) *rundir.Finding {
	if about == nil || about.Root != "" || about.Collateral != nil || !ended(f) || f.Agent.End.Finding == nil {
		return about
	}
	said, all := f.Agent.End.Finding, *about
	all.Collateral = maps.Clone(said.Collateral)
	at := look(f).ended
	if f.Job.Cancel != nil {
		at = f.Job.Cancel.At
	}
	for _, r := range f.Agent.Roles {
		blamed := r.Name == said.Root || slices.Contains(said.Roots, r.Name)
		if !blamed || r.OOM || r.Ended == nil || at.IsZero() || r.Ended.Add(blame.ClockSkew).Before(at) {
			continue
		}
		if all.Collateral == nil {
			all.Collateral = map[string]string{}
		}
		all.Collateral[r.Name] = r.Ending().String() + " when the job was ended"
	}
	return &all
}

// blamed is what the agent says, as the rule of the whole job asks for it.
func blamed(f Facts, o rundir.Outcome) blame.Blamed {
	role := rootRole(f)
	return blame.Blamed{Outcome: o, Ended: role.Ended, OOM: role.OOM, Asked: f.Job.Cancel != nil}
}

// rootRole is the record of the role that the agent blames, the zero value if it blames none.
func rootRole(f Facts) rundir.RoleRecord {
	fnd := f.Agent.End.Finding
	if fnd == nil || fnd.Root == "" {
		return rundir.RoleRecord{}
	}
	i := slices.IndexFunc(f.Agent.Roles, func(r rundir.RoleRecord) bool { return r.Name == fnd.Root })
	if i < 0 {
		return rundir.RoleRecord{}
	}
	return f.Agent.Roles[i]
}

// ours: the job ended because the client asked for it.
func ours(f Facts, v view, r Resolution) Resolution {
	o := f.Job.Cancel.Outcome
	if o == "" {
		o = rundir.OutcomeCancelled
	}
	return done(r, o, kindOf(f, o, r.Phase), confidence(f, v), f.Job.Cancel.Reason)
}

// kindOf is the kind of finding that a job of our own cancellation gets. Records
// of before have no cause; what they count as tells as much as can be known.
func kindOf(f Facts, o rundir.Outcome, reached rundir.Phase) string {
	switch f.Job.Cancel.Cause {
	case rundir.CauseSuspended:
		return KindSuspended
	case rundir.CauseNever:
		return KindNever
	case rundir.CauseRequeued:
		return KindRequeued
	default:
	}
	switch {
	case o == rundir.OutcomeLost:
		return KindLost
	case o == rundir.TimeoutOf(rundir.PhaseQueue):
		return KindQueue
	case o == rundir.OutcomeInfra && reached == rundir.PhaseQueue && f.Agent == nil:
		return KindNever
	case o == rundir.OutcomeInfra:
		return KindRequeued
	default:
		return KindCancelled
	}
}

// fromSlurm: the job is over and the agent has not said how.
func fromSlurm(f Facts, v view, r Resolution) Resolution {
	conf := confidence(f, v)
	infra := func(text string) Resolution {
		return done(r, rundir.OutcomeInfra, blame.JobKind(string(v.state)), conf, text)
	}
	switch v.state {
	case slurm.Cancelled:
		if f.Job.Cancel != nil {
			return ours(f, v, r)
		}
		if refused, ok := nodeRefused(f, v, r, conf); ok {
			return refused
		}
		who := "somebody else"
		if v.by != "" {
			who = "uid " + v.by
		}
		r = done(r, rundir.OutcomeCancelled, KindCancelled, conf, blame.JobWords(KindCancelled, who, v.reason))
		if f.Draft && (v.by == "" || v.by == v.user) {
			r.Finding.Rule = blame.RuleOwnUser
		}
		return r
	case slurm.Timeout, slurm.Deadline:
		return done(r, timeoutAs(f, v), KindTimeLimit, conf, blame.JobWords(KindTimeLimit, "in phase "+string(r.Phase), ""))
	case slurm.NodeFail:
		return nodeFailed(f, v, r, conf)
	case slurm.BootFail, slurm.LaunchFailed, slurm.ReconfigFail:
		return infra(blame.JobWords(KindLaunch, string(v.state), v.reason))
	case slurm.Preempted:
		return infra(blame.JobWords(KindPreempted, "", v.reason))
	case slurm.Revoked:
		r.end(rundir.CauseMoved, rundir.OutcomeInfra, blame.JobWords(KindLost, "", "")) // where it runs on, under the same id
		return infra(r.Cancel)
	case slurm.OutOfMemory:
		return done(r, rundir.OutcomeTestFailed, KindOOM, conf, "the job ran out of memory"+exitText(v))
	case slurm.Completed, slurm.Failed:
		return fromExit(f, v, r, conf)
	default:
		return done(r, rundir.OutcomeLost, KindLost, conf, fmt.Sprintf("Slurm ended the job in state %s", v.state))
	}
}

// nodeFailed names the node, so that a retry can avoid it: by what the agent saw, else by slurmctld's word, else by
// what only the batch host's death explains. When another node fails, the agent has the time to close its record.
func nodeFailed(f Facts, v view, r Resolution, conf string) Resolution {
	var lost []string
	how := ""
	switch {
	case len(missed(f)) > 0:
		lost = missed(f)
	case len(lostNodes(f)) > 0:
		lost = lostNodes(f)
	case len(r.Nodes) == 1:
		lost = r.Nodes
	case len(r.Nodes) > 1 && f.Agent != nil && !ended(f):
		lost, how = r.Nodes[:1], ", whose agent fell silent"
	}
	r = done(r, rundir.OutcomeInfra, KindNode, conf, blame.JobWords(KindNode, strings.Join(lost, ", ")+how, v.reason))
	r.Finding.BadNodes = lost
	return r
}

// missed are the nodes that an agent lost roles with before it was ended itself.
func missed(f Facts) []string {
	if !ended(f) {
		return nil
	}
	var ev blame.Evidence
	if json.Unmarshal(f.Agent.End.Evidence, &ev) != nil {
		return nil
	}
	var lost []string
	for _, e := range ev.Events {
		if e.Kind == blame.NodeLost && e.Node != "" && !slices.Contains(lost, e.Node) {
			lost = append(lost, e.Node)
		}
	}
	return lost
}

// lostNodes are those of the job's that slurmctld has lost.
func lostNodes(f Facts) []string {
	if f.Trouble.Row == nil {
		return nil
	}
	return slurm.LostNodes(*f.Trouble.Row)
}

// nodeRefused: a site's prolog that fails ends a job that must not be requeued as cancelled, by the user that slurmd
// is. The job has the reason Prolog only until the prologs of all its nodes have ended, the one that failed included;
// that is often before anybody asks. What stays is the drained node, by "Prolog error" or by the prolog's own words.
// Where only the job's reason tells, all of its nodes are to be avoided.
func nodeRefused(f Facts, v view, r Resolution, conf string) (Resolution, bool) {
	bad, why, prolog := drainedNodes(f, v)
	if strings.HasPrefix(v.reason, "Prolog") {
		prolog, why = true, v.reason
		if len(bad) == 0 {
			bad = lostNodes(f)
		}
		if len(bad) == 0 {
			bad = r.Nodes
		}
	}
	text := "the prolog failed" + nodeText(bad)
	switch {
	case prolog:
	case len(bad) > 0:
		text = fmt.Sprintf("uid %s drained %s and cancelled the job", v.by, strings.Join(bad, ", "))
	default:
		return r, false
	}
	r = done(r, rundir.OutcomeInfra, KindLaunch, conf, text+" ("+why+")")
	r.Finding.BadNodes = bad
	return r, true
}

// drainedNodes are the job's nodes that were drained while it was there, because their prolog failed, or by whoever
// cancelled it.
func drainedNodes(f Facts, v view) (names []string, why string, prolog bool) {
	if f.Trouble.Row == nil || v.started.IsZero() {
		return nil, "", false
	}
	last := f.Trouble.At
	if !v.ended.IsZero() {
		last = v.ended.Add(time.Minute)
	}
	for _, n := range *f.Trouble.Row {
		failed := strings.HasPrefix(strings.ToLower(n.Reason), "prolog")
		if n.Since.Before(v.started.Add(-time.Second)) || n.Since.After(last) || !failed && (v.by == "" || n.By != v.by) {
			continue
		}
		names, prolog = append(names, n.Name), prolog || failed
		if why == "" || failed {
			why = n.Reason
		}
	}
	return names, why, prolog
}

func nodeText(nodes []string) string {
	if len(nodes) == 0 {
		return ""
	}
	return " on " + strings.Join(nodes, ", ")
}

// fromExit: the batch script ended by itself.
func fromExit(f Facts, v view, r Resolution, conf string) Resolution {
	if f.Draft {
		return fromDraft(v, r, conf)
	}
	switch {
	case f.Agent == nil && v.exit.Signal == noLaunch:
		return done(r, rundir.OutcomeInfra, KindLaunch, conf,
			fmt.Sprintf("Slurm could not start the batch script%s: most often, because a node does not see the run directory (see runs_dir, and agent_dir for a cluster with files of its own)", reasonText(v)))
	case f.Agent == nil && !v.exit.Zero():
		return done(r, rundir.OutcomeInfra, KindLaunch, conf,
			fmt.Sprintf("the job ended%s before the agent could write anything%s; see slurm.out", exitText(v), reasonText(v)))
	case f.Agent == nil:
		return done(r, rundir.OutcomeInfra, KindLaunch, conf, "the job ended without a record of the agent; see slurm.out")
	case v.exit.Known && v.exit.Code == agentNoRecord && v.exit.Signal == 0:
		return done(r, rundir.OutcomeInfra, KindStorage, conf,
			fmt.Sprintf("the agent could not keep its record in phase %s: the run directory could not be written", r.Phase))
	default:
		return done(r, rundir.OutcomeInfra, KindAgentDied, conf,
			fmt.Sprintf("the agent ended%s in phase %s without its end record", exitText(v), r.Phase))
	}
}

// fromDraft: without an agent, the job's state and the highest exit code of its
// steps are all there is. The report still wants the roles' results.
func fromDraft(v view, r Resolution, conf string) Resolution {
	well := v.state == slurm.Completed && (v.exit.Zero() || !v.exit.Known) // by its name it ended with 0
	switch {
	case well && (!v.derived.Known || v.derived.Zero() || endedWithJob(v.derived)):
		r.Done, r.Outcome, r.Confidence, r.Reason = true, rundir.OutcomePassed, conf, "the draft ended with 0:0"
		return r
	case well:
		return done(r, rundir.OutcomeTestFailed, blame.KindDraftFailed, conf, "the draft ended with 0:0, but a step of it with "+v.derived.String())
	case v.exit.Known && v.exit.Signal != 0 && v.exit.Code == 0:
		return done(r, rundir.OutcomeInfra, "draft-killed", conf, fmt.Sprintf("the draft was killed (%s)", v.exit))
	default:
		return done(r, rundir.OutcomeTestFailed, blame.KindDraftFailed, conf, "the draft failed"+exitText(v))
	}
}

// endedWithJob reports whether the highest exit of a draft's steps is that of one which
// Slurm ended with the job: a healthy draft ends with its client, and its servers then
// are still there.
func endedWithJob(e slurm.ExitCode) bool {
	return e.Signal == 9 || e.Signal == 15 || e.Code == 128+9 || e.Code == 128+15
}

// timeoutAs is the phase whose time the job used up.
func timeoutAs(f Facts, v view) rundir.Outcome {
	p := phaseOf(f, v)
	if p == rundir.PhaseQueue && v.state == slurm.Timeout {
		p = rundir.PhaseSetup
	}
	if f.Draft && p == rundir.PhaseSetup {
		p = rundir.PhaseBenchmark // nobody told us more
	}
	return rundir.TimeoutOf(p)
}

func stateText(v view) string {
	if v.state == "" {
		return ""
	}
	return fmt.Sprintf(" (%s%s)", v.state, exitText(v))
}

func exitText(v view) string {
	switch {
	case !v.exit.Known:
		return ""
	case v.exit.Signal != 0: // of a job, for which Slurm makes no exit code of it
		return " (killed by " + rundir.SignalName(v.exit.Signal) + ")"
	default:
		return fmt.Sprintf(" (exit %d)", v.exit.Code)
	}
}

func reasonText(v view) string {
	if v.reason == "" {
		return ""
	}
	return " (" + v.reason + ")"
}

// resolveLocal: the agent's record and its process are the only sources.
func resolveLocal(f Facts) Resolution {
	r := Resolution{Phase: rundir.PhaseSetup}
	if f.Agent != nil {
		r.Phase, r.Nodes = phaseOf(f, view{}), f.Agent.Nodes
		r.Started = timePtr(f.Agent.Started)
	}
	r.Queued = f.Job.Submitted
	p := f.Local
	if p == nil {
		return r
	}
	switch {
	case ended(f) && (!p.Alive || p.Elsewhere != ""), ended(f) && f.Now.Sub(f.EndSeen) >= f.Bounds.Stuck:
		r = fromAgent(f, view{}, r)
	case p.Elsewhere != "" && f.Now.Sub(heard(f)) >= f.Bounds.Lost:
		if due := heard(f).Add(f.Bounds.Lost); f.Looked.Before(due) {
			return unread(f, view{}, r, due)
		}
		return done(r, rundir.OutcomeLost, KindLost, "record", fmt.Sprintf("its agent has written nothing for %v, and cannot be seen from this host, only on %s", f.Bounds.Lost, p.Elsewhere))
	case !p.Alive && !p.GoneSince.IsZero() && f.Now.Sub(p.GoneSince) >= time.Second:
		if f.Job.Cancel != nil {
			return ours(f, view{}, r)
		}
		if f.Looked.Before(p.GoneSince) { // a record is complete when its process was gone before it was read
			return unread(f, view{}, r, p.GoneSince)
		}
		if f.Agent == nil {
			return done(r, rundir.OutcomeInfra, KindLaunch, "process", "the agent ended before it could write anything; see slurm.out")
		}
		return done(r, rundir.OutcomeInfra, KindAgentDied, "process+agent", fmt.Sprintf("the agent ended in phase %s without its end record: it was killed", r.Phase))
	}
	return r
}
