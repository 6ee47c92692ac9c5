package merge

import (
	"cmp"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/reruns"
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
	if m.o.NoFold {
		return nil
	}
	again := repeated(m.suites)
	for _, s := range m.suites {
		for _, c := range m.clusters(s, again) {
			if err := m.foldOne(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// clusters gives the entries of a suite that are the same test, in the order of the first
// of each, but for those that are more than one case can reasonably hold.
func (m *merger) clusters(s *suite, again map[uint64]bool) [][]*entry {
	type id struct {
		key uint64
		nth int // cases of one name that no pytest wrote are different tests
	}
	type inFile struct {
		key  uint64
		file *File
	}
	var out [][]*entry
	at := make(map[id]int)
	seen := make(map[inFile]int)
	for i := range s.entries {
		e := &s.entries[i]
		if !again[e.key] {
			continue
		}
		one := id{key: e.key}
		if p := m.parts[e.part]; !p.pytest && !e.is(flagMade) {
			in := inFile{e.key, p.file}
			one.nth = seen[in]
			seen[in]++
		}
		k, ok := at[one]
		if !ok {
			k = len(out)
			at[one] = k
			out = append(out, nil)
		}
		out[k] = append(out[k], e)
	}
	return slices.DeleteFunc(out, func(c []*entry) bool {
		const most, mostBytes = 10_000, 64 << 20
		size := int64(0)
		for _, e := range c {
			size += int64(e.N)
		}
		return len(c) < 2 || len(c) > most || size > mostBytes
	})
}

// foldOne makes the first entry of a cluster stand for all of them: the value that they
// come to is kept beside the inputs.
func (m *merger) foldOne(cluster []*entry) error {
	c, err := m.grouped(cluster)
	if err != nil {
		return err
	}
	for _, e := range cluster[1:] {
		e.flags |= flagDead
		m.sum.Folded++
	}
	m.keep(cluster[0], c)
	return nil
}

// grouped is the case that the entries of a cluster come to.
func (m *merger) grouped(cluster []*entry) (*junit.Case, error) {
	unknown := ""
	if m.o.FoldReruns {
		cluster, unknown = reruns.Sort(cluster, func(e *entry) reruns.Place { return m.parts[e.part].place }, m.o.AsNamed)
	}
	var all []fold.Run
	var files []*junit.Case
	for len(cluster) > 0 {
		file := m.parts[cluster[0].part].file
		var cases []*junit.Case
		for len(cluster) > 0 && m.parts[cluster[0].part].file == file {
			n := 1
			for n < len(cluster) && cluster[n].part == cluster[0].part {
				n++
			}
			of, err := m.results(cluster[:n])
			if err != nil {
				return nil, err
			}
			cases, cluster = append(cases, of...), cluster[n:]
		}
		runs := fold.Runs(cmp.Or(file.Shown, m.in.Name), cases...)
		if all = append(all, runs...); m.o.FoldReruns {
			files = append(files, fold.Worst(runs))
		}
	}
	if m.o.FoldReruns && unknown == "" {
		return fold.Attempts(files, m.o.Flaky), nil
	}
	worst := fold.Worst(all)
	if unknown != "" && slices.ContainsFunc(all, func(r fold.Run) bool { return r.Case.Status() != worst.Status() }) {
		note := "which result came last is not known, so the worst counts: " + unknown
		m.warn("%s", note)
		worst.SystemOut = append([]string{"ci-disagg: " + note}, worst.SystemOut...)
	}
	return worst, nil
}

// results are what the cases of one test in one suite element of a file count as.
func (m *merger) results(entries []*entry) ([]*junit.Case, error) {
	cases := make([]*junit.Case, len(entries))
	for i, e := range entries {
		c, err := m.value(e)
		if err != nil {
			return nil, err
		}
		cases[i] = c
	}
	p := m.parts[entries[0].part]
	if p.pytest {
		cases = fold.JoinTeardowns(cases)
	}
	return p.reading.Results(cases, m.o.Flaky), nil
}

// keep makes an entry stand for a case that stands in no file as it is.
func (m *merger) keep(e *entry, c *junit.Case) {
	fold.OneClass(c)
	m.cut.Apply(c, m.parts[e.part].file.Shown)
	e.flags = flagMade
	m.store(e, c)
	e.flags |= flagAsIs
}
