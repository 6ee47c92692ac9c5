package tables

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
)

const minute = "2006-01-02 15:04"

// Standings shows the series below what they have in common: a case's id and what
// identifies its series are longer than a line.
func (p Printer) Standings(all []judging.Standing) {
	var heads []string
	series := map[string][]judging.Standing{}
	for _, s := range all {
		head := fmt.Sprintf("%s\n  %s: %s", plain.Line(s.Record.Case), plain.Line(s.Record.Branch()), plain.Line(Match(s.Record.Match)))
		if series[head] == nil {
			heads = append(heads, head)
		}
		series[head] = append(series[head], s)
	}
	for _, head := range heads {
		fmt.Fprintln(p.W, head)
		p.series(series[head])
	}
}

func (p Printer) series(all []judging.Standing) {
	rows := p.table(left("  POINT"), left("METRIC"), right("RUNS"), right("LEVEL"), right("NEWEST"), left("VERDICT"), left("HISTORY"))
	for _, s := range all {
		level := "-"
		if s.Level != nil {
			level = significant(s.Level.Level) + " " + s.Last.Unit
		}
		rows.Row(
			left("  "+s.Last.Point), left(s.Last.Metric), right(fmt.Sprint(len(s.Runs))), right(level), right(significant(s.Last.Value())),
			painted(s.Last.Verdict, cmp.Or(string(s.Last.Verdict), "-")), left(sparkline(s.Runs)),
		)
	}
	p.all(rows)
}

// Runs lists runs, with what people did about them.
func (p Printer) Runs(runs, acts []baseline.Record) {
	done := map[string][]string{}
	below := p.table(left("WHEN"), left("WHAT"), left("RUN"), left("METRICS"), left("WHO"), left("WHY"))
	for _, a := range acts {
		done[a.Act.Target] = append(done[a.Act.Target], string(a.Kind))
		below.Add(a.Act.At.Format(minute), string(a.Kind), a.Act.Target, strings.Join(a.Act.Series, " "), a.Act.By, a.Act.Why)
	}
	rows := p.table(left("RUN"), left("BEGAN"), left("BRANCH"), left("COMMIT"), left("VERDICT"), left("NODES"), left("BUILD"))
	for _, r := range runs {
		word := cmp.Or(string(r.Verdict), "-")
		if d := done[r.ID]; len(d) > 0 {
			word += " (" + strings.Join(d, ", ") + ")"
		}
		var nodes []string
		for _, rep := range r.Repetitions {
			nodes = append(nodes, cmp.Or(rep.NodeSet, strings.Join(rep.Nodes, ",")))
		}
		rows.Row(
			left(r.ID), left(r.Time.Format(minute)), left(r.Branch()), left(commit(r.Build.Commit)), painted(r.Verdict, word),
			left(strings.Join(slices.Compact(nodes), " ")), left(r.Build.URL),
		)
	}
	fmt.Fprintln(p.W)
	p.all(rows)
	for _, r := range runs {
		if len(r.Problems) > 0 {
			fmt.Fprintf(p.W, "%s is no measurement: %s\n", r.ID, plain.Inert(plain.Line(results.First(r.Problems))))
		}
	}
	if below.Len() > 1 {
		fmt.Fprintln(p.W)
		p.all(below)
	}
}

// Metrics lists what can be measured.
func (p Printer) Metrics(all metric.Table) {
	rows := p.table(left("METRIC"), left("UNIT"), left("BETTER"), left("GATES IN"), right("MIN EFFECT"), left("UPSTREAM"))
	for _, m := range all.All() {
		upstream := ""
		if m.Upstream != "" {
			upstream = "d_" + m.Upstream
		}
		rows.Row(left(m.Name), left(m.Unit), left(m.Better.String()), left(strings.Join(metric.GatingModes(m), " ")), right(fmt.Sprintf("%g%%", 100*m.MinEffect)), left(upstream))
	}
	p.all(rows)
}

// Acceptance shows the levels that an acceptance is about: with all, also of metrics that
// gate nothing.
func Acceptance(w io.Writer, a judging.Acceptance, all bool) {
	fmt.Fprintf(w, "accept the level of run %s (%s, commit %s) of %s\n",
		a.Run.ID, a.Run.Time.Format(minute), cmp.Or(commit(a.Run.Build.Commit), "-"), plain.Line(a.Run.Case))
	others := 0
	for _, c := range a.Changes {
		if !c.Metric.Gate && !all {
			others++
			continue
		}
		fmt.Fprintf(w, "  %s\n", change(c))
	}
	if others > 0 {
		fmt.Fprintf(w, "  and %s that gate nothing\n", plain.Count(others, "metric"))
	}
	if len(a.Retired) > 0 {
		fmt.Fprintf(w, "  not measured by it, and expected of no later run: %s\n", plain.Line(strings.Join(a.Retired, ", ")))
	}
}

func change(c judging.LevelChange) string {
	name := strings.TrimPrefix(c.Point+" "+c.Metric.Name, " ")
	if c.From == nil {
		return fmt.Sprintf("%s: - → %s %s", name, significant(c.To), c.Metric.Unit)
	}
	return fmt.Sprintf("%s: %s → %s %s (%s)", name, significant(c.From.Level), significant(c.To), c.Metric.Unit, signedPercent(c.To/c.From.Level-1))
}

// Record is a record of a store on one line.
func Record(r baseline.Record) string {
	if r.Kind != baseline.KindRun {
		text := fmt.Sprintf("%s %s %s", r.ID, r.Kind, r.Case)
		if r.Act != nil {
			text += fmt.Sprintf(" by %s: %s", r.Act.By, r.Act.Why)
			if r.Act.Target != "" {
				text += " (run " + r.Act.Target + ")"
			}
		}
		return plain.Line(text)
	}
	state := fmt.Sprintf("%d values", len(r.Measurements))
	if !r.Valid {
		state = "invalid"
	}
	return plain.Line(fmt.Sprintf("%s %s %s %s %s %s", r.ID, r.Build.Mode, r.Branch(), cmp.Or(commit(r.Build.Commit), "-"), r.Case, state))
}

// Match is match values as flags.
func Match(m map[string]string) string {
	if len(m) == 0 {
		return "(none)"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, " ")
}
