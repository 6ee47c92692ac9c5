package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// showOptions are the flags of baseline show.
type showOptions struct {
	seriesFlags
	all     bool
	metrics bool
	since   string
	runs    int
}

func newBaselineShowCmd(h host) *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [flags]",
		Short: "Show the series of a store; with --case, its runs and what people did",
		Example: `  ci-disagg baseline show --store dir:/shared/perf
  ci-disagg baseline show --case my_case --runs 20
  ci-disagg baseline show --metrics`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBaselineShow(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.AddFlags(f)
	f.BoolVar(&o.all, "all", false, "every metric, not only those that gate by default")
	f.BoolVar(&o.metrics, "metrics", false, "list the known metrics instead")
	f.StringVar(&o.since, "since", "90d", "how far back")
	f.IntVar(&o.runs, "runs", 10, "with --case: how many runs to list")
	return cmd
}

func runBaselineShow(ctx context.Context, h host, o showOptions) error {
	t := newTable(h)
	if o.metrics {
		cfg, err := o.load(h)
		if err != nil {
			return err
		}
		table, err := cfg.metrics()
		if err != nil {
			return usageErr(err)
		}
		t.metrics(table)
		return nil
	}
	age, err := parseAge("--since", o.since)
	if err != nil {
		return err
	}
	match, err := parseMatch(o.match)
	if err != nil {
		return usageErr(err)
	}
	return o.atStore(ctx, h, false, func(d desk) error {
		return o.series(ctx, d, t, baseline.Filter{Case: o.caseID, Match: match, Branch: o.branch, Since: h.now().Add(-age)})
	})
}

// series shows where the series that pass the filter stand.
func (o showOptions) series(ctx context.Context, d desk, t table, f baseline.Filter) error {
	h := d.h
	var records []baseline.Record
	warnings, err := d.setup.Store.Each(ctx, f, func(r baseline.Record) error {
		records = append(records, r)
		return nil
	})
	for _, w := range warnings {
		fmt.Fprintf(h.stderr, "warning: %s\n", printable(w))
	}
	if err != nil {
		return err
	}
	series := d.setup.Standings(records, func(m metric.Metric) bool { return o.all || m.Gate })
	t.standings(series)
	if len(series) == 0 {
		of, hint := "", ""
		if o.caseID != "" {
			of, hint = " of "+printable(o.caseID), "; 'ci-disagg baseline show' without --case lists the cases"
		}
		fmt.Fprintf(h.stdout, "no counting run%s in the last %s%s\n", of, o.since, hint)
	}
	if o.caseID == "" {
		return nil
	}
	return o.showCase(ctx, d, t, records)
}

// showCase lists the newest runs of a case and what people did about it.
func (o showOptions) showCase(ctx context.Context, d desk, t table, records []baseline.Record) error {
	acts := map[string][]string{}
	var rows [][]cell
	_, err := d.setup.Store.Each(ctx, baseline.Filter{
		Case: o.caseID, Kinds: []baseline.Kind{baseline.KindAccept, baseline.KindWithdraw},
	}, func(r baseline.Record) error {
		acts[r.Act.Target] = append(acts[r.Act.Target], string(r.Kind))
		rows = append(rows, []cell{
			{text: r.Act.At.Format("2006-01-02 15:04")},
			{text: string(r.Kind)},
			{text: r.Act.Target},
			{text: printable(strings.Join(r.Act.Series, " "))},
			{text: printable(r.Act.By)},
			{text: printable(r.Act.Why)},
		})
		return nil
	})
	if err != nil {
		return err
	}
	runs := slices.DeleteFunc(records, func(r baseline.Record) bool {
		return r.Kind != baseline.KindRun || r.Build.Mode != baseline.ModeNightly
	})
	slices.SortStableFunc(runs, func(a, b baseline.Record) int { return strings.Compare(b.ID, a.ID) })
	table := [][]cell{{{text: "RUN"}, {text: "BEGAN"}, {text: "BRANCH"}, {text: "COMMIT"}, {text: "VERDICT"}, {text: "NODES"}, {text: "BUILD"}}}
	for _, r := range runs[:min(len(runs), max(0, o.runs))] {
		word := cmp.Or(string(r.Verdict), "-")
		if a := acts[r.ID]; len(a) > 0 {
			word += " (" + strings.Join(a, ", ") + ")"
		}
		var nodes []string
		for _, rep := range r.Repetitions {
			nodes = append(nodes, cmp.Or(rep.NodeSet, strings.Join(rep.Nodes, ",")))
		}
		table = append(table, []cell{
			{text: r.ID},
			{text: r.Time.Format("2006-01-02 15:04")},
			{text: printable(r.Branch())},
			{text: short(r.Build.Commit)},
			{text: word, code: wordColour(r.Verdict)},
			{text: printable(strings.Join(slices.Compact(nodes), " "))},
			{text: printable(r.Build.URL)},
		})
	}
	fmt.Fprintln(d.h.stdout)
	t.rows(table)
	if len(rows) > 0 {
		fmt.Fprintln(d.h.stdout)
		t.rows(append([][]cell{{{text: "WHEN"}, {text: "WHAT"}, {text: "RUN"}, {text: "METRICS"}, {text: "WHO"}, {text: "WHY"}}}, rows...))
	}
	return nil
}

// standings shows the series below what they have in common: a case's id and what
// identifies its series are longer than a line.
func (t table) standings(all []judging.Standing) {
	var heads []string
	series := map[string][]judging.Standing{}
	for _, s := range all {
		head := fmt.Sprintf("%s\n  %s: %s", printable(s.Record.Case), printable(s.Record.Branch()), printable(matchText(s.Record.Match)))
		if series[head] == nil {
			heads = append(heads, head)
		}
		series[head] = append(series[head], s)
	}
	for _, head := range heads {
		fmt.Fprintln(t.w, head)
		t.rows(seriesRows(series[head]))
	}
}

func seriesRows(series []judging.Standing) [][]cell {
	out := [][]cell{{{text: "  POINT"}, {text: "METRIC"}, {text: "RUNS", right: true}, {text: "LEVEL", right: true}, {text: "NEWEST", right: true}, {text: "VERDICT"}, {text: "HISTORY"}}}
	for _, s := range series {
		level := "-"
		if s.Level != nil {
			level = significant(s.Level.Level) + " " + s.Last.Unit
		}
		out = append(out, []cell{
			{text: "  " + printable(s.Last.Point)},
			{text: s.Last.Metric},
			{text: fmt.Sprint(len(s.Runs)), right: true},
			{text: level, right: true},
			{text: significant(s.Last.Value()), right: true},
			{text: cmp.Or(string(s.Last.Verdict), "-"), code: wordColour(s.Last.Verdict)},
			{text: sparkline(s.Runs)},
		})
	}
	return out
}

// metrics prints the table of metrics.
func (t table) metrics(table metric.Table) {
	rows := [][]cell{{{text: "METRIC"}, {text: "UNIT"}, {text: "BETTER"}, {text: "GATES"}, {text: "MIN EFFECT", right: true}, {text: "UPSTREAM"}}}
	for _, m := range table.All() {
		gates := ""
		if m.Gate {
			gates = "yes"
		}
		upstream := ""
		if m.Upstream != "" {
			upstream = "d_" + m.Upstream
		}
		rows = append(rows, []cell{
			{text: m.Name},
			{text: m.Unit},
			{text: m.Better.String()},
			{text: gates},
			{text: fmt.Sprintf("%g%%", 100*m.MinEffect), right: true},
			{text: upstream},
		})
	}
	t.rows(rows)
}
