package publish

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// sessionView is a paired session on the page of its case.
type sessionView struct {
	ab.Session
	Tone   string
	Word   string
	Builds []string // A and B, in words
	Sees   string   // what such a session would have noticed
	Series []seriesView
	Rows   []pairView
}

// seriesView is one series of a session.
type seriesView struct {
	ab.Found
	Said  string
	A, B  string
	Tone  string
	Least string // the smallest change that matters
	Chart string // file name below charts/
	Alt   string
}

// pairView is one measured pair.
type pairView struct {
	Number, Order string
	Decided       bool
	Problems      []problemView
}

// problemView is why a run is no measurement.
type problemView struct{ Text, Href string }

// viewSession prepares the paired session of a case, nil where it had none.
func viewSession(c report.CaseReport, root string) *sessionView {
	if c.AB == nil {
		return nil
	}
	v := &sessionView{Session: *c.AB, Tone: tone(c.Result, c.Colour), Word: string(c.AB.Verdict), Builds: buildWords(*c.AB)}
	if c.AB.Power != nil {
		v.Sees = c.AB.Power.Sentence()
	}
	for k, f := range c.AB.Series {
		s := seriesView{Found: f, Said: f.Sentence(), A: look.Quantity(f.A, f.Unit), B: look.Quantity(f.B, f.Unit), Tone: seriesTone(c, f), Least: fmt.Sprintf("%.3g %%", 100*f.MinEffect)}
		if k < maxGating && len(f.Values) > 0 {
			s.Chart, s.Alt = pairsFile(c, k), pairsTitle(f)
		}
		v.Series = append(v.Series, s)
	}
	for i, p := range c.AB.Measured {
		row := pairView{Number: fmt.Sprint(i + 1), Order: orderWords(p.First), Decided: slices.Contains(c.AB.Used, i)}
		for _, r := range []ab.Run{p.A, p.B} {
			for _, why := range r.Problems {
				row.Problems = append(row.Problems, problemView{r.Name + ": " + why, look.Href(root, r.Log)})
			}
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

func orderWords(first string) string {
	switch first {
	case ab.A:
		return "A, B"
	case ab.B:
		return "B, A"
	default:
		return "not known"
	}
}

func seriesTone(c report.CaseReport, f ab.Found) string {
	switch {
	case f.Blamed:
		return "bad"
	case c.Verdict == verdict.Pass, c.Verdict == verdict.Improvement:
		return "good"
	default:
		return "doubt"
	}
}

// buildWords say what A and B are.
func buildWords(s ab.Session) []string {
	var out []string
	for _, one := range []struct {
		letter string
		b      *ab.Build
	}{{ab.A, s.Base}, {ab.B, s.Head}} {
		if one.b == nil {
			continue
		}
		text := one.letter + ": " + one.b.Name
		if one.b.Commit != "" {
			text += ", commit " + words.ShortCommit(one.b.Commit)
		}
		if one.b.Dirty {
			text += " with uncommitted changes"
		}
		if one.b.Image != "" {
			text += ", image " + look.OneLine(one.b.Image, 120)
		}
		if len(one.b.Env) > 0 {
			text += ", " + look.OneLine(strings.Join(one.b.Env, ", "), 200)
		}
		if one.b.From != "" {
			text += ", of " + look.OneLine(one.b.From, 200)
		}
		out = append(out, text)
	}
	return out
}

// pairsFile is the name of a session's drawing below charts/.
func pairsFile(c report.CaseReport, k int) string { return fmt.Sprintf("%s.pairs-%d.svg", c.Slug, k+1) }

// pairsCharts are the drawings of a case's session by their names below charts/.
func pairsCharts(c report.CaseReport) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		v := viewSession(c, "")
		if v == nil {
			return
		}
		for _, one := range v.Series {
			if one.Chart != "" && !yield(one.Chart, PairsChart(v.Session, one.Found)) {
				return
			}
		}
	}
}

// sessionLines are a session in lines, the blamed series first, at most n of them.
func sessionLines(s *ab.Session, n int) []string {
	if s == nil {
		return nil
	}
	var out []string
	for i, f := range s.Series {
		if i == n {
			out = append(out, fmt.Sprintf("… and %s", plain.Count(len(s.Series)-n, "more gating metric")))
			break
		}
		pairs := ""
		if f.Blamed {
			pairs = ", " + plain.Count(s.Pairs, "pair")
		}
		out = append(out, fmt.Sprintf("%s: %s%s; A %s, B %s", f.Name(), f.Sentence(), pairs, look.Quantity(f.A, f.Unit), look.Quantity(f.B, f.Unit)))
	}
	if s.Power != nil && s.Verdict != paired.Pass {
		out = append(out, s.Power.Sentence())
	}
	return append(out, strings.Join(buildWords(*s), "; "))
}

// summarySession is a session as a table of summary.md, and what A and B are.
func summarySession(s *ab.Session) string {
	if s == nil {
		return ""
	}
	var b strings.Builder
	if len(s.Series) > 0 {
		b.WriteString("\n| metric | B against A (5 to 95 %) | pair by pair, % worse | A | B |\n|---|---|---|---:|---:|\n")
	}
	for i, f := range s.Series {
		if i == summaryRows {
			fmt.Fprintf(&b, "\n… and %s in the report.\n", plain.Count(len(s.Series)-i, "more gating metric"))
			break
		}
		each := make([]string, len(f.Differences))
		for k, d := range f.Differences {
			each[k] = fmt.Sprintf("%+.1f", 100*d)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", look.Markdown(look.OneLine(f.Name(), 200)), look.Markdown(f.Sentence()), look.Markdown(strings.Join(each, " ")), look.Markdown(look.Quantity(f.A, f.Unit)), look.Markdown(look.Quantity(f.B, f.Unit)))
	}
	said := buildWords(*s)
	if s.Power != nil && s.Verdict != paired.Pass {
		said = append(said, s.Power.Sentence())
	}
	for _, line := range said {
		fmt.Fprintf(&b, "\n%s\n", look.Markdown(look.OneLine(line, 400)))
	}
	return b.String()
}
