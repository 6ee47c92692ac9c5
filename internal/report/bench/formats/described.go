package formats

import (
	_ "embed" // formats.yaml
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

//go:embed formats.yaml
var table []byte

// description is an entry of formats.yaml, which says what the keys are.
type description struct {
	bench.Described `yaml:",inline"`
	Must            []string `yaml:"must"`
	Stats           []family `yaml:"stats"`
}

type family struct {
	Family string   `yaml:"family"`
	At     string   `yaml:"at"`
	Line   string   `yaml:"line"`
	Unit   string   `yaml:"unit"`
	UnitAt string   `yaml:"unit_at"`
	Of     []string `yaml:"of"`
}

// described are the formats of formats.yaml.
//
//nolint:gochecknoglobals // immutable, read once
var described = sync.OnceValue(func() []bench.Described {
	var list []description
	if err := strictyaml.Decode("formats.yaml", table, &list); err != nil {
		panic(err) // unreachable in a released binary: a test reads it
	}
	out := make([]bench.Described, len(list))
	for i, d := range list {
		out[i] = d.complete()
	}
	return out
})

// complete writes out what an entry abbreviates.
func (d description) complete() bench.Described {
	for _, f := range d.Stats {
		for _, name := range f.Of {
			ours, theirs, ok := strings.Cut(name, "=")
			if !ok {
				theirs = ours
			}
			m := bench.GenericMetric{Metric: f.Family + "_" + ours + "_ms", Unit: f.Unit, UnitAt: f.UnitAt}
			if f.Line == "" {
				m.At = fmt.Sprintf(f.At, theirs)
			} else {
				m.At = f.Family + "_" + strings.ReplaceAll(ours, ".", "_")
				d.Lines = append(d.Lines, fmt.Sprintf(f.Line, theirs)+"{"+m.At+"}")
			}
			d.Metrics = append(d.Metrics, m)
		}
	}
	for i := range d.Metrics {
		d.Metrics[i].Optional = !slices.Contains(d.Must, d.Metrics[i].Metric)
	}
	d.Begins = numbers(d.Begins)
	for i := range d.Lines {
		d.Lines[i] = numbers(d.Lines[i])
	}
	return d.Described
}

// numbers writes out the numbers of an expression.
func numbers(expression string) string {
	return regexp.MustCompile(`\{([a-z]\w*)\}`).ReplaceAllString(expression, "(?P<$1>[0-9.]+)")
}
