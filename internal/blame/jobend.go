package blame

import (
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// ClockSkew is how far the clocks of Slurm's controller and of the job's nodes may differ before the order of two
// events counts as proven.
const ClockSkew = 5 * time.Second

// RuleOwnUser is the rule of a job under a team's own draft that its own user has cancelled, or nobody knows who: as
// the draft itself does in order to clean up.
const RuleOwnUser = "own-user"

// JobEnd is Slurm's own word on how a job ended. It comes after the agent's.
type JobEnd struct {
	State string    // COMPLETED, NODE_FAIL, …
	At    time.Time // zero = Slurm does not say
}

// JobKind is the kind of finding of a job that Slurm ended in a state, "" where the state does not say what ended it.
func JobKind(state string) string {
	switch state {
	case "NODE_FAIL":
		return KindNodeFail
	case "BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL":
		return KindLaunch
	case "PREEMPTED":
		return KindPreempted
	case "TIMEOUT", "DEADLINE":
		return KindTimeLimit
	case "CANCELLED":
		return KindCancelled
	case "REVOKED":
		return KindLost
	default:
		return ""
	}
}

// JobEnds reports whether Slurm is ending a job in that state, or has ended it, before its own end.
func JobEnds(state string) bool { return state == "COMPLETING" || JobKind(state) != "" }

// JobWords says what ended a job as a whole, by the kind of finding: by whom or on which nodes as far as that is known
// ("" = not), and with Slurm's own reason.
func JobWords(kind, detail, reason string) string {
	text, link := "", ""
	switch kind {
	case KindNodeFail:
		text, link = "a node of the job failed", ": "
	case KindLaunch:
		text, link = "Slurm could not start the job", ": "
	case KindLost:
		text = "the job was moved to another cluster of the federation"
	case KindPreempted:
		text = "a job of higher priority took the nodes"
	case KindTimeLimit:
		text, link = "Slurm ended the job at its time limit", ", "
	case KindCancelled:
		text, link = "the job was cancelled", " by "
	}
	if detail != "" {
		text += link + detail
	}
	return text + because(reason)
}

func because(reason string) string {
	if reason == "" || reason == "None" {
		return ""
	}
	return " (" + reason + ")"
}

// Blamed is what the agent, which saw its job from inside, says.
type Blamed struct {
	Outcome rundir.Outcome
	Ended   *time.Time // when the role that it blames ended; nil = it blames none, or one that did not end
	OOM     bool       // that role ran out of memory
	Asked   bool       // the driver had asked for the end: the signal was its own
}

// JobOverrules reports whether a run that did not pass is to be blamed on what ended its job as a whole, and not on
// what the agent found: a role that dies of its job's end is not to blame for it. It is the rule of Judge for a job's
// end that the agent did not live to see.
func JobOverrules(job JobEnd, said Blamed) bool {
	first := said.Ended != nil && !job.At.IsZero() && !said.Ended.Add(ClockSkew).Before(job.At)
	switch job.State {
	case "COMPLETED", "FAILED":
		return false // the agent ends with an error when it could not do its work; it has said why
	case "OUT_OF_MEMORY":
		return first && !said.OOM // else the step that the agent blames is what ran out of memory
	}
	switch JobKind(job.State) {
	case KindNodeFail, KindLaunch, KindPreempted, KindLost:
		// Slurm ends such a job by the same signal as one that is cancelled, and the agent saw no more of it.
		if said.Outcome == rundir.OutcomeCancelled {
			return !said.Asked
		}
	}
	recognised := []rundir.Outcome{rundir.OutcomeInfra, rundir.OutcomeCancelled} // by the agent, which knows more
	return first && !said.Outcome.IsTimeout() && !slices.Contains(recognised, said.Outcome)
}
