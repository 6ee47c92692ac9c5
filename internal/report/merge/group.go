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

// group makes one value of the cases of a test.
type group struct {
	m    *merger
	s    *suite
	most int   // results that are listed; of more, some stand for others
	room int64 // bytes of results that still stand there in full; later ones are cut
}

// grouped is the case that takes come to. It is bounded, whatever a file repeats: by
// what people look at, or, where nothing is to be cut, by what one case can reasonably
// hold.
func (m *merger) grouped(s *suite, takes []take) (*junit.Case, error) {
	g := group{m, s, 1000, 64 << 20}
	if m.o.NoCaps {
		g.most, g.room = 10_000, 192<<20
	}
	if m.o.FoldReruns {
		slices.SortStableFunc(takes, func(a, b take) int { return m.parts[a.part].start.Compare(m.parts[b.part].start) })
	}
	var all []fold.Run
	files := 0
	for len(takes) > 0 {
		file, n := m.parts[takes[0].part].file, 0
		var results []result
		for ; n < len(takes) && m.parts[takes[n].part].file == file; n++ {
			results = append(results, m.results(s, takes[n])...)
		}
		takes = takes[n:]
		files++
		runs, err := g.runs(results)
		if err != nil {
			return nil, err
		}
		label := cmp.Or(m.shown(file), m.in.Name)
		fold.Number(label, runs)
		if m.o.FoldReruns {
			runs = fold.Runs(label, fold.Worst(runs))
		}
		all = append(all, runs...)
	}
	if m.o.FoldReruns && files > 1 {
		fold.Number("", all)
		return fold.Attempts(all, m.o.Flaky), nil
	}
	return fold.Worst(all), nil
}

// results are what a take counts as: where it may be one or the other, the worse of both.
func (m *merger) results(s *suite, t take) (out []result) {
	reading := m.parts[t.part].reading()
	if reading == attempts || reading == unsure && m.ended(s, t.runs).Worse(s.worst(t.runs)) {
		return []result{t.runs}
	}
	return each(t.runs)
}

// each is every run as a result of its own.
func each(runs [][]int) (out []result) {
	for i := range runs {
		out = append(out, runs[i:i+1])
	}
	return out
}

// runs reads the cases of results.
func (g *group) runs(results []result) ([]fold.Run, error) {
	kept, at, n := fold.Thin(results, g.most, func(r result) junit.Status { return g.m.ended(g.s, r) })
	cases := make([]*junit.Case, len(kept))
	for i, r := range kept {
		var err error
		if cases[i], err = g.one(r); err != nil {
			return nil, err
		}
	}
	out := fold.Runs("", cases...)
	if n > 0 {
		g.standIn(&out[at], results[at:at+n])
		fold.Number("", out)
	}
	return out, nil
}

// standIn makes a case say that it stands for others, too.
func (g *group) standIn(one *fold.Run, results []result) {
	var counts junit.Counts
	one.N, one.Took = len(results), 0
	for _, r := range results {
		counts.Add(g.m.ended(g.s, r))
		for _, i := range slices.Concat(r...) {
			one.Took += g.s.entries[i].time
			one.Case.Time = max(one.Case.Time, g.s.entries[i].time)
		}
	}
	one.Case.Properties = append(one.Case.Properties, junit.Property{Name: "ci-disagg.not_listed", Value: counts.String()})
	g.m.warn("%q is there so often that only the first and last %d results are listed; the worst of the others stands for them: %s",
		one.Case.Name, g.most/2, counts)
}

// one is the case of a result: of attempts, or of a call with its teardown.
func (g *group) one(r result) (call *junit.Case, err error) {
	if len(r) > 1 {
		runs, err := g.runs(each(r))
		if err != nil {
			return nil, err
		}
		return fold.Attempts(runs, g.m.o.Flaky), nil
	}
	for _, i := range r[0] {
		e := &g.s.entries[i]
		c, err := g.m.value(g.s, e)
		if err != nil {
			return nil, err
		}
		if g.room -= int64(e.N); g.room < 0 {
			early := fold.Cutter{Caps: Caps{FailOut: 4 << 10, Body: 4 << 10}.WithDefaults()}
			early.Apply(c, "")
			g.m.cut.Cut += early.Cut
		}
		if call == nil {
			call = c
		} else {
			call = fold.JoinTeardown(call, c)
		}
	}
	return call, nil
}
