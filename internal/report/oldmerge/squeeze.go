package merge

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// foldBound is how much is folded into one case, whatever a file repeats: beyond
// it results are counted and no longer listed, and texts are cut.
type foldBound struct {
	listed int   // results of one name in one file
	inFull int64 // bytes of all results of one name
}

// bound is what people look at, or, where nothing is to be cut, what one case can
// reasonably hold: our reader takes 256 MiB.
func (o Options) bound() foldBound {
	if o.NoCaps {
		return foldBound{listed: 10_000, inFull: 192 << 20}
	}
	return foldBound{listed: 1000, inFull: 64 << 20}
}

// groupReader reads the cases that are to become one.
type groupReader struct {
	b    *book
	s    *suite
	next func() (*junit.Case, error)
	max  foldBound
	size int64

	entries []*entry
	cases   []*junit.Case
}

// group reads the cases file by file: entries of one file follow each other.
func (r *groupReader) group(group []*entry) error {
	for from := 0; from < len(group); {
		to := from + 1
		for to < len(group) && group[to].origin == group[from].origin {
			to++
		}
		if err := r.file(group[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// file reads the cases of one file. Of more than are listed the first and the last
// are kept.
func (r *groupReader) file(group []*entry) error {
	half := r.max.listed / 2
	for i := 0; i < len(group); i++ {
		if i == half && len(group) > r.max.listed {
			if err := r.squeeze(group[half : len(group)-half]); err != nil {
				return err
			}
			i = len(group) - half
		}
		c, err := r.read(group[i])
		if err != nil {
			return err
		}
		r.entries, r.cases = append(r.entries, group[i]), append(r.cases, c)
	}
	return nil
}

// squeeze keeps the worst of the cases, which stands for all of them.
func (r *groupReader) squeeze(group []*entry) error {
	var worst *junit.Case
	var longest, sum time.Duration
	var counts junit.Counts
	for _, e := range group {
		c, err := r.read(e)
		if err != nil {
			return err
		}
		counts.Add(c.Status())
		longest, sum = max(longest, c.Time), sum+c.Time
		if worst == nil || c.Status().Worse(worst.Status()) {
			worst = c
		}
	}
	worst.Time = longest
	for i := range worst.Results { // so neither is it taken for the teardown of the case before it
		worst.Results[i].Message = fmt.Sprintf("[the worst of %d] %s", len(group), worst.Results[i].Message)
	}
	worst.Properties = append(worst.Properties, junit.Property{Name: "ci-disagg.not_listed", Value: counts.String()})
	r.b.weights[worst] = weight{len(group), sum}
	r.b.warn("%s: %q is there so often that only the first and last %d results are listed; the worst of the others stands for them: %s",
		r.b.keptOf(group[0]), worst.Name, r.max.listed/2, counts)
	r.entries, r.cases = append(r.entries, group[0]), append(r.cases, worst)
	return nil
}

func (r *groupReader) read(e *entry) (*junit.Case, error) {
	c, err := r.next()
	if err != nil {
		return nil, err
	}
	if len(r.cases) > 0 && (c.Name != r.cases[0].Name || c.Classname != r.cases[0].Classname) {
		return nil, errors.New("two different cases have one hash: run the merge again")
	}
	r.s.times.sum -= c.Time.Round(time.Millisecond) // now: a fold may change the case in place
	if r.size += int64(e.n); r.size > r.max.inFull && r.size > int64(e.n) {
		early := cutter{caps: Caps{FailOut: 4 << 10, Body: 4 << 10}.withDefaults()}
		early.apply(c, r.b.keptOf(e))
		r.b.cut.cut += early.cut
	}
	return c, nil
}

// weights tell of the cases that stand for several how many those are, and how
// long they took in all.
type (
	weights map[*junit.Case]weight
	weight  struct {
		n    int
		time time.Duration
	}
)

// of is the weight of any case.
func (w weights) of(c *junit.Case) weight {
	if one, ok := w[c]; ok {
		return one
	}
	return weight{1, c.Time}
}

// ordinals number the cases from 1, and say how many they are.
func (w weights) ordinals(cases []*junit.Case) (nth []string, n int) {
	for _, c := range cases {
		at := strconv.Itoa(n + 1)
		one := w.of(c).n
		if n += one; one > 1 {
			at += "-" + strconv.Itoa(n)
		}
		nth = append(nth, at)
	}
	return nth, n
}
