package ab

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// explained are the pairs with why a run that ended well and lacks a series is no measurement.
func explained(pairs []Pair, p paired.Policy) []Pair {
	out := slices.Clone(pairs)
	for i := range out {
		for _, r := range []*Run{&out[i].A, &out[i].B} {
			if why := p.Invalid(r.plain()); why != "" && len(r.Problems) == 0 {
				r.Problems = []string{why}
			}
		}
	}
	return out
}

// Lost is how many of the session's runs of one build, A or B, were no measurement, and how many of these crashed by
// themselves: the infrastructure's faults are nobody's.
func (s Session) Lost(build string) (lost, crashed int) {
	for _, r := range s.runs(build) {
		if len(r.Problems) > 0 {
			lost++
		}
		if r.Failed && !r.Infra {
			crashed++
		}
	}
	return lost, crashed
}

// LostLog is the log of the last run that failed, in the run directory, "" = none has one.
func (s Session) LostLog() string {
	for _, p := range slices.Backward(s.Measured) {
		if log := cmp.Or(p.B.Log, p.A.Log); log != "" {
			return log
		}
	}
	return ""
}

func (s Session) runs(build string) []Run {
	var out []Run
	for _, p := range s.Measured {
		if build == A {
			out = append(out, p.A)
		} else {
			out = append(out, p.B)
		}
	}
	return out
}

// lostWarnings say which runs were no measurement: that their pairs were measured again, and well, does not mend them.
func (s Session) lostWarnings() []string {
	var out []string
	for _, build := range []string{B, A} {
		lost, crashed := s.Lost(build)
		if lost == 0 {
			continue
		}
		what := fmt.Sprintf("gave no measurement in %d of its %d runs", lost, len(s.Measured))
		if crashed > 0 {
			what = fmt.Sprintf("failed in %d of its %d runs", crashed, len(s.Measured))
		}
		runs := s.runs(build)
		r := runs[slices.IndexFunc(runs, func(r Run) bool { return len(r.Problems) > 0 && (crashed == 0 || r.Failed && !r.Infra) })]
		text := fmt.Sprintf("%s %s: %s: %s", build, what, r.Name, r.Problems[0])
		if r.Log != "" {
			text += " (" + r.Log + ")"
		}
		out = append(out, text)
	}
	return out
}

// flaky is said behind what was decided where the newer build crashed on the way: one run would have been red.
func (s Session) flaky() string {
	_, b := s.Lost(B)
	if b == 0 || s.Verdict == paired.Failed || s.Verdict == paired.Invalid {
		return ""
	}
	_, a := s.Lost(A)
	return fmt.Sprintf("; flaky: B failed in %d of its %d runs, A in %d", b, len(s.Measured), a)
}
