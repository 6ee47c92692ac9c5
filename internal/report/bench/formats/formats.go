// Package formats reads what benchmark clients beside the serving clients leave
// behind. Each reader recognises its format by content.
//
// In: a JSON document or the lines of a log. Out: Results, one per benchmark
// point, with canonical metrics. A number that is not there is not in the
// result.
package formats

import "github.com/ci-disagg/ci-disagg/internal/report/bench"

// All lists the formats of this package, for bench.Reader.
func All() []bench.Format {
	all := []bench.Format{
		{Name: "lm_eval (JSON)", Readers: []string{"lm-eval"}, JSON: lmEval, Marks: []string{"/results"}},
		{Name: "lm_eval (table)", Readers: []string{"lm-eval"}, Lines: newScoreTable},
	}
	for _, d := range described() {
		all = append(all, d.Format())
	}
	return all
}
