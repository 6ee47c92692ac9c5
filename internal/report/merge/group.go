package merge

import (
	"cmp"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// take is what one suite element of a file says of one test: runs, each a call and
// perhaps its teardown, as indices of entries.
type take struct {
	part uint32
	runs [][]int
}

// result is a run that counts, or several that are attempts, of which the last does.
type result [][]int

// grouped is the case that takes come to.
func (m *merger) grouped(s *suite, takes []take) (*junit.Case, error) {
	if m.o.FoldReruns {
		slices.SortStableFunc(takes, func(a, b take) int { return m.parts[a.part].start.Compare(m.parts[b.part].start) })
	}
	var all []fold.Run
	var files []*junit.Case
	for len(takes) > 0 {
		file, n := m.parts[takes[0].part].file, 0
		var cases []*junit.Case
		for ; n < len(takes) && m.parts[takes[n].part].file == file; n++ {
			for _, r := range m.results(s, takes[n]) {
				c, err := m.one(s, r)
				if err != nil {
					return nil, err
				}
				cases = append(cases, c)
			}
		}
		takes = takes[n:]
		runs := fold.Runs(cmp.Or(file.Shown, m.in.Name), cases...)
		if all = append(all, runs...); m.o.FoldReruns {
			files = append(files, fold.Worst(runs))
		}
	}
	if m.o.FoldReruns {
		return fold.Attempts(files, m.o.Flaky), nil
	}
	return fold.Worst(all), nil
}

// results are what a take counts as: where it may be one or the other, the worse of both.
func (m *merger) results(s *suite, t take) (out []result) {
	reading := m.parts[t.part].reading()
	if reading == attempts || reading == unsure && m.ended(s, t.runs).Worse(s.worst(t.runs)) {
		return []result{t.runs}
	}
	for i := range t.runs {
		out = append(out, t.runs[i:i+1])
	}
	return out
}

// one is the case of a result: of attempts, each a call and perhaps its teardown.
func (m *merger) one(s *suite, r result) (*junit.Case, error) {
	var runs []*junit.Case
	for _, run := range r {
		var call *junit.Case
		for _, i := range run {
			c, err := m.value(&s.entries[i])
			if err != nil {
				return nil, err
			}
			if call != nil {
				c = fold.JoinTeardown(call, c)
			}
			call = c
		}
		runs = append(runs, call)
	}
	return fold.Attempts(runs, m.o.Flaky), nil
}
