package report

import (
	"cmp"
	"path"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/cost"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// decider decides one case.
type decider struct {
	plan     rundir.Plan
	policy   Policy
	attempts []results.Ended
	judged   Judged
	end      CaseEnd
	word     string // the result that the case would have if its failure were not known
	out      CaseReport
	reds     []redPlace // outside of the metrics, in report order
}

// redPlace is a red test of a case.
type redPlace struct {
	role   string // or JOB
	status junit.Status
	kind   string
	text   string // its message
}

// DecideCase decides status, kind, words and exit code of one case, and the tests that stand for it in a JUnit report:
// the only place where that is done.
func DecideCase(plan rundir.Plan, attempts []results.Ended, judged Judged, p Policy) CaseReport {
	if judged.AB != nil && p.Judged && plan.Measures() { // else nobody asks what the session says
		attempts = decidedBy(attempts, plan, *judged.AB)
	}
	rows, confirmed := judged.Recheck.Rows(judged.Rows, judged.Together)
	judged.Rows = rows
	d := &decider{plan: plan, policy: p, attempts: attempts, judged: judged, end: endOf(plan, attempts, p)}
	d.out.Xfail = results.Xfailed(plan, d.counted())
	skip, skipped := d.ownSkip()
	d.end.Skipped, d.end.Measured = skipped, measured(judged.Rows)
	d.end.Count(judged.Rows)
	d.end.CountSession(judged.AB)
	d.out = CaseReport{
		ID: plan.Case.ID, Slug: plan.Case.Slug, Mode: plan.Case.Mode, Known: plan.Case.KnownBug, Outcome: d.end.Outcome, Finding: findingOf(attempts), Xfail: d.out.Xfail,
		Planned:     Planned{plan.Match, plan.Expected.Points, plan.Nodes, plan.AllocatedGPUs, plan.UsedGPUs},
		Measurement: Measurement{Verdict: verdict.WorstOf(d.end.Words), Together: judged.Together, Suspects: judged.Suspects, Changed: judged.Changed, Machine: judged.Machine, Lemons: judged.Lemons, Environment: judged.Environment, EnvironmentMoved: judged.EnvironmentMoved, AB: judged.AB, Confirmed: confirmed, Metrics: judged.Rows, Problems: judged.Problems},
	}
	d.conclude()
	d.out.Worst = WorstOf(d.weighed(), d.out.Verdict)
	d.out.Message = d.message(skip)
	for _, s := range d.attempts {
		a := d.attempt(s)
		d.out.Attempts = append(d.out.Attempts, a)
		d.out.Spent.Add(a.Spent)
	}
	d.out.Checks = d.checks(skip)
	d.warn()
	return d.out
}

// conclude sets result and exit code.
func (d *decider) conclude() {
	unknown := d.end
	unknown.Known = false
	d.word = CaseExit(unknown, d.policy.Exit).Result
	d.out.Decision = CaseExit(d.end, d.policy.Exit)
	switch {
	case d.out.Result == ResultPassed && d.out.Verdict == verdict.Improvement && d.policy.Judged:
		d.out.Result, d.word = ResultImprovement, ResultImprovement
	case d.out.Result == ResultRegression: // also where its test failed as known
		d.word = ResultRegression
	}
}

// ownSkip reports whether the test skipped itself, in every role or in the client, and nothing was measured; or, even
// so, one passed only when repeated where the policy skips that, or the client's failed as it was expected to.
func (d *decider) ownSkip() (why string, ok bool) {
	for _, r := range d.counted() {
		for _, t := range r.Tests {
			if said, kind := results.SkipOf(r, t.Case); kind == fold.TypeFlaky && !r.Optional {
				d.end.Repeated = true
				return said, true
			}
		}
	}
	if d.out.Xfail != "" {
		return d.out.Xfail, true
	}
	if d.plan.Case.Pipeline != "" {
		return d.allSkipped()
	}
	n, others := 0, false
	for _, r := range d.counted() {
		said, _ := results.SkipOf(r, r.Primary)
		switch {
		case r.Primary == nil:
		case said == "":
			others = true
		case r.Name == d.plan.Drain.Role:
			return said, !measured(d.judged.Rows)
		default:
			n++
			why = cmp.Or(why, r.Primary.Results[0].Message)
		}
	}
	return cmp.Or(why, "skipped by every role"), n > 0 && !others && !measured(d.judged.Rows)
}

// counted are the roles of the attempts that count.
func (d *decider) counted() (out []results.RoleResult) {
	for _, s := range d.attempts {
		if s.Counts {
			out = append(out, s.RoleResults...)
		}
	}
	return out
}

// allSkipped reports whether everybody who works, must not leave and owes test cases has left some, and each was
// skipped. A task that fills a server owes none.
func (d *decider) allSkipped() (why string, ok bool) {
	others := false
	for _, r := range d.counted() {
		if !results.Decides(r) {
			continue
		}
		others = others || len(r.Tests) == 0
		for _, t := range r.Tests {
			said, _ := results.SkipOf(r, t.Case)
			others, why = others || said == "", cmp.Or(why, said)
		}
	}
	return why, why != "" && !others && !measured(d.judged.Rows)
}

// message is the one line that says why.
func (d *decider) message(skip string) string {
	switch {
	case d.end.Listed:
		return "skipped: " + d.plan.Case.SkipReason
	case d.word == ResultSkipped:
		return "the test was skipped: " + skip
	case d.out.Result == ResultKnown && d.out.Outcome != rundir.OutcomePassed:
		return d.asKnown() + d.failure()
	case d.out.Outcome != rundir.OutcomePassed && d.word != ResultRegression:
		return d.failure()
	case d.word == ResultInterrupted:
		return "another attempt is to come"
	}
	text := d.measuredMessage()
	if d.out.Result == ResultKnown {
		return d.asKnown() + text
	}
	return text
}

// weighed are the rows that the case can end by: the answers are none where they fail as known.
func (d *decider) weighed() []verdict.Row {
	return slices.DeleteFunc(slices.Clone(d.judged.Rows), func(row verdict.Row) bool { return d.word == ResultRegression && row.WrongAnswer() })
}

// measuredMessage is why the numbers of a case that passed do not.
func (d *decider) measuredMessage() string {
	rows := d.weighed()
	for _, row := range rows {
		if row.WrongAnswer() {
			return words.Reason(row)
		}
	}
	if len(d.judged.Problems) > 0 && d.word != ResultRegression {
		return "not a valid measurement: " + results.First(d.judged.Problems)
	}
	if row := d.out.BesidePairs(); row != nil {
		return words.Row(*row) + ": " + words.Reason(*row) + ". In pairs: " + d.out.AB.Headline
	}
	if d.out.AB != nil {
		return d.out.AB.Headline
	}
	if row := verdict.WorstRow(rows, d.out.Verdict); row != nil && row.Verdict != verdict.Pass {
		return words.Row(*row) + ": " + words.Reason(*row)
	}
	return ""
}

// failure is how a case failed.
func (d *decider) failure() string {
	if f := d.out.Finding; f != nil && f.Message != "" {
		return f.Message
	}
	if s := d.deciding(); s != nil && s.Reason != "" {
		return s.Reason
	}
	switch {
	case d.out.Outcome != "":
		return "the attempt ended as " + string(d.out.Outcome)
	case len(d.attempts) == 0:
		return "never launched"
	case d.end.Open:
		return "the attempt is not over, or nobody has written down how it ended"
	default:
		return "the attempt was never closed: nothing says how it ended"
	}
}

// attempt is one attempt as verdict.json shows it.
func (d *decider) attempt(s results.Ended) AttemptReport {
	a := AttemptReport{
		Rep: s.Rep, Attempt: s.Attempt.Attempt.Attempt, Why: s.Why, Counts: s.Counts, JobID: s.JobID(), Nodes: s.Nodes(),
		Outcome: cmp.Or(s.Was, s.Outcome), Reason: s.Reason, Finding: s.Finding, Started: s.Began(), Ended: s.EndedAt(), Timeline: s.Timeline(),
	}
	for _, f := range s.Files {
		a.Artifacts = append(a.Artifacts, Link(f))
	}
	if s.Agent != nil {
		a.Phases = s.Agent.Phases
	}
	if s.Machine != nil {
		a.Machine, a.Telemetry = s.Machine.Kept(), s.Machine.Telemetry
	}
	if judged := d.judged.Machines[s.Dir]; judged != nil {
		a.Machine = judged
	}
	a.Spent = cost.Of(s, d.plan)
	a.GPUHours, a.GPUHoursUsed = a.Spent.Allocated, results.Took(a.Started, a.Ended).Hours()*float64(d.plan.UsedGPUs)
	for _, r := range s.RoleResults {
		role := RoleReport{RoleRecord: r.RoleRecord, Tail: r.Tail}
		role.Status, role.Why = roleStatus(&s, &r)
		if r.RoleRecord.LogBytes > 0 || len(r.Tail) > 0 {
			role.Log = &Link{Label: r.Name, Path: path.Join(s.Dir, r.Log), Bytes: cmp.Or(r.RoleRecord.LogBytes, r.LogBytes)}
		}
		a.Roles = append(a.Roles, role)
	}
	return a
}

// roleStatus is what became of a role in the light of the finding.
func roleStatus(s *results.Ended, r *results.RoleResult) (status, why string) {
	switch {
	case s.IsRoot(r.Name):
		return RoleRoot, s.Finding.Message
	case s.IsCollateral(r.Name):
		return RoleCollateral, s.Finding.Collateral[r.Name]
	case r.State == rundir.RoleNeverStarted || r.State == rundir.RolePending:
		return RoleNotStarted, r.Error
	case r.Red > 0, len(r.End.Results) > 0:
		return RoleFailed, ""
	default:
		return RolePassed, ""
	}
}

// warn collects what people should know of the case beside its result.
func (d *decider) warn() {
	d.out.notes.judging, d.out.notes.unverified = slices.Clone(d.judged.Warnings), d.judged.Unverified
	for _, r := range d.counted() {
		d.out.notes.judging = append(d.out.notes.judging, r.Notes...)
	}
	if !d.end.Listed {
		d.out.notes.plan = d.plan.Warnings
	}
}

// knownGone tells that a known failure does not happen any more.
func (d *decider) knownGone() string {
	if d.out.Known == "" || d.out.Result != ResultPassed && d.out.Result != ResultImprovement {
		return ""
	}
	return "ci-disagg: known failure " + d.out.Known + " did not happen: the entry may be removed"
}

// endOf is what the attempts that count say of the case: the worst outcome, and whether
// one of them shows a failing test.
func endOf(plan rundir.Plan, attempts []results.Ended, p Policy) CaseEnd {
	e := CaseEnd{Listed: plan.Case.SkipReason != "", Known: plan.Case.KnownBug != "", Judged: p.Judged && plan.Measures(), Interrupted: p.Interrupted, Open: p.Open}
	if s := deciding(attempts); s != nil {
		e.Outcome = s.Outcome
	}
	for _, s := range attempts {
		e.Failed = e.Failed || s.Counts && s.Outcome == rundir.OutcomeTestFailed
	}
	return e
}

// deciding is the attempt that decides: of those that count the one that ended worst, the first of several; the last
// where all passed, nil where none counts. Outcome, finding and all words of a case are its own.
func deciding(attempts []results.Ended) *results.Ended {
	var worst *results.Ended
	for i := range attempts {
		if s := &attempts[i]; s.Counts && (worst == nil || results.Rank(s.Outcome) > results.Rank(worst.Outcome) || worst.Outcome == rundir.OutcomePassed) {
			worst = s
		}
	}
	return worst
}

// findingOf is that of the attempt that decides, nil where it passed.
func findingOf(attempts []results.Ended) *rundir.Finding {
	if s := deciding(attempts); s != nil && s.Outcome != rundir.OutcomePassed {
		return s.Finding
	}
	return nil
}

// NotMeasured says why nothing was measured.
func NotMeasured(attempts []results.Ended) string {
	s := deciding(attempts)
	if f := findingOf(attempts); f != nil && f.Root != "" {
		return "not measured: root cause " + f.Root
	}
	if s != nil && s.Outcome != "" {
		return "not measured: the attempt ended as " + string(s.Outcome)
	}
	return "not measured"
}
