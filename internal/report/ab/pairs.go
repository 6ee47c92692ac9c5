package ab

import (
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Distinct refuses one output given as two runs: it would count as two.
func Distinct(runs []Run) error {
	for i, x := range runs {
		for _, y := range runs[:i] {
			if x.Name == y.Name && len(x.Values) > 0 || metric.Copied(x.Values, y.Values) {
				return fmt.Errorf("%s and %s are the same output to the last digit: every run has to be measured", y.Name, x.Name)
			}
		}
	}
	return nil
}

// MakePairs takes the first run of A with the first of B, and so on: in the order that they are given in, or with
// sorted in that of their times, which all of them have.
func MakePairs(a, b []Run, sorted bool) (pairs []Pair, warnings []string) {
	byTime := func(x, y Run) int { return x.At.Compare(*y.At) }
	if sorted {
		a, b = slices.SortedStableFunc(slices.Values(a), byTime), slices.SortedStableFunc(slices.Values(b), byTime)
	} else if !slices.IsSortedFunc(a, byTime) || !slices.IsSortedFunc(b, byTime) {
		warnings = append(warnings, "the files were written in another order than they are given in: if that is the one they were measured in, say --order time")
	}
	for i := range a {
		p := Pair{A: a[i], B: b[i]}
		switch byTime(p.A, p.B) {
		case -1:
			p.First = A
		case 1:
			p.First = B
		default:
		}
		pairs = append(pairs, p)
	}
	return pairs, warnings
}
