package merge

import (
	"cmp"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// repeated gives the keys that occur more than once among all cases.
func repeated(suites []*suite) map[uint64]bool {
	var keys []uint64
	for _, s := range suites {
		keys = slices.Grow(keys, len(s.entries))
		for e := range s.living() {
			keys = append(keys, e.key)
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

// fold makes one case of those that are the same test.
func (m *merger) fold() error {
	again := repeated(m.suites)
	if m.o.NoFold || len(again) == 0 {
		return nil
	}
	clusters := make([][][]int, len(m.suites))
	for i, s := range m.suites {
		clusters[i] = m.clusters(s, again)
	}
	for _, p := range m.parts {
		p.names += p.cases
	}
	for i, s := range m.suites {
		for _, c := range clusters[i] {
			if tooMuch(s, c) {
				continue
			}
			if err := m.foldOne(s, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// tooMuch reports whether a cluster is more than one case can reasonably hold.
func tooMuch(s *suite, cluster []int) bool {
	const most, mostBytes = 10_000, 64 << 20
	size := int64(0)
	for _, i := range cluster {
		size += int64(s.entries[i].N)
	}
	return len(cluster) > most || size > mostBytes
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
		file *File
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
		if !m.parts[e.part].pytest && !e.is(flagMade) {
			in := inFile{e.key, m.parts[e.part].file}
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
			p := m.parts[t.part]
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

// foldOne makes the first entry of a cluster stand for all of them: the value that they
// come to is kept beside the inputs.
func (m *merger) foldOne(s *suite, cluster []int) error {
	c, err := m.grouped(s, m.takes(s, cluster))
	if err != nil {
		return err
	}
	for _, i := range cluster[1:] {
		s.entries[i].flags |= flagDead
		m.sum.Folded++
	}
	return m.keep(&s.entries[cluster[0]], c)
}

// keep makes an entry stand for a case that stands in no file as it is.
func (m *merger) keep(e *entry, c *junit.Case) error {
	fold.OneClass(c)
	m.cut.Apply(c, m.parts[e.part].file.Shown)
	e.flags = flagMade
	err := m.store(e, c)
	e.flags |= flagAsIs
	return err
}

// flaky is the status of a test whose n-th attempt was the last.
func (m *merger) flaky(last junit.Status, n int) junit.Status {
	if last.Red() || n < 2 {
		return last
	}
	return cmp.Or(map[Policy]junit.Status{fold.Fail: junit.Failed, fold.Skip: junit.Skipped}[m.o.Flaky], last)
}

// ended is how a result ended.
func (m *merger) ended(s *suite, r result) junit.Status {
	return m.flaky(s.worst(r[len(r)-1:]), len(r))
}

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
