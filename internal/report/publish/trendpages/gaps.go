package trendpages

import (
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
)

// forgotten is for how long a case that is not measured is asked for.
const forgotten = 60 * 24 * time.Hour

// gapView is a stretch without nights.
type gapView struct{ When, Missed string }

// silentView is a case that was due and was not measured.
type silentView struct{ Case, Page, Where, Last, Missed, Owner string }

// gapViews are the newest gaps, and how many more there are.
func gapViews(all []trends.Gap) (out []gapView, more int) {
	const most = 10
	for _, g := range slices.Backward(all[max(0, len(all)-most):]) {
		out = append(out, gapView{When: span(g), Missed: plain.Count(g.Missed, "night")})
	}
	return out, max(0, len(all)-most)
}

// gapWords are a gap in a sentence.
func gapWords(g trends.Gap) string { return plain.Count(g.Missed, "night") + ", " + span(g) }

// span are the days of a gap.
func span(g trends.Gap) string {
	if g.Open() {
		return "since " + day(g.After)
	}
	return days(g.After.AddDate(0, 0, 1), g.Before.AddDate(0, 0, -1))
}

// days are the first and the last of some.
func days(first, last time.Time) string {
	if day(first) == day(last) || last.Before(first) {
		return day(first)
	}
	return day(first) + " to " + day(last)
}

// silent fills in the cases that were not measured.
func (v *overview) silent(s *Site, at []int, up string) {
	var some []*trends.History
	for _, i := range at {
		some = append(some, s.Histories[i])
	}
	ones, older := trends.SilentOnes(some, s.Now, forgotten, s.Owner)
	for _, o := range ones {
		v.Silent = append(v.Silent, silentView{
			Case: o.Case, Page: look.Href(up, casePage(o.History)), Where: o.Where(), Last: day(o.After), Missed: plain.Count(o.Missed, "night"), Owner: o.Owner,
		})
	}
	v.Retired = older
}
