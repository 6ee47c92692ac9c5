package publish

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// viewCasePage prepares the page of a case.
func viewCasePage(d report.Report, c report.CaseReport) casePage {
	const root = "../../"
	p := casePage{caseView: viewCase(c, root), D: d, Up: "../", Title: caseLabel(c) + ": " + rundir.ShortID(c.ID)}
	p.RedBefore, p.RedAfter = redNeighbours(d, c)
	p.PerfFirst = c.Outcome == rundir.OutcomePassed
	p.Session = viewSession(c, root)
	charts := map[string]string{}
	for k, r := range charted(c.Metrics) {
		charts[r.Point+"\x00"+r.Metric] = chartFile(c, k)
	}
	for _, r := range c.Metrics {
		v := viewRow(r)
		file, drawn := charts[r.Point+"\x00"+r.Metric]
		if drawn {
			v = viewChart(r, file)
		}
		if !r.Gate {
			p.Rest = append(p.Rest, v)
			if drawn {
				p.Others = append(p.Others, v)
			}
			continue
		}
		p.Gating = append(p.Gating, v)
		switch {
		case !drawn:
		case r.Verdict == verdict.Pass:
			p.Passed = append(p.Passed, v)
		default:
			p.Red = append(p.Red, v)
		}
	}
	sort.SliceStable(p.Gating, func(i, j int) bool {
		return verdict.Rank(p.Gating[i].Verdict) < verdict.Rank(p.Gating[j].Verdict)
	})
	for _, a := range c.Attempts {
		v := viewAttempt(c, a, root)
		if a.Counts {
			p.Counting = append(p.Counting, v)
		} else {
			p.Earlier = append(p.Earlier, v)
		}
	}
	return p
}

// redNeighbours lead from one case that did not pass to the next without the way
// over the overview.
func redNeighbours(d report.Report, c report.CaseReport) (before, after *linkView) {
	if green(c) {
		return nil, nil
	}
	passed := false
	for _, other := range report.WorstFirst(d.Cases) {
		link := &linkView{Short: rundir.ShortID(other.ID), Page: casePath(other)}
		switch {
		case green(other):
		case other.Slug == c.Slug:
			passed = true
		case passed:
			return before, link
		default:
			before = link
		}
	}
	return before, nil
}

func viewAttempt(c report.CaseReport, a report.AttemptReport, root string) attemptPage {
	p := attemptPage{AttemptReport: a, Root: root, Tone: tone(a.Result(), ""), Name: fmt.Sprintf("Attempt %d", a.Attempt)}
	if slices.ContainsFunc(c.Attempts, func(a report.AttemptReport) bool { return a.Rep > 0 }) {
		p.Name = "R" + rundir.AttemptName(a.Rep, a.Attempt)[1:]
	}
	from, to, ok := attemptSpan(a)
	if ok {
		p.Timeline = timelineFile(c, a)
		p.Alt = timelineTitle(a, to.Sub(from)) + ". The tables below say the same."
	}
	if a.Started != nil {
		p.Start = look.Stamp(*a.Started)
		if a.Ended != nil {
			p.Duration = look.Lasting(a.Ended.Sub(*a.Started))
		}
	}
	if a.Outcome != rundir.OutcomePassed && (c.Finding == nil || a.Finding == nil || a.Finding.Message != c.Finding.Message) {
		p.Said = plain.Words(a.Reason)
	}
	for _, r := range a.Roles {
		p.RoleRows = append(p.RoleRows, viewRole(r, root, a.Finding))
	}
	for i, e := range a.Timeline {
		if i == maxEvents {
			p.Dropped = len(a.Timeline) - i
			break
		}
		p.Events = append(p.Events, eventView{At: "+" + look.Lasting(e.At.Sub(from)), Role: e.Role, What: look.OneLine(e.What, 400)})
	}
	if len(p.Artifacts) >= maxLinks { // as many as the report lists at all: there may be more
		p.Artifacts, p.MoreFiles = p.Artifacts[:maxLinks], true
	}
	return p
}

func viewRole(r report.RoleReport, root string, f *rundir.Finding) roleView {
	v := roleView{RoleReport: r, Root: root, Ending: roleWords(r), Open: r.Status == report.RoleRoot}
	v.Said = plain.Words(strings.TrimPrefix(r.Why, "["+r.Name+"] "))
	explains := ""
	if r.Status == report.RoleRoot && f != nil && f.Line != nil && !f.Line.Last {
		explains = plain.Words(f.Line.Text)
	}
	for _, t := range r.Tail {
		v.TailLines = append(v.TailLines, tailLine{Text: t, Marked: explains != "" && plain.Words(t) == explains})
	}
	switch r.Status {
	case report.RoleRoot:
		v.Tone, v.Word = "bad", "root cause"
	case report.RoleCollateral:
		if v.Tone, v.Word = "infra", "fell with it"; r.StoppedBy != "" {
			v.Tone, v.Word = "none", "stopped"
		}
	case report.RolePassed:
		v.Tone, v.Word = "good", "ended well"
	case report.RoleFailed:
		v.Tone, v.Word = "doubt", "failed"
		if r.StoppedBy != "" {
			v.Tone, v.Word = "none", "stopped"
		}
	case report.RoleNotStarted:
		v.Tone, v.Word = "none", "not started"
	default:
		v.Tone, v.Word = "doubt", r.Status
	}
	if r.Started != nil && r.Ready != nil && !rundir.Works(r.Kind) {
		v.ReadyIn = look.Lasting(r.Ready.Sub(*r.Started))
	}
	if r.Started != nil && r.Ended != nil {
		v.Lasted = look.Lasting(r.Ended.Sub(*r.Started))
	}
	return v
}

// chartFile and timelineFile are the names of the drawings below charts/.
func chartFile(c report.CaseReport, k int) string {
	return fmt.Sprintf("%s.metric-%d.svg", c.Slug, k+1)
}

func timelineFile(c report.CaseReport, a report.AttemptReport) string {
	return fmt.Sprintf("%s.rep-%d.attempt-%d.svg", c.Slug, a.Rep, a.Attempt)
}
