package fold

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// Take is what one suite of a file says of one test: runs, each a call and perhaps
// its teardown, as numbers of cases. Either all of them count, or they are attempts
// and the last does.
type Take struct {
	Label    string // the file
	Runs     [][]int
	Attempts bool
}

// Plan is how several cases become one: the takes of each file.
type Plan [][]Take

// Group makes one value of the cases of a plan.
type Group struct {
	Case   func(i int) (*junit.Case, error)
	Took   func(i int) time.Duration
	Size   func(i int) int64               // bytes
	Worst  func(runs [][]int) junit.Status // of their cases
	Warn   func(format string, args ...any)
	Cutter *Cutter
	Flaky  Policy
	Reruns bool // later files repeat earlier ones

	size int64
	max  bound
}

// bound is how much is folded into one case, whatever a file repeats: beyond
// it results are counted and no longer listed, and texts are cut.
type bound struct {
	listed int   // results of one name in one suite of a file
	inFull int64 // bytes of all results of one name
}

// bound is what people look at, or, where nothing is to be cut, what one case can
// reasonably hold: the reader takes 256 MiB.
func (k *Cutter) bound() bound {
	if k.Off {
		return bound{listed: 10_000, inFull: 192 << 20}
	}
	return bound{listed: 1000, inFull: 64 << 20}
}

// Value is the case that a plan comes to.
func (f *Group) Value(p Plan) (*junit.Case, error) {
	f.max = f.Cutter.bound()
	var all []Shot
	for _, file := range p {
		label := file[0].Label
		var shots []Shot
		for _, t := range file {
			runs, err := f.runs(t.Runs)
			if err != nil {
				return nil, err
			}
			if t.Attempts {
				runs = []Shot{{Case: Attempts(runs, f.Flaky), N: 1}}
			}
			shots = append(shots, runs...)
		}
		Number(label, shots)
		if f.Reruns {
			c := Worst(shots)
			shots = []Shot{{Label: label, Case: c, N: 1, Took: c.Time}}
		}
		all = append(all, shots...)
	}
	if f.Reruns && len(p) > 1 {
		Number("", all)
		return Attempts(all, f.Flaky), nil
	}
	return Worst(all), nil
}

// runs reads the cases of runs. Of more than are listed the first and the last are
// kept, and the worst of the others, which stands for all of those.
func (f *Group) runs(runs [][]int) (out []Shot, err error) {
	half := f.max.listed / 2
	for i := 0; i < len(runs); i++ {
		one := Shot{N: 1}
		at, middle := runs[i], runs[i:i+1]
		if i == half && len(runs) > f.max.listed {
			middle = runs[half : len(runs)-half]
			for _, run := range middle {
				if f.Worst([][]int{run}).Worse(f.Worst([][]int{at})) {
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
	Number("", out)
	return out, nil
}

// squeeze makes a case say that it stands for several, and gives the time of all.
func (f *Group) squeeze(c *junit.Case, runs [][]int) (took time.Duration) {
	var counts junit.Counts
	longest := c.Time
	for _, run := range runs {
		counts.Add(f.Worst([][]int{run}))
		for _, i := range run {
			took += f.Took(i)
			longest = max(longest, f.Took(i))
		}
	}
	if len(runs) < 2 {
		return took
	}
	c.Time = longest
	c.Properties = append(c.Properties, junit.Property{Name: "ci-disagg.not_listed", Value: counts.String()})
	f.Warn("%q is there so often that only the first and last %d results are listed; the worst of the others stands for them: %s",
		c.Name, f.max.listed/2, counts)
	return took
}

// run is a call with its teardown.
func (f *Group) run(run []int) (*junit.Case, error) {
	var call *junit.Case
	for _, i := range run {
		c, err := f.Case(i)
		if err != nil {
			return nil, err
		}
		if n := f.Size(i); f.size > 0 && f.size+n > f.max.inFull {
			early := Cutter{Caps: Caps{FailOut: 4 << 10, Body: 4 << 10}.WithDefaults()}
			early.Apply(c, "")
			f.Cutter.Cut += early.Cut
		}
		f.size += f.Size(i)
		if call == nil {
			call = c
			continue
		}
		JoinTeardown(call, c)
	}
	return call, nil
}
