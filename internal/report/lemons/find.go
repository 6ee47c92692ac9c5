package lemons

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// The bounds of what is told.
const (
	// certain is the Bayes factor from which a unit is told: the chance that one that is
	// like the others ever reaches it is at most one over it.
	certain = 150
	// prior is the share of units that are expected to be slow, for P.
	prior = 0.02
	// leastRuns and leastDays are how often a unit was used before it is judged.
	leastRuns, leastDays = 5, 4
	// leastWorse is the smallest slowness that is told.
	leastWorse = 0.01
	// leastNoise is the noise of a case of which all jobs are equal.
	leastNoise = 0.002
	// most is how many are looked for: with more, it is not single ones that are slow.
	most = 50
)

// Unit is a card where its id is known, else a node.
type Unit struct {
	Node string `json:"node"`
	UUID string `json:"uuid,omitempty"`
	GPU  int    `json:"gpu"` // index on the node, of a card
}

// String names the unit for people.
func (u Unit) String() string {
	if u.UUID == "" {
		return "node " + u.Node
	}
	return fmt.Sprintf("GPU %d of %s (%s)", u.GPU, u.Node, u.UUID)
}

// Key identifies the unit.
func (u Unit) Key() string { return cmp.Or(u.UUID, "node "+u.Node) }

// Reading is one job of one case: how much worse it was than the case is usually, and
// what it ran on.
type Reading struct {
	Case  string
	At    time.Time
	Units []Unit
	Worse float64 // in logs, than the stretch of the case's runs that it belongs to
}

// Lemon is a unit that is slower than its peers.
type Lemon struct {
	Unit
	Worse    float64    `json:"worse"`    // relative: 0.03 = jobs on it are 3 % worse
	Interval [2]float64 `json:"interval"` // of Worse, 5..95 %
	P        float64    `json:"p"`        // that it is slower at all
	Runs     int        `json:"runs"`     // jobs that included it
	Cases    int        `json:"cases"`
	Last     time.Time  `json:"last"` // of these
}

// String is the lemon for people.
func (l Lemon) String() string {
	cases := "1 case"
	if l.Cases != 1 {
		cases = fmt.Sprintf("%d cases", l.Cases)
	}
	return fmt.Sprintf("%s is slower than its peers: jobs on it are %.1f %% worse (%.1f to %.1f %%), in %d jobs of %s",
		l.Unit, 100*l.Worse, 100*l.Interval[0], 100*l.Interval[1], l.Runs, cases)
}

// Find says which units are slower than the others, the surest first. The surest is
// taken out of the readings before the next is looked for: what ran beside it was slow
// because of it.
func Find(readings []Reading) []Lemon {
	f := finder{readings: readings, slow: map[string]float64{}}
	f.collect()
	f.centre()
	var found []int
	for len(found) < most {
		best, at := math.Log(certain), -1
		for k := range f.units {
			if !slices.Contains(found, k) {
				if p := f.weigh(k); p.factor > best && p.mean >= leastWorse {
					best, at = p.factor, k
				}
			}
		}
		if at < 0 {
			break
		}
		found = append(found, at)
		f.estimate(found)
	}
	return f.lemons(found)
}

// finder looks for lemons.
type finder struct {
	readings []Reading
	units    []candidate
	slow     map[string]float64 // by key, of those that were found, in logs
	cases    map[string]usual   // what is left of a case's jobs without the slow ones
}

// usual is the middle and the noise of a case's jobs.
type usual struct{ middle, noise float64 }

// centre finds what is usual for each case: slow machines have a part in its level, and
// in its noise, until they are known.
func (f *finder) centre() {
	all := map[string][]float64{}
	for _, r := range f.readings {
		all[r.Case] = append(all[r.Case], r.Worse-f.known(r, Unit{}))
	}
	f.cases = map[string]usual{}
	for name, x := range all {
		u := usual{middle: bws.Median(x, nil)}
		for i := range x {
			x[i] = math.Abs(x[i] - u.middle)
		}
		u.noise = max(leastNoise, 1.4826*bws.Median(x, nil))
		f.cases[name] = u
	}
}

// candidate is a unit with the readings that include it.
type candidate struct {
	Unit
	at     []int
	weight []float64 // of each: readings of one day share their luck
	used   bool      // often enough to be judged
}

// collect lists the units. Of several that were always used together the node stands
// for its cards, and a single card for its node.
func (f *finder) collect() {
	index := map[string]int{}
	for i, r := range f.readings {
		seen := map[string]bool{}
		for _, u := range r.Units {
			for _, one := range []Unit{u, {Node: u.Node}} {
				if seen[one.Key()] {
					continue
				}
				seen[one.Key()] = true
				k, ok := index[one.Key()]
				if !ok {
					k = len(f.units)
					index[one.Key()] = k
					f.units = append(f.units, candidate{Unit: one})
				}
				f.units[k].at = append(f.units[k].at, i)
			}
		}
	}
	f.merge()
	for k := range f.units {
		f.units[k].prepare(f.readings)
	}
}

// merge leaves one candidate for each set of jobs.
func (f *finder) merge() {
	together := map[string][]candidate{}
	var order []string
	for _, c := range f.units {
		key := c.Node + fmt.Sprint(c.at)
		if together[key] == nil {
			order = append(order, key)
		}
		together[key] = append(together[key], c)
	}
	f.units = f.units[:0]
	for _, key := range order {
		same := together[key]
		cards := slices.DeleteFunc(slices.Clone(same), func(c candidate) bool { return c.UUID == "" })
		if len(cards) == 1 {
			f.units = append(f.units, cards[0])
			continue
		}
		one := same[0]
		one.Unit = Unit{Node: one.Node}
		if len(cards) == len(same) { // several cards, and others of their node are used without them
			one.Unit = cards[0].Unit
		}
		f.units = append(f.units, one)
	}
	slices.SortStableFunc(f.units, func(a, b candidate) int { return strings.Compare(a.Key(), b.Key()) })
}

// prepare says how much each reading of the unit counts.
func (c *candidate) prepare(readings []Reading) {
	days := map[int64]int{}
	for _, i := range c.at {
		days[readings[i].At.Unix()/86400]++
	}
	for _, i := range c.at {
		c.weight = append(c.weight, 1/math.Sqrt(float64(days[readings[i].At.Unix()/86400])))
	}
	others := len(readings) - len(c.at)
	c.used = len(c.at) >= leastRuns && len(days) >= leastDays && others >= leastRuns
}

// estimate estimates the slowness of those that were found anew, each with the others
// taken out.
func (f *finder) estimate(found []int) {
	for range 2 {
		for _, k := range found {
			delete(f.slow, f.units[k].Key())
			f.slow[f.units[k].Key()] = max(0, f.weigh(k).mean)
		}
		f.centre()
	}
}

// lemons are those that are still sure with all others taken out.
func (f *finder) lemons(found []int) []Lemon {
	var out []Lemon
	for _, k := range found {
		c := f.units[k]
		known := f.slow[c.Key()]
		delete(f.slow, c.Key())
		p := f.weigh(k)
		f.slow[c.Key()] = known
		if p.factor < math.Log(certain) || p.mean < leastWorse {
			continue
		}
		l := Lemon{Unit: c.Unit, Worse: math.Expm1(p.mean), Interval: [2]float64{math.Expm1(p.low), math.Expm1(p.high)}, Runs: len(c.at)}
		odds := prior / (1 - prior) * math.Exp(min(p.factor, 600))
		l.P = odds / (1 + odds)
		cases := map[string]bool{}
		for _, i := range c.at {
			cases[f.readings[i].Case] = true
			if f.readings[i].At.After(l.Last) {
				l.Last = f.readings[i].At
			}
		}
		l.Cases = len(cases)
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Lemon) int { return cmp.Or(cmp.Compare(b.P, a.P), cmp.Compare(b.Worse, a.Worse)) })
	return out
}

// posterior is what the readings of a unit say of its slowness, in logs.
type posterior struct {
	factor          float64 // log Bayes factor of "slower" against "like the others"
	mean, low, high float64
}

// The sizes that are tried: steps of 0.1 %.
const (
	sizeStep = 0.001
	sizes    = 250
)

// weigh weighs "slower by some size" against "like the others". All sizes from 0.7 % on
// are alike likely before, in their logarithm.
func (f *finder) weigh(k int) posterior {
	c := f.units[k]
	if !c.used {
		return posterior{}
	}
	var logs [sizes]float64
	for n, i := range c.at {
		r := f.readings[i]
		u := f.cases[r.Case]
		x := r.Worse - f.known(r, c.Unit) - u.middle
		null := density(x, u.noise)
		for d := range sizes {
			logs[d] += c.weight[n] * (density(x-float64(d)*sizeStep, u.noise) - null)
		}
	}
	const first = 7
	top := slices.Max(logs[:])
	var evidence, priors, mass, mean float64
	for d, l := range logs {
		p := math.Exp(l - top)
		mass += p
		mean += p * float64(d) * sizeStep
		if d >= first {
			evidence += p / float64(d)
			priors += 1 / float64(d)
		}
	}
	out := posterior{factor: top + math.Log(evidence/priors), mean: mean / mass}
	sum := 0.0
	for d, l := range logs {
		before := sum
		sum += math.Exp(l-top) / mass
		if before < 0.05 && sum >= 0.05 {
			out.low = float64(d) * sizeStep
		}
		if before < 0.95 && sum >= 0.95 {
			out.high = float64(d) * sizeStep
		}
	}
	return out
}

// known is the slowness of a reading that other units are known for: that of the
// slowest, since all wait for it.
func (f *finder) known(r Reading, but Unit) float64 {
	slow := 0.0
	for _, u := range r.Units {
		for _, one := range []Unit{u, {Node: u.Node}} {
			if one.Key() != but.Key() {
				slow = max(slow, f.slow[one.Key()])
			}
		}
	}
	return slow
}

// density is the log density of a residual, up to a constant: Student's t with 5 degrees
// of freedom, and now and then bad luck of any size.
func density(x, noise float64) float64 {
	const wild, reach = 0.05, 6
	u := x / (0.93 * noise)
	w := x / (reach * noise)
	// 0.3796 and 1/pi are the densities' own constants.
	return math.Log((1-wild)*0.3796*math.Pow(1+u*u/5, -3)/0.93 + wild/(math.Pi*reach*(1+w*w)))
}
