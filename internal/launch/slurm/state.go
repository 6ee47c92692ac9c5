package slurm

import (
	"strings"
)

// State is one job state word as Slurm's text output shows it: a base state, or
// a flag laid over it. A word that is not known keeps its text; it is neither
// success nor failure.
type State string

// The base states (doc/html/job_state_codes of Slurm).
const (
	Pending     State = "PENDING"
	Running     State = "RUNNING"
	Suspended   State = "SUSPENDED"
	Completed   State = "COMPLETED"
	Cancelled   State = "CANCELLED"
	Failed      State = "FAILED"
	Timeout     State = "TIMEOUT"
	NodeFail    State = "NODE_FAIL"
	Preempted   State = "PREEMPTED"
	BootFail    State = "BOOT_FAIL"
	Deadline    State = "DEADLINE"
	OutOfMemory State = "OUT_OF_MEMORY"
)

// The flags that replace the base state in text output.
const (
	Completing   State = "COMPLETING"
	Configuring  State = "CONFIGURING"
	Expediting   State = "EXPEDITING"
	LaunchFailed State = "LAUNCH_FAILED"
	PowerUpNode  State = "POWER_UP_NODE"
	ReconfigFail State = "RECONFIG_FAIL"
	Requeued     State = "REQUEUED"
	RequeueFed   State = "REQUEUE_FED"
	RequeueHold  State = "REQUEUE_HOLD"
	Resizing     State = "RESIZING"
	ResvDelHold  State = "RESV_DEL_HOLD"
	Revoked      State = "REVOKED"
	Signaling    State = "SIGNALING"
	SpecialExit  State = "SPECIAL_EXIT"
	StageOut     State = "STAGE_OUT"
	Stopped      State = "STOPPED"
	UpdateDB     State = "UPDATE_DB"
)

// PartitionNodeLimit is the reason of a job that waits because its partition has not so many nodes, or not up.
const PartitionNodeLimit = "PartitionNodeLimit"

// Class is what a state means for a job that must not be requeued.
type Class int

// The classes.
const (
	Unknown  Class = iota + 1 // a word this version does not know: keep asking
	Waiting                   // holds nothing yet
	Active                    // holds nodes
	Leaving                   // has ended or is being ended; nodes are still held, files still written
	Terminal                  // over
)

// Class sorts the state.
func (s State) Class() Class {
	switch s {
	case Pending, Requeued, RequeueFed, RequeueHold, ResvDelHold, SpecialExit, Expediting:
		return Waiting
	case Running, Suspended, Configuring, PowerUpNode, Resizing, Signaling, Stopped:
		return Active
	case Completing, StageOut, UpdateDB:
		return Leaving
	case Completed, Cancelled, Failed, Timeout, NodeFail, Preempted, BootFail, Deadline, OutOfMemory,
		LaunchFailed, ReconfigFail, Revoked:
		return Terminal
	default:
		return Unknown
	}
}

// Restarted reports whether the state belongs to a job which has run before and waits
// to run again.
func (s State) Restarted() bool {
	switch s {
	case Requeued, RequeueFed, RequeueHold, SpecialExit:
		return true
	default:
		return false
	}
}

// ParseState reads a state column: "CANCELLED by 1000" (by is then the uid),
// "CANCELLED+" from a narrow column, and the compact forms of squeue's %t.
func ParseState(text string) (state State, by string) {
	word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	word = strings.ToUpper(strings.TrimRight(word, "+"))
	if who, ok := strings.CutPrefix(strings.TrimSpace(rest), "by "); ok {
		by = strings.TrimSpace(who)
	}
	if long, ok := compact(word); ok {
		return long, by
	}
	return State(word), by
}

func compact(word string) (State, bool) {
	long := map[string]State{
		"PD": Pending, "R": Running, "S": Suspended, "CD": Completed, "CA": Cancelled, "F": Failed, "TO": Timeout,
		"NF": NodeFail, "PR": Preempted, "BF": BootFail, "DL": Deadline, "OOM": OutOfMemory, "CG": Completing,
		"CF": Configuring, "LF": LaunchFailed, "PU": PowerUpNode, "RG": ReconfigFail, "RQ": Requeued, "RF": RequeueFed,
		"RH": RequeueHold, "RS": Resizing, "RD": ResvDelHold, "RV": Revoked, "SI": Signaling, "SE": SpecialExit,
		"SO": StageOut, "ST": Stopped, "UD": UpdateDB, "EX": Expediting,
	}
	s, ok := long[word]
	return s, ok
}
