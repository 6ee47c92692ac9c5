package verdict

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Word is a verdict on one metric of one case.
type Word string

// The verdicts.
const (
	Pass                Word = "pass"
	Improvement         Word = "improvement"
	Regression          Word = "regression"
	Inconclusive        Word = "inconclusive"
	Collecting          Word = "collecting" // too little history
	NoBaseline          Word = "no_baseline"
	BaselineUnavailable Word = "baseline_unavailable"
	Invalid             Word = "invalid" // not a measurement
)

// Run is one past or new run of a series: all its repetitions count.
type Run struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Commit   string    `json:"commit,omitempty"`
	Values   []float64 `json:"values"`             // one per repetition, in the metric's unit
	NodeSet  string    `json:"nodes,omitempty"`    // node group, for the node covariate; "" = unknown
	Accepted bool      `json:"accepted,omitempty"` // someone accepted the level that begins here
	Open     bool      `json:"open,omitempty"`     // judged while a regression was open
	Verdict  Word      `json:"verdict,omitempty"`  // as judged then
}

// Series is everything needed to judge one metric of one case at one point.
type Series struct {
	Case    string
	Point   string // benchmark point: con<C>… ; "" = the case has one
	Metric  metric.Metric
	History []Run // valid runs of the main branch, oldest first
	New     Run
	Pinned  *Pin // a pinned baseline, nil = none
}

// Pin is a baseline someone wrote down.
type Pin struct {
	Value     float64 `json:"value"`
	Tolerance float64 `json:"tolerance"` // relative, 0.05 = 5 %; 0 = the rule's default
	Source    string  `json:"source"`    // file:line
}

// Row is the verdict on one metric of one case: a plain value, and a part of
// verdict.json.
type Row struct {
	Case     string    `json:"case"`
	Point    string    `json:"point,omitempty"`
	Metric   string    `json:"metric"`
	Unit     string    `json:"unit"`
	Better   string    `json:"better"`             // higher or lower
	Gate     bool      `json:"gate"`               // counts for the exit code
	Advisory bool      `json:"advisory,omitempty"` // shown, never red
	Verdict  Word      `json:"verdict"`
	Rule     string    `json:"rule"` // bws, fixed, upstream
	Reason   string    `json:"reason"`
	Values   []float64 `json:"values"` // of this run, one per repetition
	Value    *float64  `json:"value"`  // their median
	Baseline *float64  `json:"baseline"`
	// Change is the relative change of Value against Baseline, signed as the
	// number moves (+0.05 = 5 % more), whatever the direction.
	Change     *float64    `json:"change"`
	Worse      *float64    `json:"worse"`              // the same, signed by direction: above 0 is worse
	Interval   *[2]float64 `json:"interval,omitempty"` // of Worse, 5..95 %
	P          *float64    `json:"p_regression,omitempty"`
	PBetter    *float64    `json:"p_improvement,omitempty"`
	Limit      *float64    `json:"limit,omitempty"`      // value beyond which a fixed rule is red
	History    int         `json:"history"`              // runs judged against
	Suspicious bool        `json:"suspicious,omitempty"` // a repetition of the same commit would settle it
	Series     []Run       `json:"series,omitempty"`     // recent history, for the chart
}
