package verdict

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// subject is what is judged: a run with the usable runs before it, and the settings.
// It turns what the scan says, signed logs and places of runs, into what people read.
type subject struct {
	settings
	series  Series
	past    []Run
	dropped int // past runs without a usable value
	sign    float64
	value   float64 // of the run
}

// relative is a difference of signed logs as a relative worsening.
func (s *subject) relative(x float64) float64 { return s.sign * math.Expm1(s.sign*x) }

// level is a signed log in the metric's unit.
func (s *subject) level(x float64) float64 { return min(math.Exp(s.sign*x), math.MaxFloat64) }

// at is run k, counted from the oldest past one; the new run is the last.
func (s *subject) at(k int) Run {
	if k < len(s.past) {
		return s.past[k]
	}
	return s.series.New
}

// run is the name of run k for people.
func (s *subject) run(k int) string {
	switch name := runName(s.at(k)); {
	case name != "":
		return name
	case k == len(s.past):
		return "this run"
	default:
		return fmt.Sprintf("the run %d before this one", len(s.past)-k)
	}
}

// runName is the name of a run for people, "" if it has neither id nor time.
func runName(r Run) string {
	if r.ID == "" && !r.Time.IsZero() {
		return r.Time.UTC().Format(time.DateTime)
	}
	return r.ID
}

// index is the place of a run among those of the series, -1 if it has none.
func (s *subject) index(r Run) int {
	if runKey(r) == runKey(s.series.New) {
		return len(s.past)
	}
	return slices.IndexFunc(s.past, func(o Run) bool { return runKey(o) == runKey(r) })
}

// onset is the run of that name as the begin of a change, nil if there is none.
func (s *subject) onset(name string) *Onset {
	runs := append(slices.Clone(s.past), s.series.New)
	at := slices.IndexFunc(runs, func(r Run) bool { return runName(r) == name })
	if at < 0 {
		return nil
	}
	o := Onset{Run: name, Time: runs[at].Time, Commit: runs[at].Commit}
	if at > 0 {
		o.Good = runs[at-1].Commit
	}
	return &o
}

// begin names the run at which a step began.
func (s *subject) begin(onset int) string { return s.run(s.beginAt(onset)) }

// beginAt is the run at which a step began; a pull request's is its own run.
func (s *subject) beginAt(onset int) int {
	if s.pr {
		return len(s.past)
	}
	return onset
}

// began says at which run a step probably began.
func (s *subject) began(onset int) string {
	if onset >= len(s.past) || s.pr {
		return "begun with this run"
	}
	return "probably begun with " + s.run(onset)
}

// amount is a value with its unit.
func (s *subject) amount(v float64) string {
	text := strconv.FormatFloat(v, 'g', 4, 64)
	if a := math.Abs(v); a >= 1000 && a < 1e7 {
		text = strconv.FormatFloat(v, 'f', 0, 64)
	}
	if s.series.Metric.Unit == "" || s.series.Metric.Unit == "1" {
		return text
	}
	return text + " " + s.series.Metric.Unit
}
