package builder

import (
	"path"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
)

// output is what a client gave that ran once.
type output struct {
	name   string
	values map[ab.Key]float64
}

// outputs are those of the runs of a session. Base and head look equally fast where one output is read as that of both.
type outputs []output

// outputsOf are the outputs of a run, by the times that its client ran.
func outputsOf(run string, parts []results.Attempt, measured []baseline.Measurement) outputs {
	out := make(outputs, len(parts))
	for i, part := range parts {
		out[i] = output{name: path.Join(run, part.Part), values: map[ab.Key]float64{}}
	}
	for _, m := range measured {
		for i, v := range m.Values {
			if len(m.Reps) > 0 {
				i = m.Reps[i]
			}
			out[i].values[ab.Key{Point: m.Point, Metric: m.Metric}] = v
		}
	}
	return out
}

// add takes in the outputs of the next run. The problems say which of them are copies of earlier ones.
func (o *outputs) add(next outputs) (problems []string) {
	for _, one := range next {
		for _, old := range *o {
			if metric.Copied(one.values, old.values) {
				problems = append(problems, "the same numbers to the last digit as "+old.name+": its output, not a new measurement")
				break
			}
		}
		*o = append(*o, one)
	}
	return problems
}
