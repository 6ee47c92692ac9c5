package builder

import (
	"fmt"
	"math"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// again tells why a case is to be measured once more: by a repetition of the same commit
// that would settle its verdict, or, where two builds are to be compared, by a paired
// session after a single run that gives reason to. "" = it is not.
func (s *Builder) again(plan rundir.Plan, history []rundir.Attempt, r report.CaseReport) string {
	if !plan.IsSession() {
		return suspicious(r)
	}
	if len(history) == 0 || history[len(history)-1].Session || r.Outcome != rundir.OutcomePassed || len(r.Problems) > 0 || s.o.PerfOff {
		return ""
	}
	for _, row := range r.Metrics {
		if why := s.opens(row, plan); why != "" {
			return fmt.Sprintf("session: %s %s", words.Row(row), why)
		}
	}
	return ""
}

// opens tells why a row is reason enough for a session: the series is worse than its
// level by more than a part of its smallest effect, however likely that is by chance; or
// nobody knows its level, so that nothing but a session can tell.
func (s *Builder) opens(row verdict.Row, plan rundir.Plan) string {
	def, ok := s.o.Setup.Metrics.Lookup(row.Metric)
	if !ok || !row.Gate || row.Value == nil || row.Rule == verdict.RuleAccuracy { // answers have no speed
		return ""
	}
	if row.Baseline == nil || !(*row.Baseline > 0) || !(*row.Value > 0) {
		return "has no level to be compared with"
	}
	_, minEffect := s.o.Setup.Gating(s.recordOf(plan), row.Point, def)
	worse := def.Sign() * math.Log(*row.Value / *row.Baseline)
	if worse <= plan.Pairs.OpenAt*math.Log1p(minEffect) {
		return ""
	}
	return fmt.Sprintf("is %.1f %% worse than its level; a session opens at %.2g %% (ab.open_at)", 100*math.Expm1(worse), 100*math.Expm1(plan.Pairs.OpenAt*math.Log1p(minEffect)))
}
