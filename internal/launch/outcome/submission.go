package outcome

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// KindNotSubmitted is the finding of a submission that failed on this side: disk, binary, connection.
const KindNotSubmitted = "submit-failed"

// KindUnfound is the finding of a submission of which nobody says whether it made a job.
const KindUnfound = "submit-unknown"

// NotSubmitted is how an attempt ended at that time that never became a job.
func NotSubmitted(why, kind string, at time.Time) Resolution {
	text := "nothing was submitted: " + why
	return Resolution{
		Phase: rundir.PhaseQueue, Done: true, Outcome: rundir.OutcomeInfra, Confidence: "client", Reason: text, Ended: at,
		Finding: &rundir.Finding{Class: string(blame.Infra), Kind: kind, Rule: "submit", Message: text},
	}
}

// Unfound is how an attempt ended at that time of which nobody says whether it became a job. For all that is known that
// runs, or has run: the class keeps another from being submitted in its place.
func Unfound(why string, at time.Time) Resolution {
	r := NotSubmitted(why, KindUnfound, at)
	r.Reason = "whether the submission made a job could not be found out: " + why
	r.Finding.Class, r.Finding.Message = string(blame.Unknown), r.Reason
	return r
}

// Unread is how an attempt ended of which there is no more than a record of its agent that cannot be read.
func Unread(at time.Time) Resolution {
	return Unfound("its agent has left a record that cannot be read", at)
}
