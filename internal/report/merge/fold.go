package merge

import (
	"cmp"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// repeated gives the keys that occur more than once among all cases.
func repeated(suites []*suite) map[uint64]bool {
	n := 0
	for _, s := range suites {
		n += len(s.entries)
	}
	keys := make([]uint64, 0, n)
	for _, s := range suites {
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
	again := repeated(m.suites)
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
		if !m.parts[e.part].pytest && !e.is(flagSynthetic) {
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
	takes := m.takes(s, cluster)
	if m.o.FoldReruns {
		slices.SortStableFunc(takes, func(a, b take) int { return m.parts[a.part].start.Compare(m.parts[b.part].start) })
	}
	var p plan
	last := -1
	for _, t := range takes {
		one := &m.parts[t.part]
		switch one.reading() {
		case attempts:
			t.attempts = true
		case unsure: // the worse of both counts
			t.attempts = m.flaky(s.last(t.runs), len(t.runs)).Worse(s.worst(t.runs))
		case tests:
		}
		if t.label = cmp.Or(m.shown(uint32(one.file)), m.in.Name); one.file != last || len(p) == 0 { //nolint:gosec // an index
			p = append(p, nil)
			last = one.file
		}
		of := &p[len(p)-1]
		if n := len(*of); n > 0 && !t.attempts && !(*of)[n-1].attempts {
			(*of)[n-1].runs = append((*of)[n-1].runs, t.runs...)
		} else {
			*of = append(*of, t)
		}
	}
	head := &s.entries[cluster[0]]
	for _, i := range cluster[1:] {
		head.flags |= s.entries[i].flags & (flagText | flagReruns)
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
