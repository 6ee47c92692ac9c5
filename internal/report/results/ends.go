package results

import (
	"cmp"
	"fmt"
	"strings"
	"syscall"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// end makes one case per role process: did it end as it should? It is red when its end
// is not explained by red cases of its own.
func (e *Ended) end() {
	for i := range e.RoleResults {
		e.RoleResults[i].End = e.endOf(&e.RoleResults[i])
	}
}

// end is the case of one role's process.
func (e *Ended) endOf(role *RoleResult) junit.Case {
	c := junit.Case{Name: role.Name, Time: Took(role.Started, role.Ended)}
	kind, message, note := e.howEnded(role)
	f := e.Finding
	if message == "" && e.IsCollateral(role.Name) && role.State == rundir.RoleEnded && role.Exit != 0 && role.StoppedBy == "" {
		message = exitWords(role.RoleRecord) // its red cases explain the exit, and the root explains them
	}
	if message == "" && e.IsRoot(role.Name) && role.Red == 0 {
		kind, message = TypePrefix+cmp.Or(f.Kind, "failed"), strings.TrimPrefix(f.Message, "["+role.Name+"] ")
	}
	switch {
	case message == "":
		if note != "" {
			c.SystemOut = []string{note}
		}
	case role.Optional:
		c.Results = []junit.Result{{Status: junit.Skipped, Type: TypeOptional, Message: "left, as it may (critical: false): " + message, Text: crashText(role)}}
	case e.IsCollateral(role.Name), e.jobsFault() && e.wentWithJob(role), e.wentWithAgent(role), e.notReached(role):
		c.Results = []junit.Result{{Status: junit.Skipped, Type: TypeCollateral, Message: "collateral of " + e.RootName() + ": " + message, Text: f.Collateral[role.Name]}}
	default:
		c.Results = []junit.Result{{Status: junit.Errored, Type: kind, Message: message, Text: crashText(role)}}
	}
	return c
}

// noteEnd tells people of an end that is no failure and that they should know of.
func (t *RoleResult) noteEnd() {
	switch how := t.Ending(); {
	case t.State != rundir.RoleEnded:
	case t.Optional && t.StoppedBy == "" && (t.Exit != 0 || t.OOM):
		t.Notes = append(t.Notes, fmt.Sprintf("%s (critical: false) left: %s", t.Name, how))
	case t.StoppedBy == rundir.StoppedByAgent && how.Crashed():
		t.Notes = append(t.Notes, fmt.Sprintf("%s crashed while it was ended: %s", t.Name, how))
	}
}

// jobsFault reports whether the job as a whole, and no role, is to blame.
func (e *Ended) jobsFault() bool {
	f := e.Finding
	return e.Outcome != rundir.OutcomePassed && f != nil && f.Root == "" && f.Kind != "" && !e.Unattributed()
}

// wentWithAgent reports whether a role ended so shortly before the agent fell silent that what ended the job, or their
// node, may be why: what is left of it at that moment fails in its own way, by a broken pipe, say.
func (e *Ended) wentWithAgent(role *RoleResult) bool {
	if !e.jobsFault() || e.Agent == nil || e.Agent.End != nil || role.Ended == nil || role.OOM {
		return false
	}
	return e.Agent.Heartbeat.Sub(*role.Ended) <= blame.ClockSkew
}

// notReached reports whether a role was never started because another had failed
// before its turn.
func (e *Ended) notReached(role *RoleResult) bool {
	f := e.Finding
	return role.State == rundir.RoleNeverStarted && role.Error == "" && f != nil && f.Root != "" && !e.IsRoot(role.Name)
}

// wentWithJob reports whether a role has no end of its own: it was stopped, went by
// the signals that end a job, could not be started, or was not seen to end or start at
// all. One that the agent blames had failed before.
func (e *Ended) wentWithJob(role *RoleResult) bool {
	switch {
	case e.Agent != nil && e.Agent.End != nil && e.Agent.End.Finding != nil && e.Agent.End.Finding.Root == role.Name:
		return false
	case role.State != rundir.RoleEnded:
		return role.State != "" // "": there is no record of any process
	case role.OOM:
		return false
	}
	sig := syscall.Signal(role.Signal)
	return role.StoppedBy != "" || role.Error != "" || sig == syscall.SIGTERM || sig == syscall.SIGKILL
}

// howEnded tells what is wrong with the end of a role, "" if nothing is.
func (e *Ended) howEnded(role *RoleResult) (kind, message, note string) {
	switch role.State {
	case "": // no record of the process: its files are all there is
		return fileKind(role), fileMessages(role), ""
	case rundir.RoleNeverStarted, rundir.RolePending:
		return TypePrefix + "never-started", strings.TrimSuffix("never started: "+role.Error, ": "), ""
	case rundir.RoleEnded:
	default:
		return TypePrefix + "no-end", "no end was recorded; it was last seen " + role.State, ""
	}
	how := exitWords(role.RoleRecord)
	stopped := role.StoppedBy != ""
	switch {
	case stopped && (e.Outcome == rundir.OutcomePassed || e.servedToTheEnd(role)) && !role.OOM:
		return "", "", "stopped by " + role.Stopper() + " after the client was through: " + how
	case stopped && !role.OOM:
		return TypePrefix + "stopped", "stopped by " + role.Stopper() + ": " + how, ""
	case role.Exit == 0 && !role.OOM:
		return fileKind(role), fileMessages(role), ""
	case role.Signal == 0 && role.Exit <= 5 && role.Red > 0 && len(role.Problems) == 0:
		return "", "", fmt.Sprintf("exit %d, explained by its %d red cases", role.Exit, role.Red)
	}
	message = how
	if files := fileMessages(role); files != "" {
		message += "; " + files
	} else if role.Red == 0 && role.cases > 0 {
		message += fmt.Sprintf("; results.xml is green with %d cases", role.cases)
	}
	return TypePrefix + "role-crash", message, ""
}

// servedToTheEnd reports whether a role was ended because the client was through, and had
// ended well as far as the agent could see: whatever results say later, the role ended
// as it should.
func (e *Ended) servedToTheEnd(role *RoleResult) bool {
	return role.Serves && e.Agent != nil && e.Agent.End != nil && e.Agent.End.Outcome == rundir.OutcomePassed
}

func fileKind(role *RoleResult) string {
	if len(role.Problems) == 0 {
		return ""
	}
	return TypePrefix + "no-results"
}

func fileMessages(role *RoleResult) string {
	var all []string
	for _, p := range role.Problems {
		all = append(all, p.Message)
	}
	return strings.Join(all, "; ")
}

// exitWords says how a process ended, where and after how long.
func exitWords(r rundir.RoleRecord) string {
	text := r.Ending().String() + pytestWords(r)
	if len(r.Nodes) > 0 {
		text += " on " + strings.Join(r.Nodes, ",")
	}
	if t := Took(r.Started, r.Ended); t > 0 {
		text += fmt.Sprintf(" after %.1f s", t.Seconds())
	}
	return text
}

// pytestWords are pytest's meanings of its exit codes.
func pytestWords(r rundir.RoleRecord) string {
	if r.Signal != 0 || r.OOM {
		return ""
	}
	switch r.Exit {
	case 2:
		return " (interrupted)"
	case 3:
		return " (internal error, or os._exit)"
	case 4:
		return " (wrong usage)"
	case 5:
		return " (no tests collected)"
	default:
		return ""
	}
}

// crashText is what explains a crash: the first line that looks like an error, and the
// end of the log.
func crashText(role *RoleResult) string {
	var b strings.Builder
	for _, p := range role.Problems {
		if p.Text != "" {
			fmt.Fprintln(&b, p.Text)
		}
	}
	if e := role.FirstError; e != nil {
		fmt.Fprintf(&b, "first error, %s:%d\n  %s\n", e.File, e.Number, e.Text)
	}
	role.AppendTail(&b)
	return b.String()
}
