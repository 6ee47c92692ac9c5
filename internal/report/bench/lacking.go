package bench

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// uncounted says that no result would count, and the other way out.
const uncounted = "%s does not say how many requests succeeded, so that no result would count: leave requests out of expect, or %s"

// Lacking says, before anything runs, which keys the user's own formats leave out that a plan's points need, and what
// the outputs of its roles' clients do not tell: their results would never count. Readers of which no format says how
// many requests succeeded are refused with the config, see Reader.Check.
func Lacking(p rundir.Plan, formats []Generic) (warnings []string) {
	warn := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(warnings, text) {
			warnings = append(warnings, text)
		}
	}
	requests, loads := 0, map[string]bool{}
	for _, p := range p.Expected.Points {
		requests = max(requests, p.Requests)
		loads[p.Load()] = true
	}
	for _, g := range formats {
		if requests > 0 && g.Completed == "" {
			warn("perf.readers %s: completed is missing: %d requests are planned, and a result that does not say how many succeeded never counts", g.label(), requests)
		}
		if len(loads) > 1 && g.Concurrency == "" && g.Rate == "" {
			warn("perf.readers %s: concurrency is missing: %d loads are planned, and a result does not say which one it is of", g.label(), len(loads))
		}
	}
	outputs := outputsOf(p, formats)
	for _, o := range outputs {
		if requests > 0 && o.option != "" && !o.of[0].counts() {
			warn(uncounted, o.of[0].Name, o.option+" out of the command")
		}
	}
	gives, readers, all := measured(outputs)
	for _, name := range p.Expected.Metrics {
		if all && !slices.Contains(gives, canonical(name)) {
			warn("expect.metrics: no result of %s has %s, so that none would count; there are %s", strings.Join(readers, ", "), name, strings.Join(gives, ", "))
		}
	}
	return warnings
}

// output is a file's entry in a role's plan, and the formats that it may be of.
type output struct {
	reader string
	option string // of the client in the command, which makes it write formats of its own
	of     []Format
}

// outputsOf are those that a plan names.
func outputsOf(p rundir.Plan, own []Generic) (out []output) {
	for _, b := range p.Builds {
		for _, r := range b.Roles {
			for _, f := range r.Bench {
				out = append(out, output{reader: f.Reader, of: Reader{Generic: own, only: f.Reader}.formats()}.by(r.Command))
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

// measured are the metrics that the outputs have, and their readers; all: nothing else can be in them.
func measured(outputs []output) (metrics, readers []string, all bool) {
	all = len(outputs) > 0
	for _, o := range outputs {
		readers = append(readers, o.reader)
		for _, f := range o.of {
			metrics = append(metrics, f.Metrics...)
			all = all && o.reader != "" && f.Metrics != nil
		}
	}
	slices.Sort(readers)
	slices.Sort(metrics)
	return slices.Compact(metrics), slices.Compact(readers), all
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
