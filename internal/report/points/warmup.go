package points

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
)

// discardFirst drops the first run of every point that a client measured more than once, a warm-up, and makes one
// result of the others: the median of each sample. A client repeats in one file, or in files whose names sort as they
// were written.
func discardFirst(found Found) Found {
	runs := grouped(found.Results, func(r bench.Result) [5]any {
		return [5]any{r.Format, r.Name, r.Load(), r.InputLen, r.OutputLen}
	})
	found.Results = nil
	for _, all := range runs {
		if len(all) == 1 || len(all[0].Samples) == 0 || !isPoint(all[0]) {
			found.Results = append(found.Results, all...)
			continue
		}
		found.Results = append(found.Results, middle(all[1:]))
		found.Warnings = append(found.Warnings, bench.Problem{File: all[0].File, Line: all[0].Line, Text: fmt.Sprintf("%s: first of %d repetitions discarded", cmp.Or(all[0].Load(), all[0].Name), len(all))})
	}
	return found
}

// middle is one result with the median of every sample that all runs have, and whatever is wrong with any. What each of
// them did, it does not know: see Result.Runs.
func middle(all []bench.Result) bench.Result {
	out := all[0]
	out.Kept, out.Samples, out.Problems = all, nil, nil
	for _, s := range all[0].Samples {
		var values []float64
		for _, r := range all {
			if v, ok := r.Value(s.Metric); ok {
				values = append(values, v)
			}
		}
		if n := len(values); n == len(all) {
			slices.Sort(values)
			s.Value = values[(n-1)/2]/2 + values[n/2]/2
			out.Samples = append(out.Samples, s)
		}
	}
	for _, r := range all {
		out.Problems = append(out.Problems, r.Problems...)
	}
	return out
}
