package bench

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Lacking says, before anything runs, which keys the user's own formats leave out
// that a plan's points need, and what the outputs of its roles' clients do not tell: their
// results would never count.
func Lacking(p rundir.Plan, formats []Generic) (warnings []string) {
	want, requests := p.Expected, 0
	loads := map[string]bool{}
	for _, p := range want.Points {
		requests = max(requests, p.Requests)
		loads[p.Load()] = true
	}
	for _, g := range formats {
		lack := func(key, format string, n int) {
			warnings = append(warnings, fmt.Sprintf("perf.readers %s: %s is missing: "+format, g.label(), key, n))
		}
		if requests > 0 && g.Completed == "" {
			lack("completed", "%d requests are planned, and a result that does not say how many succeeded never counts", requests)
		}
		if len(loads) > 1 && g.Concurrency == "" && g.Rate == "" {
			lack("concurrency", "%d loads are planned, and a result does not say which one it is of", len(loads))
		}
	}
	outputs := outputsOf(p, formats)
	if requests > 0 {
		warnings = append(warnings, uncounted(outputs)...)
	}
	return append(warnings, unmeasured(want.Metrics, outputs)...)
}

// output is a file's entry in a role's plan, and the formats that it may be of.
type output struct {
	reader string
	option string // of the client in the command, which makes it write formats of its own
	of     []Format
}

// outputsOf are those that a plan names.
func outputsOf(p rundir.Plan, own []Generic) []output {
	var out []output
	for _, b := range p.Builds {
		for _, r := range b.Roles {
			for _, f := range r.Bench {
				one := output{reader: f.Reader, of: Reader{Generic: own, only: f.Reader}.formats()}
				out = append(out, one.by(r.Command))
			}
		}
	}
	return out
}

// by is the output of a command. One whose option is in the name of a format, as in redis-benchmark --csv, writes that.
func (o output) by(command string) output {
	command = strings.ReplaceAll(command, "\\\n", " ")
	for _, f := range o.of {
		client, option, ok := strings.Cut(f.Name, " -")
		if !ok || !slices.Contains(f.Readers, client) {
			continue
		}
		called := regexp.MustCompile(`(?m)(?:^|[\s/;|&(])` + regexp.QuoteMeta(client) + `\s(?:[^|;&\n]*\s)?-` + regexp.QuoteMeta(option) + `(?:[\s>|;&)]|$)`)
		if called.MatchString(command) {
			return output{reader: client, option: "-" + option, of: []Format{f}}
		}
	}
	return o
}

// uncounted says which options of clients leave out how many requests succeeded. Readers of which no format says it are
// refused with the config, see Reader.Check.
func uncounted(outputs []output) []string {
	var out []string
	for _, o := range outputs {
		if o.option != "" && !o.of[0].counts() {
			out = append(out, fmt.Sprintf("%s does not say how many requests succeeded, so that no result would count: leave requests out of expect, "+
				"or %s out of the command", o.of[0].Name, o.option))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unmeasured says which metrics are expected that none of the outputs has, where all is known that is in them.
func unmeasured(metrics []string, outputs []output) []string {
	var gives, readers []string
	for _, o := range outputs {
		if o.reader == "" {
			return nil
		}
		for _, f := range o.of {
			if f.Metrics == nil {
				return nil
			}
			gives = append(gives, f.Metrics...)
		}
		readers = append(readers, o.reader)
	}
	slices.Sort(readers)
	slices.Sort(gives)
	gives = slices.Compact(gives)
	var out []string
	for _, name := range metrics {
		if len(outputs) > 0 && !slices.Contains(gives, canonical(name)) {
			out = append(out, fmt.Sprintf("expect.metrics: no result of %s has %s, so that none would count; there are %s",
				strings.Join(slices.Compact(readers), ", "), name, strings.Join(gives, ", ")))
		}
	}
	return out
}

// names are the metrics that a format has.
func (g Generic) names() []string {
	out := []string{}
	for _, m := range g.Metrics {
		out = append(out, canonical(m.Metric))
	}
	return out
}

// canonical is the name of a metric in the built-in table, or the one that its own has.
func canonical(name string) string {
	if m, ok := metric.Default().Resolve(name); ok {
		return m.Name
	}
	return name
}
