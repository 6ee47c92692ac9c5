package verdict

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
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
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Commit  string    `json:"commit,omitempty"`
	Values  []float64 `json:"values"`          // one per repetition, in the metric's unit
	NodeSet string    `json:"nodes,omitempty"` // node group, for the node covariate; "" = unknown
	// NodeSets is the node group of each value where repetitions ran on
	// different ones; empty = all on NodeSet.
	NodeSets []string `json:"node_sets,omitempty"`
	// Slower is how much worse each value is, in logs, because of a card or node that is
	// known from many cases to be slow; SlowOn names the one of the first value that is.
	Slower   []float64 `json:"-"`
	SlowOn   string    `json:"-"`
	Accepted bool      `json:"accepted,omitempty"` // someone accepted the level that begins here
	Open     bool      `json:"open,omitempty"`     // judged while a regression was open
	Verdict  Word      `json:"verdict,omitempty"`  // as judged then
	Shown    bool      `json:"-"`                  // that verdict decided nothing: a regression was told to nobody
	// Level is the level that a regression was measured against when it was
	// judged by bws, in the metric's unit: what the runs have to come back to.
	// 0 = not stored; a regression then counts as open only if bws sees it too.
	Level float64 `json:"level,omitempty"`
	// Onset is the run at which the regression that this run raised began, as
	// judged then, if it was not this one.
	Onset string `json:"onset,omitempty"`
}

// Value is the one number that the run's repetitions stand for: their median, 0
// where there are none.
func (r Run) Value() float64 {
	if len(r.Values) == 0 {
		return 0
	}
	return bws.Median(r.Values, nil)
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
	Change   *float64    `json:"change"`
	Worse    *float64    `json:"worse"`              // the same, signed by direction: above 0 is worse
	Interval *[2]float64 `json:"interval,omitempty"` // of Worse, 5..95 %
	Evidence
	Series []Run `json:"series,omitempty"` // recent history and this run, for the chart
	Finding
	Background
}

// Evidence is what speaks for the verdict of a row.
type Evidence struct {
	P       *float64 `json:"p_regression,omitempty"`
	PBetter *float64 `json:"p_improvement,omitempty"`
	Limit   *float64 `json:"limit,omitempty"`          // value beyond which a fixed rule is red
	History int      `json:"history"`                  // runs judged against
	Needed  int      `json:"history_needed,omitempty"` // where History is too short: how long it has to be
	// Suspicious says that a repetition of the same commit would settle it and
	// is still allowed; the verdict is provisional until it ran. Never set for
	// a metric that cannot turn a run red.
	Suspicious bool `json:"suspicious,omitempty"`
}

// Finding is the regression that a row is red for, and how it was found.
type Finding struct {
	Alarm  bool     `json:"alarm,omitempty"`  // this run itself shows a new regression
	Open   bool     `json:"open,omitempty"`   // judged while a regression was open
	Since  string   `json:"since,omitempty"`  // run that raised the open regression
	Onset  string   `json:"onset,omitempty"`  // run at which the change probably began
	Slow   bool     `json:"slow,omitempty"`   // found by the late channel: a small step or a creep
	Strict bool     `json:"strict,omitempty"` // judged strictly: the history is short, or the policy says so
	Effect *float64 `json:"effect,omitempty"` // size of the regression, relative, if it is one
	// OlderToo says of a pinned value that a session's newer build breaks whether the older one breaks it as well: then
	// it is not new. nil = nobody knows.
	OlderToo *bool `json:"older_too,omitempty"`
}

// Background is what is known of a row's series, whatever the verdict is.
type Background struct {
	Noise      *float64  `json:"noise,omitempty"` // run-to-run noise of the series, relative sd
	Unsteady   *Unsteady `json:"unsteady,omitempty"`
	NodeEffect *float64  `json:"node_effect,omitempty"` // how much worse this run's nodes usually are
	// BelowBest is how much worse the level is than the best level of the last
	// 90 days. Information, never a verdict: it shows the creep that is too slow
	// for any rule.
	BelowBest *float64 `json:"worse_than_best,omitempty"`
	Levels    []Level  `json:"levels,omitempty"` // the segments of the history, for the chart
}

// Level is one stretch of runs without a change between them.
type Level struct {
	Run   string    `json:"run"`   // first run
	Time  time.Time `json:"time"`  // of that run
	Runs  int       `json:"runs"`  // how many
	Value float64   `json:"value"` // their median, in the metric's unit
}
