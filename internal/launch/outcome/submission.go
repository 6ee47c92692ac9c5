package outcome

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// KindNotSubmitted is the finding of a submission that failed on this side: disk, binary, connection.
const KindNotSubmitted = "submit-failed"

// NotSubmitted is how an attempt ended at that time that never became a job.
func NotSubmitted(why, kind string, at time.Time) Resolution {
	text := "nothing was submitted: " + why
	return Resolution{
		Phase: rundir.PhaseQueue, Done: true, Outcome: rundir.OutcomeInfra, Confidence: "client", Reason: text, Ended: at,
		Finding: &rundir.Finding{Class: string(blame.Infra), Kind: kind, Rule: "submit", Message: text},
	}
}
