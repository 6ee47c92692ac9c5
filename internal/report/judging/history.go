package judging

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// upstreamRuns is how many runs the rule upstream gets to see: it has no limit
// of its own beside the 90 days.
const upstreamRuns = 1000

// past is what a case is judged against.
type past struct {
	baseline.History
	all         []baseline.Record // also those of later commits
	unavailable error
	elsewhere   string // where else the case has a history, if it has none here
}

func readPast(ctx context.Context, setup Setup, s Subject) past {
	if setup.Store == nil {
		return past{unavailable: setup.StoreErr}
	}
	q, warning := setup.query(s)
	var p past
	p.History, p.unavailable = setup.Store.History(ctx, q)
	if warning != "" {
		p.Warnings = append([]string{warning}, p.Warnings...)
	}
	p.keepBefore(setup, s.Record)
	if p.unavailable == nil && len(p.Runs) == 0 {
		p.elsewhere = elsewhere(ctx, setup.Store, q)
	}
	return p
}

// query asks for what the run is judged against, with a warning where that is not
// known for certain.
func (s Setup) query(subject Subject) (q baseline.Query, warning string) {
	r := subject.Record
	q = baseline.Query{
		Case: r.Case, Match: r.Match, Branch: cmp.Or(subject.Branch, r.Branch()),
		Before: r.Time.Add(time.Microsecond), // that of the same time, too: the run's copy, if not itself
		Except: r.ID, Since: r.Time.Add(-baseline.DefaultWindow),
	}
	if s.Policy.Mode == verdict.PullRequest {
		q, warning = endAtMergeBase(q, r)
	}
	if s.usesUpstream(r.Case) {
		q.Runs = upstreamRuns
	}
	return q, warning
}

// keepBefore keeps of the history what comes before the run.
func (p *past) keepBefore(setup Setup, r baseline.Record) {
	p.all = p.Runs
	if setup.Policy.Mode != verdict.PullRequest {
		p.endBefore(r)
	}
}

// endBefore ends the history where the run has its place: what was measured of later
// commits does not judge it, and it changes nothing for them.
func (p *past) endBefore(r baseline.Record) {
	ordered := baseline.InOrder(append(slices.Clone(p.Runs), r))
	at := slices.IndexFunc(ordered, func(o baseline.Record) bool { return o.ID == r.ID })
	p.Runs = ordered
	p.History = p.Until(at)
	if n := len(ordered); at < n-1 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("commit %.12s is older than the newest one measured (%.12s): judged at its own place in the history; nothing opens or closes at the head",
			baseline.Shorten(r.Build.Commit), baseline.Shorten(ordered[n-1].Build.Commit)))
	}
}

// endAtMergeBase ends a pull request's history where it left its branch.
func endAtMergeBase(q baseline.Query, r baseline.Record) (baseline.Query, string) {
	q.MergeBase = r.Build.MergeBase
	at := r.Build.MergeBaseTime
	switch {
	case at != nil && q.MergeBase != "":
		q.MergeBaseTime = *at
	case at != nil:
		if end := at.Add(time.Nanosecond); end.Before(q.Before) {
			q.Before = end
		}
	case q.MergeBase == "":
		return q, fmt.Sprintf("the merge base is not given: compared with the newest runs of %s, which may be ahead of this change", baseline.NormalBranch(q.Branch))
	}
	return q, ""
}

func (s Setup) usesUpstream(caseID string) bool {
	uses := s.Policy.Rule == verdict.RuleUpstream
	for _, m := range s.Policy.Metrics {
		uses = uses || m.Rule == verdict.RuleUpstream
	}
	for _, e := range s.Pins.Cases[caseID] {
		uses = uses || e.Rule == verdict.RuleUpstream
	}
	return uses
}

// SeriesOf is the history of one metric at one point, with the levels that people
// accepted.
func (s Setup) SeriesOf(h baseline.History, point, name string) []verdict.Run {
	return placesOf(h.Runs, s.Lemons).series(h, point, name)
}

func (p places) series(h baseline.History, point, name string) []verdict.Run {
	accepted := map[string]bool{}
	for _, a := range h.Acts {
		if a.Act.Covers(point, name) {
			accepted[acceptedRun(h, a)] = true
		}
	}
	var out []verdict.Run
	for _, rec := range h.Runs {
		if m, ok := rec.Find(point, name); ok {
			r := p.run(rec, m)
			r.Accepted = accepted[rec.ID]
			out = append(out, r)
		}
	}
	return out
}

// acceptedRun is the run that shows the level which someone accepted: the one named, or where that was withdrawn
// since, the one behind those that were measured by then: the acceptance outlives it. "" = none yet, or all of this is
// long after it.
func acceptedRun(h baseline.History, act baseline.Record) string {
	at := slices.IndexFunc(h.Runs, func(r baseline.Record) bool { return r.ID == act.Act.Target })
	if at < 0 && len(h.Runs) > 0 && act.Branch() == h.Runs[0].Branch() {
		for i, r := range h.Runs { // in the order of their commits, not of the clock
			if !r.Time.After(act.Time) {
				at = i + 1
			}
		}
	}
	if at < 0 || at == len(h.Runs) {
		return ""
	}
	return h.Runs[at].ID
}
