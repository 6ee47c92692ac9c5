package fold

import (
	"iter"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// Reading is what the cases of one name in one suite are.
type Reading int

// The readings.
const (
	AllCount   Reading = iota // tests of their own, or runs that all count
	LastCounts                // attempts of one test
	Unsure                    // one or the other
)

// Shown is what a case says of the reading of its suite.
type Shown[K comparable] struct {
	Name     K
	Status   junit.Status
	Teardown bool
}

// ReadingOf holds what a suite counts against the cases that it shows. pytest's plugins write a case for each attempt,
// and the suite's own count has each test once; before version 9.1 it has a test twice that passed and whose teardown
// failed. A failure that it counts is none of an attempt that another has healed. Where no pytest is known to have
// written the suite, no attempt may hide a failure.
func ReadingOf[K comparable](s *junit.Suite, shown iter.Seq[Shown[K]]) Reading {
	counts, ok := s.Declared("tests")
	failures, _ := s.Declared("failures")
	owed, _ := s.Declared("errors")
	last, red, left := map[K]junit.Status{}, map[K]bool{}, map[K]int{}
	cases, down, hidden := 0, 0, false
	for c := range shown {
		hidden = hidden || red[c.Name] && !c.Status.Red()
		red[c.Name] = red[c.Name] || c.Status.Red()
		before, again := last[c.Name]
		last[c.Name] = c.Status
		if c.Teardown && again && before != junit.Errored {
			left[c.Name]++
			continue // a part of its call
		}
		if c.Status != junit.Skipped {
			left[c.Name] = min(c.Status.Rank(), 1)
		}
		if cases++; c.Teardown {
			down++
		}
	}
	for _, n := range left {
		owed -= n
	}
	switch ok = ok && s.Complete; {
	case ok && counts == len(last) && owed+failures <= 0 && (s.Pytest || !hidden):
		return LastCounts
	case !s.Pytest, ok && counts >= cases && counts > len(last)+down:
		return AllCount
	default:
		return Unsure
	}
}

// Results are those that the cases of one name in one suite come to: where they may be one or the other, the worse of
// both.
func (r Reading) Results(cases []*junit.Case, flaky Policy) []*junit.Case {
	if r == AllCount {
		return cases
	}
	last := Attempts(cases, flaky)
	if r == Unsure && slices.ContainsFunc(cases, func(c *junit.Case) bool { return !last.Status().Worse(c.Status()) }) {
		return cases
	}
	return []*junit.Case{last}
}

// JoinTeardowns puts the errors of teardowns, which pytest writes as cases of their own, into the cases of their calls.
func JoinTeardowns(cases []*junit.Case) []*junit.Case {
	out := []*junit.Case{cases[0]}
	for _, c := range cases[1:] {
		if last := &out[len(out)-1]; IsTeardown(c) && (*last).Status() != junit.Errored {
			*last = joinTeardown(*last, c)
		} else {
			out = append(out, c)
		}
	}
	return out
}
