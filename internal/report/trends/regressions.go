package trends

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// Spell is a regression from its begin to its end, as it was recorded.
type Spell struct {
	Onset  int // place in Series.Nights of the run at which it began, as judged
	Raised int // of the run that raised it
	End    int // of the first run behind it; len(Nights) = it is open
	How    string
	Before float64 // level that it was measured against, 0 = not recorded
	Worse  float64 // its size: relative, above 0 where it is worse
	Gates  bool    // it turned its case red; else it is advisory
	Accept *baseline.Record
}

// How a spell ended.
const (
	Open     = "open"
	Accepted = "accepted"
	Back     = "back" // the runs are where they were
)

// Level is a stretch between the recorded changes, and its median.
type Level struct {
	From, To int // the first run, and the first behind
	Value    float64
}

// decides reports whether a spell turned its case red. told are the nights that are red by a series that gates: a night
// that is red without one had other settings than these, and what was worse in it counts.
func (s *Series) decides(p Spell, told map[*Night]bool) bool {
	return s.Gates || slices.ContainsFunc(s.Nights[p.Raised:p.End], func(p Point) bool {
		return p.red() && p.Night.Verdict == verdict.Regression && !told[p.Night]
	})
}

// spells finds the regressions that the recorded verdicts tell of.
func (s *Series) spells(told map[*Night]bool) {
	place := map[string]int{}
	for i, p := range s.Nights {
		place[p.Night.ID] = i
	}
	var open *Spell
	end := func(at int, how string, act *baseline.Record) {
		open.End, open.How, open.Accept = at, how, act
		open.Worse = s.worse(*open)
		open.Gates = s.decides(*open, told)
		s.Spells = append(s.Spells, *open)
		open = nil
	}
	for i, p := range s.Nights {
		red := p.red()
		back := p.Verdict.Green()             // others know nothing of it
		anew := red && !p.Open && p.Level > 0 // rules that keep no level keep nothing open: the next red night goes on
		if open != nil && (back || anew) {
			end(i, Back, nil)
		}
		if red && open == nil {
			onset := i
			if at, ok := place[p.Onset]; ok && at <= i {
				onset = at
			}
			open = &Spell{Onset: onset, Raised: i, Before: p.Level}
		}
		if open == nil {
			continue
		}
		if act := s.accepted(p.Night.ID); act != nil {
			end(i+1, Accepted, act)
		}
	}
	if open != nil {
		end(len(s.Nights), Open, nil)
	}
}

// accepted is the act by which somebody accepted the level of a run, nil = nobody did.
func (s *Series) accepted(run string) *baseline.Record {
	at := slices.IndexFunc(s.Acts, func(a baseline.Record) bool {
		return a.Act.Target == run && a.Act.Covers(s.Point, s.Metric.Name)
	})
	if at < 0 {
		return nil
	}
	return &s.Acts[at]
}

// worse is how much worse the runs of a spell are than the level before it.
func (s *Series) worse(p Spell) float64 {
	if p.Before <= 0 {
		return math.NaN()
	}
	return s.Metric.Worsening(p.Before, median(s.Nights[p.Onset:p.End]))
}

// levels cuts the nights where the records tell of a change: at onsets, at accepted levels and
// where runs were back.
func (s *Series) levels() {
	cuts := []int{0}
	for _, p := range s.Spells {
		cuts = append(cuts, p.Onset)
		if p.How == Back {
			cuts = append(cuts, p.End)
		}
	}
	for i, p := range s.Nights {
		if s.accepted(p.Night.ID) != nil && !slices.ContainsFunc(s.Spells, func(sp Spell) bool { return sp.Onset <= i && i < sp.End }) {
			cuts = append(cuts, i)
		}
	}
	slices.Sort(cuts)
	cuts = append(slices.Compact(cuts), len(s.Nights))
	for k := 0; k+1 < len(cuts); k++ {
		if cuts[k] < cuts[k+1] {
			s.Levels = append(s.Levels, Level{From: cuts[k], To: cuts[k+1], Value: median(s.Nights[cuts[k]:cuts[k+1]])})
		}
	}
}

// median is the middle value of some nights, NaN of none.
func median(points []Point) float64 {
	if len(points) == 0 {
		return math.NaN()
	}
	v := make([]float64, len(points))
	for i, p := range points {
		v[i] = p.Value.Value
	}
	return bws.Median(v, nil)
}

// Finding is a regression that is open.
type Finding struct {
	Series Series // the one that is worst
	Spell  Spell
	Others int           // series of the case that are open besides
	Age    time.Duration // since the run that it began with
	Owner  string
}

// Onset is the run with which a spell began, and the one before it, nil = none is known.
func (s Series) Onset(p Spell) (first, before *Night) {
	first = s.Nights[p.Onset].Night
	if p.Onset > 0 {
		before = s.Nights[p.Onset-1].Night
	}
	return first, before
}

// Raised is the run that raised a spell.
func (s Series) Raised(p Spell) *Night { return s.Nights[p.Raised].Night }

// Current is the regression that is open, nil = none is.
func (s Series) Current() *Spell {
	if n := len(s.Spells); n > 0 && s.Spells[n-1].How == Open {
		return &s.Spells[n-1]
	}
	return nil
}

// OpenFindings are the cases with an open regression, the oldest first. What is advisory is none.
func OpenFindings(histories [][]Series, now time.Time, owner func(string) string) []Finding {
	var out []Finding
	for _, all := range histories {
		var f *Finding
		for _, s := range all {
			spell := s.Current()
			if spell == nil || !spell.Gates {
				continue
			}
			if f == nil {
				f = &Finding{Series: s, Spell: *spell, Owner: owner(s.Case), Others: -1}
			}
			f.Others++
			if first, _ := s.Onset(*spell); now.Sub(first.Time) > f.Age {
				f.Age = now.Sub(first.Time)
			}
			if spell.Worse > f.Spell.Worse {
				f.Series, f.Spell = s, *spell
			}
		}
		if f != nil {
			out = append(out, *f)
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		switch {
		case a.Age > b.Age:
			return -1
		case a.Age < b.Age:
			return 1
		default:
			return strings.Compare(a.Series.Case, b.Series.Case)
		}
	})
	return out
}

// Mover is a series whose newest week differs from the four before it.
type Mover struct {
	Series
	Was, Is float64 // medians
	Worse   float64 // relative, above 0 where it is worse
}

// Movers are the cases that moved most in the last week, by the recorded values of one of their series: the worst and
// the best, each at most n. It is arithmetic for a morning's look, no verdict.
func Movers(histories [][]Series, n int) (worse, better []Mover) {
	newest := newestOf(histories)
	var all []Mover
	for _, series := range histories {
		var most *Mover // of the case
		for _, s := range series {
			if m, ok := s.mover(newest); ok && (most == nil || math.Abs(m.Worse) > math.Abs(most.Worse)) {
				most = &m
			}
		}
		if most != nil {
			all = append(all, *most)
		}
	}
	slices.SortStableFunc(all, func(a, b Mover) int { return cmp.Compare(b.Worse, a.Worse) })
	for i := range all {
		if m := all[i]; m.Worse > 0 && len(worse) < n {
			worse = append(worse, m)
		}
		if m := all[len(all)-1-i]; m.Worse < 0 && len(better) < n {
			better = append(better, m)
		}
	}
	return worse, better
}

// newestOf is when the newest night began.
func newestOf(histories [][]Series) (at time.Time) {
	for _, all := range histories {
		for _, s := range all {
			if last := s.Nights[len(s.Nights)-1].Night.Time; last.After(at) {
				at = last
			}
		}
	}
	return at
}

// mover holds the newest week of a series against the four before it; ok = false where there are too few nights, or
// nothing moved by half of what matters.
func (s Series) mover(newest time.Time) (m Mover, ok bool) {
	const fewest = 3
	week := newest.AddDate(0, 0, -7)
	now, before := s.between(week, newest.Add(time.Second)), s.between(week.AddDate(0, 0, -28), week)
	if len(now) < fewest || len(before) < fewest || s.Metric.Better == 0 {
		return m, false
	}
	m = Mover{Series: s, Was: median(before), Is: median(now)}
	m.Worse = s.Metric.Worsening(m.Was, m.Is)
	return m, math.Abs(m.Worse) >= s.Metric.MinEffect/2
}

// between are the nights that began in [from, to).
func (s Series) between(from, to time.Time) []Point {
	var out []Point
	for i := len(s.Nights) - 1; i >= 0; i-- {
		if at := s.Nights[i].Night.Time; !at.Before(from) && at.Before(to) {
			out = append(out, s.Nights[i])
		} else if at.Before(from.AddDate(0, -2, 0)) {
			break
		}
	}
	return out
}
