package trendpages

import (
	"bytes"
	"fmt"
	"html/template"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// caseView is the page of one history.
type caseView struct {
	head
	Case, Where, Match, Owner string
	Nights                    string
	Series                    []seriesRow
	Open                      []openView
	Machines                  []machineView
	MoreMachines              int
	Gaps                      []gapView
	MoreGaps                  int
	Invalid                   []invalidView
}

// invalidView is a night that is no measurement.
type invalidView struct{ When, Why string }

// seriesRow is a series in the table of its case.
type seriesRow struct {
	Name, Page, Level, Last, State, Tone string
	Spells                               int
	Spark                                template.HTML
}

type machineView struct{ When, Commit, Fact, Before, Then string }

// seriesView is the page of one series.
type seriesView struct {
	head
	Case, CasePage, Where, Name, Unit, Better, Owner string
	State, Tone                                      string
	Chart                                            template.HTML
	Spells                                           []spellView
	Levels                                           []levelView
	Accepts                                          []acceptView
	Machines                                         []machineView
	Gaps                                             []gapView
	Months                                           []monthView
}

type spellView struct {
	Began, Raised, Ended, How, Tone, Size, Commit, Before, Changed, Note string
	Suspects                                                             []string
}

type levelView struct{ From, To, Value, Moved, Commit string }

type acceptView struct{ When, By, Why string }

type monthView struct {
	Name, Note string
	Open       bool
	Rows       template.HTML // made of escaped texts
}

// cases writes the pages of all histories and of their series.
func (p *printer) cases() error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range p.site.Histories {
		group.Go(func() error { return p.history(i) })
	}
	return group.Wait()
}

func (p *printer) history(i int) error {
	s := p.site
	h, all := s.Histories[i], s.all[i]
	machines := h.Machines()
	v := caseView{
		head: p.head(h.Case+", "+h.Where(), "../"), Case: h.Case, Where: h.Where(), Match: tables.Match(h.Match), Owner: s.Owner(h.Case),
		Nights: plain.Count(len(h.Nights), "night") + ", " + day(h.Nights[0].Time) + " to " + day(h.Nights[len(h.Nights)-1].Time),
	}
	for _, f := range trends.OpenFindings([][]trends.Series{all}, s.Now, s.Owner) {
		v.Open = append(v.Open, p.openView(f, "../"))
	}
	const most = 30
	v.Machines, v.MoreMachines = machineViews(machines[:min(len(machines), most)]), max(0, len(machines)-most)
	gaps := h.Gaps(s.Now)
	v.Gaps, v.MoreGaps = gapViews(gaps)
	const mostInvalid = 10
	for _, n := range slices.Backward(h.Nights) {
		if n.Why != "" && len(v.Invalid) < mostInvalid {
			v.Invalid = append(v.Invalid, invalidView{day(n.Time), n.Why})
		}
	}
	for _, one := range all {
		v.Series = append(v.Series, rowOf(one))
		if err := p.page("series", seriesPage(one), p.series(one, machines, gaps)); err != nil {
			return fmt.Errorf("%s %s: %w", h.Case, one.Name(), err)
		}
	}
	return p.page("case", casePage(h), v)
}

func machineViews(all []trends.Machine) []machineView {
	var out []machineView
	for _, m := range all {
		out = append(out, machineView{When: day(m.Night.Time), Commit: words.ShortCommit(m.Night.Commit), Fact: m.Fact, Before: m.Before, Then: m.Then})
	}
	return out
}

func rowOf(s trends.Series) seriesRow {
	last := s.Nights[len(s.Nights)-1]
	state, tone := stateOf(s)
	return seriesRow{
		Name: s.Name(), Page: look.Href("../", seriesPage(s)), State: state, Tone: tone, Spells: len(s.Spells), Spark: spark(s),
		Level: look.Quantity(s.Levels[len(s.Levels)-1].Value, s.Metric.Unit), Last: look.Quantity(last.Value.Value, s.Metric.Unit),
	}
}

// stateOf is how a series stands, as it was recorded last.
func stateOf(s trends.Series) (state, tone string) {
	if cur := s.Current(); cur != nil {
		first, _ := s.Onset(*cur)
		return "regression open since " + day(first.Time) + advisory(cur.Gates), toneIf(cur.Gates, "bad")
	}
	last := s.Nights[len(s.Nights)-1].Verdict
	if last == "" {
		return "not judged", "doubt"
	}
	return words.Verdict(last) + advisory(s.Gates), toneIf(s.Gates, look.Tone(last))
}

// advisory marks what is shown and never red.
func advisory(gates bool) string {
	if gates {
		return ""
	}
	return " (advisory)"
}

// toneIf is a tone, but red only for what gates.
func toneIf(gates bool, tone string) string {
	if tone == "bad" && !gates {
		return "doubt"
	}
	return tone
}

func (p *printer) series(s trends.Series, machines []trends.Machine, gaps []trends.Gap) seriesView {
	state, tone := stateOf(s)
	v := seriesView{
		head: p.head(s.Name()+" of "+s.Case, "../"), Case: s.Case, CasePage: look.Href("../", casePage(s.History)), Where: s.Where(), Name: s.Name(),
		Unit: s.Metric.Unit, Better: s.Metric.Better.String(), Owner: p.site.Owner(s.Case), State: state, Tone: tone, Chart: history(s, gaps),
	}
	for i := len(s.Spells) - 1; i >= 0; i-- {
		v.Spells = append(v.Spells, spellOf(s, s.Spells[i]))
	}
	for k := len(s.Levels) - 1; k >= 0; k-- {
		v.Levels = append(v.Levels, levelOf(s, k))
	}
	for _, a := range slices.Backward(s.Acts) {
		if a.Act.Covers(s.Point, s.Metric.Name) {
			v.Accepts = append(v.Accepts, acceptView{When: day(a.Act.At), By: a.Act.By, Why: a.Act.Why})
		}
	}
	const most = 15
	v.Machines = machineViews(machines[:min(len(machines), most)])
	v.Months = months(s)
	v.Gaps, _ = gapViews(gaps)
	return v
}

func spellOf(s trends.Series, p trends.Spell) spellView {
	first, before := s.Onset(p)
	raised := s.Raised(p)
	v := spellView{
		Began: day(first.Time), Raised: day(raised.Time), Size: sizeOf(p.Worse), Commit: words.ShortCommit(first.Commit), Changed: raised.Changed,
		Suspects: raised.Suspects, Ended: "–",
	}
	if before != nil {
		v.Before = words.ShortCommit(before.Commit)
	}
	if p.End < len(s.Nights) {
		v.Ended = day(s.Nights[p.End].Night.Time)
	}
	switch p.How {
	case trends.Open:
		v.How, v.Tone = "open"+advisory(p.Gates), toneIf(p.Gates, "bad")
	case trends.Accepted:
		v.How, v.Tone, v.Note = "accepted", "doubt", p.Accept.Act.By+": "+p.Accept.Act.Why
	default:
		v.How, v.Tone = "back", "good"
	}
	return v
}

func levelOf(s trends.Series, k int) levelView {
	l := s.Levels[k]
	v := levelView{
		From: day(s.Nights[l.From].Night.Time), To: day(s.Nights[l.To-1].Night.Time), Value: look.Quantity(l.Value, s.Metric.Unit), Moved: "–",
		Commit: words.ShortCommit(s.Nights[l.From].Night.Commit),
	}
	if k > 0 && s.Levels[k-1].Value != 0 {
		v.Moved = look.Percent(l.Value/s.Levels[k-1].Value - 1)
	}
	return v
}

// months are the nights, newest first, those of a month together. The tables are most of a site: they are written by
// hand.
func months(s trends.Series) []monthView {
	var out []monthView
	for to := len(s.Nights); to > 0; {
		at := s.Nights[to-1].Night.Time.UTC()
		from := to - 1
		red := 0
		for ; from >= 0; from-- {
			if t := s.Nights[from].Night.Time.UTC(); t.Month() != at.Month() || t.Year() != at.Year() {
				break
			}
			if s.Nights[from].Verdict == verdict.Regression {
				red++
			}
		}
		m := monthView{Name: at.Format("January 2006"), Note: plain.Count(to-from-1, "night"), Open: len(out) == 0, Rows: rows(s, from+1, to)}
		if red > 0 {
			m.Note += fmt.Sprintf(", %d with a regression", red)
		}
		out = append(out, m)
		to = from + 1
	}
	return out
}

// rows are the nights of [from, to), newest first.
func rows(s trends.Series, from, to int) template.HTML {
	var b bytes.Buffer
	esc := template.HTMLEscapeString
	for i := to - 1; i >= from; i-- {
		p := s.Nights[i]
		word, tone := words.Verdict(p.Verdict), toneIf(s.Gates || p.Night.Verdict == verdict.Regression, look.Tone(p.Verdict))
		if word == "" {
			word = "–"
		}
		if p.Verdict == verdict.Regression && !p.Open {
			word = "regression raised"
		}
		value := look.Quantity(p.Value.Value, p.Unit)
		if p.Reps > 1 {
			value += fmt.Sprintf(" (median of %d)", p.Reps)
		}
		fmt.Fprintf(&b, `<tr><th scope="row">%s</th><td data-label="Value" class="n">%s</td><td data-label="Verdict"><span class="badge %s">%s</span></td><td data-label="Commit"><code>%s</code></td><td data-label="Run">%s</td></tr>`+"\n",
			p.Night.Time.UTC().Format("2006-01-02 15:04"), esc(value), tone, esc(word), esc(words.ShortCommit(p.Night.Commit)), runLink(p.Night))
	}
	return template.HTML(b.String()) //nolint:gosec // made here of escaped texts
}

func runLink(n *trends.Night) string {
	name := template.HTMLEscapeString(look.OneLine(n.Run, 60))
	if url := look.WebLink(n.URL); url != "" {
		return `<a href="` + template.HTMLEscapeString(url) + `">` + name + `</a>`
	}
	return name
}
