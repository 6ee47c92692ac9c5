package trendpages

import (
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// overview is a page over many cases.
type overview struct {
	head
	Headline string
	Tone     string
	Groups   []link
	Open     []openView
	Worse    []moverView
	Better   []moverView
	HeatOf   string
	Heat     template.HTML // made of escaped texts and numbers
	Unproven []unprovenView
	Silent   []silentView
	GPUHours *hoursView
	Retired  int // cases that have been silent for longer than anybody waits
	Cases    int
	Nights   string
	Warnings []string
}

type link struct{ Text, Page, Note string }

// openView is an open regression.
type openView struct {
	Case, Page, Where, Metric, MetricPage string
	Age, Since, Size, Owner               string
	Commit, Before                        string
	Changed                               string
	Others                                int
	Suspects                              []string
}

// moverView is a series that moved.
type moverView struct {
	Case, Page, Name, Was, Is, Moved, Where string
}

// overviews writes the overview, and one for each cluster and branch where there are several.
func (p *printer) overviews() (open int, err error) {
	s := p.site
	all := make([]int, len(s.Histories))
	for i := range all {
		all[i] = i
	}
	main := all
	if len(s.groups) > 0 {
		main = s.groups[0].at
	}
	v := p.overview(all, main, "")
	v.Warnings = s.Warnings
	if len(s.groups) > 1 {
		v.HeatOf = s.groups[0].title()
		for _, g := range s.groups {
			one := p.overview(g.at, g.at, "../")
			one.Title = g.title() + ": " + one.Title
			if err := p.page("overview", g.page(), one); err != nil {
				return 0, err
			}
			v.Groups = append(v.Groups, link{Text: g.title(), Page: look.Href("", g.page()), Note: plain.Count(len(one.Open), "open regression")})
		}
	}
	return len(v.Open), p.page("overview", rundir.ReportIndex, v)
}

// overview is what is told of some histories; those of heat have their nights drawn.
func (p *printer) overview(at, heat []int, up string) overview {
	s := p.site
	var series [][]trends.Series
	for _, i := range at {
		series = append(series, s.all[i])
	}
	open := trends.OpenFindings(series, s.Now, s.Owner)
	v := overview{Cases: len(at)}
	v.unproven(s, at, up)
	v.silent(s, at, up)
	v.headline(len(open))
	v.head = p.head(v.Headline, up)
	for _, f := range open {
		v.Open = append(v.Open, p.openView(f, up))
	}
	const movers = 10
	worse, better := trends.Movers(series, movers)
	for _, m := range worse {
		v.Worse = append(v.Worse, moverOf(m, up))
	}
	for _, m := range better {
		v.Better = append(v.Better, moverOf(m, up))
	}
	v.hours(s, at, up)
	h := newHeat(s, heat, up)
	v.Heat, v.Nights = h.svg(), h.span()
	return v
}

// unprovenView is a case whose newest night has no verdict.
type unprovenView struct{ Case, Page, Where, Night, Word, Metrics, Why, Owner string }

// unproven fills in the cases of whose newest night nothing is proven, and that have no open regression.
func (v *overview) unproven(s *Site, at []int, up string) {
	for _, i := range at {
		h := s.Histories[i]
		n := &h.Nights[len(h.Nights)-1]
		if !n.Verdict.Unproven() || s.Now.Sub(n.Time) > forgotten || worst(s.all[i]) == "bad" {
			continue
		}
		var names []string
		for _, one := range s.all[i] {
			if last := one.Nights[len(one.Nights)-1]; one.Gates && last.Night == n && last.Verdict == n.Verdict {
				names = append(names, one.Name())
			}
		}
		v.Unproven = append(v.Unproven, unprovenView{
			Case: h.Case, Page: look.Href(up, casePage(h)), Where: h.Where(), Night: day(n.Time), Word: words.Verdict(n.Verdict),
			Metrics: strings.Join(names, ", "), Why: n.Why, Owner: s.Owner(h.Case),
		})
	}
}

// headline says how many cases have an open regression, and of how many nothing is known: what is not judged or not
// measured cannot be red, and is not well either.
func (v *overview) headline(open int) {
	switch open {
	case 0:
		v.Headline, v.Tone = "No regression is open", "good"
	case 1:
		v.Headline, v.Tone = "1 case with an open regression", "bad"
	default:
		v.Headline, v.Tone = plain.Count(open, "case")+" with open regressions", "bad"
	}
	but := ""
	if n := len(v.Unproven); n > 0 {
		but = "; " + plain.Count(n, "case") + " without a verdict"
	}
	switch n := len(v.Silent); {
	case n > 0:
		but += "; " + plain.Count(n, "case") + " due and not measured"
	case v.Retired > 0 && v.Retired == v.Cases:
		but += "; no case was measured for 60 days"
	}
	v.Headline += but
	if v.Tone == "good" && but != "" {
		v.Tone = "doubt"
	}
}

func (p *printer) openView(f trends.Finding, up string) openView {
	first, before := f.Series.Onset(f.Spell)
	raised := f.Series.Raised(f.Spell)
	v := openView{
		Case: f.Series.Case, Page: look.Href(up, casePage(f.Series.History)), Where: f.Series.Where(), Metric: f.Series.Name(),
		MetricPage: look.Href(up, seriesPage(f.Series)), Age: age(f.Age), Since: day(first.Time), Owner: f.Owner, Others: f.Others,
		Commit: words.ShortCommit(first.Commit), Changed: raised.Changed, Size: sizeOf(f.Spell.Worse), Suspects: raised.Suspects,
	}
	if before != nil {
		v.Before = words.ShortCommit(before.Commit)
	}
	return v
}

// sizeOf is how much worse something is.
func sizeOf(worse float64) string {
	if math.IsNaN(worse) {
		return "not recorded"
	}
	if worse < 0 {
		return look.Percent(-worse)[1:] + " better"
	}
	return look.Percent(worse)[1:] + " worse"
}

func moverOf(m trends.Mover, up string) moverView {
	return moverView{
		Case: m.Case, Page: look.Href(up, seriesPage(m.Series)), Name: m.Name(), Where: m.Where(),
		Was: look.Quantity(m.Was, m.Metric.Unit), Is: look.Quantity(m.Is, m.Metric.Unit), Moved: sizeOf(m.Worse),
	}
}

// worst is the state of a history now: that of its worst series that gates.
func worst(all []trends.Series) string {
	if slices.ContainsFunc(all, func(s trends.Series) bool { return s.Current() != nil && s.Current().Gates }) {
		return "bad"
	}
	return "good"
}
