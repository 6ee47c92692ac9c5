package merge

import (
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// take is what one suite element of a file says of one test: runs, each a call and
// perhaps its teardown, as indices of entries. Either all of them count, or they are
// attempts and the last does.
type take struct {
	part     uint32
	label    string // the file
	runs     [][]int
	attempts bool
}

// plan is how several cases become one: the takes of each file.
type plan [][]take

// group makes one value of the cases of a plan.
type group struct {
	m    *merger
	s    *suite
	most int   // results of one suite that are listed; of more, some stand for others
	room int64 // bytes of results that still stand there in full; later ones are cut
}

// grouped is the case that a plan comes to. It is bounded, whatever a file repeats: by
// what people look at, or, where nothing is to be cut, by what one case can reasonably
// hold.
func (m *merger) grouped(s *suite, p plan) (*junit.Case, error) {
	g := group{m, s, 1000, 64 << 20}
	if m.o.NoCaps {
		g.most, g.room = 10_000, 192<<20
	}
	var all []fold.Run
	for _, file := range p {
		var runs []fold.Run
		for _, t := range file {
			got, err := g.runs(t.runs)
			if err != nil {
				return nil, err
			}
			if t.attempts {
				got = fold.Runs("", fold.Attempts(got, m.o.Flaky))
			}
			runs = append(runs, got...)
		}
		fold.Number(file[0].label, runs)
		if m.o.FoldReruns {
			runs = fold.Runs(file[0].label, fold.Worst(runs))
		}
		all = append(all, runs...)
	}
	if m.o.FoldReruns && len(p) > 1 {
		fold.Number("", all)
		return fold.Attempts(all, m.o.Flaky), nil
	}
	return fold.Worst(all), nil
}

// runs reads the cases of runs.
func (g *group) runs(runs [][]int) ([]fold.Run, error) {
	kept, at, n := fold.Thin(runs, g.most, func(run []int) junit.Status { return g.s.worst([][]int{run}) })
	cases := make([]*junit.Case, len(kept))
	for i, run := range kept {
		var err error
		if cases[i], err = g.run(run); err != nil {
			return nil, err
		}
	}
	out := fold.Runs("", cases...)
	if n > 0 {
		g.standIn(&out[at], runs[at:at+n])
		fold.Number("", out)
	}
	return out, nil
}

// standIn makes a case say that it stands for others, too.
func (g *group) standIn(one *fold.Run, runs [][]int) {
	var counts junit.Counts
	one.N, one.Took = len(runs), 0
	for _, run := range runs {
		counts.Add(g.s.worst([][]int{run}))
		for _, i := range run {
			one.Took += g.s.entries[i].time
			one.Case.Time = max(one.Case.Time, g.s.entries[i].time)
		}
	}
	one.Case.Properties = append(one.Case.Properties, junit.Property{Name: "ci-disagg.not_listed", Value: counts.String()})
	g.m.warn("%q is there so often that only the first and last %d results are listed; the worst of the others stands for them: %s",
		one.Case.Name, g.most/2, counts)
}

// run is a call with its teardown.
func (g *group) run(run []int) (call *junit.Case, err error) {
	for _, i := range run {
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
