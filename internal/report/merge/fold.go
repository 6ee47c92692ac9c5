package merge

import (
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/merge/fold"
)

// take is what one suite element of a file says of one test: runs, each a call and
// perhaps its teardown, as indices into the suite's entries. Either all of them
// count, or they are attempts and the last does.
type take struct {
	part     uint32
	runs     [][]int
	attempts bool
}

// plan is how several cases become one: the takes of each file.
type plan [][]take

// repeated gives the keys that occur more than once among all cases.
func (m *merger) repeated() map[uint64]bool {
	n := 0
	for _, s := range m.suites {
		n += len(s.entries)
	}
	keys := make([]uint64, 0, n)
	for _, s := range m.suites {
		for i := range s.entries {
			if e := &s.entries[i]; !e.is(flagDead) {
				keys = append(keys, e.key)
			}
		}
	}
	slices.Sort(keys)
	out := make(map[uint64]bool)
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			out[keys[i]] = true
		}
	}
	return out
}

// fold finds the cases that become one, and how each of those ends.
func (m *merger) fold() {
	again := m.repeated()
	if m.o.NoFold || len(again) == 0 {
		return
	}
	clusters := make([][][]int, len(m.suites))
	for i, s := range m.suites {
		clusters[i] = m.clusters(s, again)
	}
	for i := range m.parts {
		m.parts[i].names += m.parts[i].cases
	}
	for i, s := range m.suites {
		for _, c := range clusters[i] {
			m.foldOne(s, c)
		}
	}
}

// clusters gives the entries of a suite that are the same test, in the order of
// the first of each, and counts in the parts what the repetitions are.
func (m *merger) clusters(s *suite, again map[uint64]bool) [][]int {
	type id struct {
		key uint64
		nth int // cases of one name that no pytest wrote are different tests
	}
	type inFile struct {
		key  uint64
		file uint32
	}
	var out [][]int
	at := make(map[id]int)
	seen := make(map[inFile]int)
	for i := range s.entries {
		e := &s.entries[i]
		if !again[e.key] {
			continue
		}
		one := id{key: e.key}
		if !m.parts[e.part].pytest {
			in := inFile{e.key, e.File}
			one.nth = seen[in]
			seen[in]++
		}
		k, ok := at[one]
		if !ok {
			k = len(out)
			at[one] = k
			out = append(out, nil)
		}
		out[k] = append(out[k], i)
	}
	out = slices.DeleteFunc(out, func(c []int) bool { return len(c) < 2 })
	for _, c := range out {
		for _, t := range m.takes(s, c) {
			p := &m.parts[t.part]
			p.names -= len(t.runs) - 1
			for _, run := range t.runs {
				p.cases -= len(run) - 1
				p.down -= len(run) - 1
			}
		}
	}
	return out
}

// takes splits a cluster by the suite elements that its cases are of.
func (m *merger) takes(s *suite, cluster []int) (out []take) {
	for _, i := range cluster {
		e := &s.entries[i]
		if len(out) == 0 || out[len(out)-1].part != e.part {
			out = append(out, take{part: e.part})
		}
		t := &out[len(out)-1]
		if n := len(t.runs); n > 0 && e.is(flagTeardown) && m.parts[e.part].pytest {
			if call := t.runs[n-1]; len(call) == 1 && s.entries[call[0]].outcome() != junit.Errored {
				t.runs[n-1] = append(call, i) // pytest writes the error of a teardown as a second case
				continue
			}
		}
		t.runs = append(t.runs, []int{i})
	}
	return out
}

// foldOne makes the first entry of a cluster stand for all of them.
func (m *merger) foldOne(s *suite, cluster []int) {
	var p plan
	last := -1
	for _, t := range m.takes(s, cluster) {
		switch m.parts[t.part].reading() {
		case attempts:
			t.attempts = true
		case unsure: // the worse of both counts
			t.attempts = m.flaky(s.last(t.runs), len(t.runs)).Worse(s.worst(t.runs))
		case tests:
		}
		if file := m.parts[t.part].file; file != last || len(p) == 0 {
			p = append(p, nil)
			last = file
		}
		of := &p[len(p)-1]
		if n := len(*of); n > 0 && !t.attempts && !(*of)[n-1].attempts {
			(*of)[n-1].runs = append((*of)[n-1].runs, t.runs...)
		} else {
			*of = append(*of, t)
		}
	}
	if m.o.FoldReruns {
		slices.SortStableFunc(p, func(a, b []take) int { return m.parts[a[0].part].start.Compare(m.parts[b[0].part].start) })
	}
	head := &s.entries[cluster[0]]
	for _, i := range cluster[1:] {
		head.flags |= s.entries[i].flags & (flagOutput | flagBody | flagReruns)
		s.entries[i].flags |= flagDead
		m.sum.Folded++
	}
	head.status = uint8(m.outcome(s, p).Rank()) //nolint:gosec // 0 to 3
	head.flags = head.flags&^flagAsIs | flagReruns
	if s.groups == nil {
		s.groups = make(map[int]plan)
	}
	s.groups[cluster[0]] = p
}

// outcome is how the test of a plan ended.
func (m *merger) outcome(s *suite, p plan) junit.Status {
	all := junit.Passed
	for i, file := range p {
		worst := junit.Passed
		for _, t := range file {
			ended := s.worst(t.runs)
			if t.attempts {
				ended = m.flaky(s.last(t.runs), len(t.runs))
			}
			if ended.Worse(worst) {
				worst = ended
			}
		}
		switch {
		case m.o.FoldReruns && i == len(p)-1 && len(p) > 1:
			return m.flaky(worst, len(p))
		case !m.o.FoldReruns && worst.Worse(all) || len(p) == 1:
			all = worst
		}
	}
	return all
}

// flaky is the status of a test whose n-th attempt was the last.
func (m *merger) flaky(last junit.Status, n int) junit.Status {
	switch {
	case last.Red() || n < 2:
		return last
	case m.o.Flaky == fold.Fail:
		return junit.Failed
	case m.o.Flaky == fold.Skip:
		return junit.Skipped
	default:
		return last
	}
}

func (s *suite) last(runs [][]int) junit.Status { return s.worst(runs[len(runs)-1:]) }

// worst is the severest status of runs.
func (s *suite) worst(runs [][]int) junit.Status {
	worst := uint8(0)
	for _, run := range runs {
		for _, i := range run {
			worst = max(worst, s.entries[i].status)
		}
	}
	return (&entry{status: worst}).outcome()
}

// folding makes one value of the cases of a plan.
type folding struct {
	m    *merger
	s    *suite
	size int64
	cap  foldBound
}

// foldBound is how much is folded into one case, whatever a file repeats: beyond
// it results are counted and no longer listed, and texts are cut.
type foldBound struct {
	listed int   // results of one name in one suite of a file
	inFull int64 // bytes of all results of one name
}

// bound is what people look at, or, where nothing is to be cut, what one case can
// reasonably hold: the reader takes 256 MiB.
func (o *Options) bound() foldBound {
	if o.NoCaps {
		return foldBound{listed: 10_000, inFull: 192 << 20}
	}
	return foldBound{listed: 1000, inFull: 64 << 20}
}

// value is the case that a plan comes to.
func (f *folding) value(p plan) (*junit.Case, error) {
	var all []fold.Shot
	for _, file := range p {
		label := f.m.shown(uint32(f.m.parts[file[0].part].file)) //nolint:gosec // an index
		var shots []fold.Shot
		for _, t := range file {
			runs, err := f.runs(t.runs)
			if err != nil {
				return nil, err
			}
			if t.attempts {
				runs = []fold.Shot{{Case: fold.Attempts(runs, f.m.o.Flaky), N: 1}}
			}
			shots = append(shots, runs...)
		}
		fold.Number(label, shots)
		if f.m.o.FoldReruns {
			c := fold.Worst(shots)
			shots = []fold.Shot{{Label: label, Case: c, N: 1, Took: c.Time}}
		}
		all = append(all, shots...)
	}
	if f.m.o.FoldReruns && len(p) > 1 {
		fold.Number("", all)
		return fold.Attempts(all, f.m.o.Flaky), nil
	}
	return fold.Worst(all), nil
}

// runs reads the cases of runs. Of more than are listed the first and the last are
// kept, and the worst of the others, which stands for all of those.
func (f *folding) runs(runs [][]int) (out []fold.Shot, err error) {
	half := f.cap.listed / 2
	for i := 0; i < len(runs); i++ {
		one := fold.Shot{N: 1}
		at, middle := runs[i], runs[i:i+1]
		if i == half && len(runs) > f.cap.listed {
			middle = runs[half : len(runs)-half]
			for _, run := range middle {
				if f.s.worst([][]int{run}).Worse(f.s.worst([][]int{at})) {
					at = run
				}
			}
			one.N = len(middle)
			i = len(runs) - half - 1
		}
		if one.Case, err = f.run(at); err != nil {
			return nil, err
		}
		one.Took = f.squeeze(one.Case, middle)
		out = append(out, one)
	}
	fold.Number("", out)
	return out, nil
}

// squeeze makes a case say that it stands for several, and gives the time of all.
func (f *folding) squeeze(c *junit.Case, runs [][]int) (took time.Duration) {
	var counts junit.Counts
	longest := c.Time
	for _, run := range runs {
		counts.Add(f.s.worst([][]int{run}))
		for _, i := range run {
			took += f.s.entries[i].time
			longest = max(longest, f.s.entries[i].time)
		}
	}
	if len(runs) < 2 {
		return took
	}
	c.Time = longest
	c.Properties = append(c.Properties, junit.Property{Name: "ci-disagg.not_listed", Value: counts.String()})
	f.m.warn("%q is there so often that only the first and last %d results are listed; the worst of the others stands for them: %s",
		c.Name, f.cap.listed/2, counts)
	return took
}

// run is a call with its teardown.
func (f *folding) run(run []int) (*junit.Case, error) {
	var call *junit.Case
	for _, i := range run {
		e := &f.s.entries[i]
		c, err := f.m.value(f.s, e, e.End())
		if err != nil {
			return nil, err
		}
		if f.size += int64(e.N); f.size > f.cap.inFull && f.size > int64(e.N) {
			early := fold.Cutter{Caps: Caps{FailOut: 4 << 10, Body: 4 << 10}.WithDefaults()}
			early.Apply(c, f.m.shown(e.File))
			f.m.cut.Cut += early.Cut
		}
		if call == nil {
			call = c
			continue
		}
		fold.JoinTeardown(call, c)
	}
	return call, nil
}
