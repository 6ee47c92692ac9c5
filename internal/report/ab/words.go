package ab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Name is the series as a person reads it.
func (f Found) Name() string { return strings.TrimPrefix(f.Point+" "+f.Metric, " ") }

// Sentence is the effect with its interval: "2.1 % worse (1.6 to 2.6 %)".
func (f Found) Sentence() string {
	word, sign := "worse", 100.0
	lo, hi := f.Interval[0], f.Interval[1]
	if f.Effect < 0 {
		word, sign = "better", -100
		lo, hi = hi, lo
	}
	return fmt.Sprintf("%.1f %% %s (%.1f to %.1f %%)", sign*f.Effect, word, sign*lo, sign*hi)
}

// Sentence says what would have been noticed.
func (p Power) Sentence() string {
	const finest = 0.0005 // what values of a few digits look like that never differ
	noise := fmt.Sprintf("%.2g %%", 100*p.Noise)
	switch {
	case p.Seen < min(p.Noise, finest):
		noise += fmt.Sprintf(" assumed, below %.2g %% seen", 100*finest)
	case p.Seen < p.Noise:
		noise += fmt.Sprintf(" assumed, %.2g %% seen", 100*p.Seen)
	}
	where, all := "", ""
	if p.Metrics > 1 {
		where, all = " in one metric", fmt.Sprintf(", in %d at once in %.0f", p.Metrics, 100*p.Found)
	}
	return fmt.Sprintf("a slowdown of %.3g %% or more%s would have been found in %.0f of 100 such sessions%s (noise of a run %s)", 100*p.Step, where, 100*p.Alone, all, noise)
}

// headline is the one line.
func (s Session) headline() string {
	pairs := fmt.Sprintf("%d pairs", s.Pairs)
	if s.Pairs == 1 {
		pairs = "1 pair"
	}
	switch s.Verdict {
	case paired.Regression:
		return fmt.Sprintf("%s is %s, %s", s.Series[0].Name(), s.Series[0].Sentence(), pairs)
	case paired.Improvement:
		best := s.Series[0]
		for _, f := range s.Series {
			if f.Effect < best.Effect {
				best = f
			}
		}
		return fmt.Sprintf("%s is %s and nothing is worse, %s", best.Name(), best.Sentence(), pairs)
	case paired.Pass:
		return fmt.Sprintf("%s is %s, %s: no change that matters; %s", s.Nearest().Name(), s.Nearest().Sentence(), pairs, s.Power.Sentence())
	case paired.Failed:
		return s.Lead() + s.lastProblem()
	case paired.Invalid:
		return "no measurement: " + s.Reason + s.lastProblem()
	default:
		if len(s.Series) == 0 {
			return "undecided: " + s.Reason + s.lastProblem()
		}
		return fmt.Sprintf("undecided: %s; %s is %s", s.Reason, s.Nearest().Name(), s.Nearest().Sentence())
	}
}

// CutBy says which time limit left room for no further pair.
func (s *Session) CutBy(limit string) {
	s.Limit, s.Reason = limit, "the session was cut short: its time limit of "+limit+" (ab.time) left room for no further pair"
	s.Headline = s.headline() + s.flaky()
}

// Lead says whose failure it is where that of one run is told, "" where the session does not know.
func (s Session) Lead() string {
	if s.Verdict != paired.Failed {
		return ""
	}
	return "B fails by itself: " + s.Reason
}

// lastProblem is why the last pair that gave no measurement gave none.
func (s Session) lastProblem() string {
	for _, pair := range slices.Backward(s.Measured) {
		for _, r := range []Run{pair.B, pair.A} {
			if len(r.Problems) > 0 && !strings.Contains(s.Reason, r.Problems[0]) {
				return ": " + r.Problems[0]
			}
		}
	}
	return ""
}

// Nearest is the series that is blamed, else the one that may be the most worse, by its smallest change that matters.
func (s Session) Nearest() Found {
	worst := s.Series[0]
	if worst.Blamed {
		return worst
	}
	for _, f := range s.Series {
		if f.Interval[1]/f.MinEffect > worst.Interval[1]/worst.MinEffect {
			worst = f
		}
	}
	return worst
}

// Compares reports whether the session is of these two commits, each given by its first digits or all.
func (s Session) Compares(base, head string) bool {
	return s.Base != nil && s.Head != nil && rundir.SameCommit(s.Base.Commit, base) && rundir.SameCommit(s.Head.Commit, head)
}

// Log is the command that lists the commits which head has and base has not, nil where they are not known or the same
// one.
func (s Session) Log() []string {
	if s.Base == nil || s.Head == nil || s.Base.Commit == "" || s.Head.Commit == "" || s.Base.Commit == s.Head.Commit {
		return nil
	}
	out := []string{"git"}
	if s.Head.Source != "" { // a run directory is in no checkout
		out = append(out, "-C", s.Head.Source)
	}
	return append(out, "log", "--oneline", s.Base.Commit+".."+s.Head.Commit)
}

// Commits names the two commits that were compared.
func (s Session) Commits() string {
	name := func(b *Build) string {
		if b == nil || b.Commit == "" {
			return "no known commit"
		}
		return fmt.Sprintf("commit %.10s", b.Commit)
	}
	return name(s.Head) + " against " + name(s.Base)
}
