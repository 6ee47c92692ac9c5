package bench

import (
	_ "embed" // formats.yaml
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

//go:embed formats.yaml
var formatTable []byte

// described is a format that is built in and described like a user's own: an entry of formats.yaml, which says what the
// keys are. It is recognised by its content: JSON by Marks, text by the line that begins a point.
type described struct {
	Generic    `yaml:",inline"`
	ID         string   `yaml:"id"` // in Result.Format
	Marks      []string `yaml:"marks"`
	Hints      []string `yaml:"hints"`
	NoneFailed bool     `yaml:"none_failed"`
	Must       []string `yaml:"must"`
	Stats      []family `yaml:"stats"`
}

type family struct {
	Family string   `yaml:"family"`
	At     string   `yaml:"at"`
	Line   string   `yaml:"line"`
	Unit   string   `yaml:"unit"`
	UnitAt string   `yaml:"unit_at"`
	Of     []string `yaml:"of"`
}

// describedFormats are the formats of formats.yaml.
//
//nolint:gochecknoglobals // immutable, read once
var describedFormats = sync.OnceValue(func() []Format {
	var list []described
	if err := strictyaml.Decode("formats.yaml", formatTable, &list); err != nil {
		panic(err) // unreachable in a released binary: a test reads it
	}
	out := make([]Format, len(list))
	for i, d := range list {
		out[i] = d.complete().format()
	}
	return out
})

// complete writes out what an entry abbreviates.
func (d described) complete() described {
	d.Metrics = slices.Clone(d.Metrics) // entries of one anchor share them
	for _, f := range d.Stats {
		for _, name := range f.Of {
			ours, theirs, ok := strings.Cut(name, "=")
			if !ok {
				theirs = ours
			}
			at := strings.ReplaceAll(f.At, "%s", theirs)
			if f.Line != "" {
				at = f.Family + "_" + strings.ReplaceAll(ours, ".", "_")
				d.Lines = append(d.Lines, regexp.MustCompile(strings.ReplaceAll(f.Line, "%s", theirs)+"{"+at+"}"))
			}
			d.Metrics = append(d.Metrics, GenericMetric{Metric: f.Family + "_" + ours + "_ms", At: at, Unit: f.Unit, UnitAt: f.UnitAt})
		}
	}
	for i := range d.Metrics {
		m := &d.Metrics[i] // versions and modes of a client leave metrics out
		m.Optional = !slices.Contains(d.Must, m.Metric)
	}
	d.noneFailed = d.NoneFailed
	if d.Begins != nil {
		d.Begins = numbers(d.Begins)
	}
	for i := range d.Lines {
		d.Lines[i] = numbers(d.Lines[i])
	}
	return d
}

// numbers writes out the numbers of an expression.
func numbers(short *regexp.Regexp) *regexp.Regexp {
	return regexp.MustCompile(regexp.MustCompile(`\{([a-z]\w*)\}`).ReplaceAllString(short.String(), "(?P<$1>[0-9.]+(?:[eE][+-]?[0-9]+)?)"))
}

// format makes a format of the description, which must be right: a test reads every one.
func (d described) format() Format {
	reader := d.ID[:max(0, strings.LastIndexByte(d.ID, '-'))] // redis-benchmark of redis-benchmark-csv
	f := Format{Name: d.Name, Readers: []string{reader}, Marks: slices.Concat(d.Marks, d.Hints), Gives: d.gives(), Metrics: d.names()}
	if d.Format == "text" {
		f.Lines = func(t metric.Table, file string) LineReader {
			return &textPoints{format: d.ID, g: d.Generic, metrics: t, file: file, groups: map[string]found{}}
		}
		return f
	}
	f.JSON = func(t metric.Table, doc jsondoc.Document, file string) []Result {
		if slices.ContainsFunc(d.Marks, func(p string) bool { return !doc.Has(p) }) {
			return nil
		}
		return d.points(t, doc, d.ID, file)
	}
	return f
}
