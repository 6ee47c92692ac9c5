package curate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Series names the series of one case.
type Series struct {
	Case   string
	Match  map[string]string // empty: the only one that the case has
	Branch string
}

// History is what the next run of the case would be judged against.
func (s Series) History(ctx context.Context, store baseline.Store) (baseline.History, error) {
	match, err := s.findMatch(ctx, store)
	if err != nil {
		return baseline.History{}, err
	}
	return store.History(ctx, baseline.Query{Case: s.Case, Match: match, Branch: s.Branch})
}

// findMatch is the match values of the case's series: the given ones, else the
// only ones that the store has.
func (s Series) findMatch(ctx context.Context, store baseline.Store) (map[string]string, error) {
	if len(s.Match) > 0 {
		return s.Match, nil
	}
	all, err := matches(ctx, store, baseline.Filter{Case: s.Case, Counts: true}) // no other run makes a series
	if err == nil && len(all) == 0 {
		all, err = matches(ctx, store, baseline.Filter{Case: s.Case, Kinds: []baseline.Kind{baseline.KindRun}})
	}
	if err != nil {
		return nil, err
	}
	heads := baseline.Heads(all)
	switch len(heads) {
	case 0:
		return nil, exit.ByUser(fmt.Errorf("%s has no run of case %q%s", store, s.Case, nearCase(ctx, store, s.Case)))
	case 1:
		return heads[0], nil
	}
	var texts []string
	for _, m := range heads {
		texts = append(texts, tables.Match(m))
	}
	return nil, exit.ByUser(fmt.Errorf("case %s has %d series; give --match for one of them:\n  %s", s.Case, len(heads), strings.Join(texts, "\n  ")))
}

// matches are the match values of the runs that pass the filter, each once.
func matches(ctx context.Context, store baseline.Store, f baseline.Filter) (all []map[string]string, err error) {
	seen := map[string]bool{}
	_, err = store.Each(ctx, f, func(r baseline.Record) error {
		if key := baseline.MatchKey(r.Match); !seen[key] {
			seen[key] = true
			all = append(all, r.Match)
		}
		return nil
	})
	return all, err
}

// nearCase names the case of a store that was probably meant.
func nearCase(ctx context.Context, store baseline.Store, name string) string {
	seen := map[string]bool{}
	_, err := store.Each(ctx, baseline.Filter{Kinds: []baseline.Kind{baseline.KindRun}}, func(r baseline.Record) error {
		seen[r.Case] = true
		return nil
	})
	if err != nil {
		return "" // a hint, no answer
	}
	return strictyaml.DidYouMean(name, slices.Sorted(maps.Keys(seen)))
}

// Standing is which series are shown, and how much of each.
type Standing struct {
	Filter baseline.Filter
	Since  string // the filter's, as it was given
	All    bool   // every metric, not only those that gate by default
	Runs   int    // how many runs of the filter's case are listed
	JSON   bool   // for programs
}

// Show shows where the series that pass the filter stand, and of a single case its runs and what people did about it.
func (e Editor) Show(ctx context.Context, t tables.Printer, s Standing) error {
	records, err := e.Records(ctx, s.Filter)
	if err != nil {
		return err
	}
	series := e.Setup.Standings(records, s.All)
	runs, acts, err := e.runsOf(ctx, s, records)
	if err != nil {
		return err
	}
	if s.JSON {
		return e.json(s.Filter, series, runs, acts)
	}
	t.Standings(series)
	if len(series) == 0 {
		of, hint := "", ""
		if s.Filter.Case != "" {
			of = " of " + plain.Line(s.Filter.Case)
			hint = cmp.Or(nearCase(ctx, e.Setup.Store, s.Filter.Case), "; 'ci-disagg baseline show' without --case lists the cases")
		}
		if !s.All && len(e.Setup.Standings(records, true)) > 0 {
			hint = " measured a metric that gates; --all shows the others"
		}
		fmt.Fprintf(e.Out, "no counting run%s in the last %s%s\n", of, s.Since, hint)
	}
	if len(runs)+len(acts) > 0 {
		t.Runs(runs, acts)
	}
	return nil
}

// runsOf are the newest runs of the case that is asked for, and what people did about its runs.
func (e Editor) runsOf(ctx context.Context, s Standing, records []baseline.Record) (runs, acts []baseline.Record, err error) {
	if s.Filter.Case == "" {
		return nil, nil, nil
	}
	acts, err = e.Records(ctx, baseline.Filter{Case: s.Filter.Case, Kinds: []baseline.Kind{baseline.KindAccept, baseline.KindWithdraw}})
	if err != nil {
		return nil, nil, err
	}
	runs = slices.DeleteFunc(slices.Clone(records), func(r baseline.Record) bool {
		return r.Kind != baseline.KindRun || r.Build.Mode != baseline.ModeNightly
	})
	slices.SortStableFunc(runs, func(a, b baseline.Record) int { return strings.Compare(b.ID, a.ID) })
	return runs[:min(len(runs), max(0, s.Runs))], acts, nil
}

// Accept takes the level of a run of the series for intended: the newest run, or the one with that id.
func (e Editor) Accept(ctx context.Context, of Series, run string, metrics []string) ([]baseline.Record, error) {
	hist, err := of.History(ctx, e.Setup.Store)
	if err != nil {
		return nil, err
	}
	a, err := e.Setup.Accept(hist, run, metrics, e.Act)
	if err != nil {
		return nil, fmt.Errorf("case %s on %s: %w", of.Case, baseline.NormalBranch(of.Branch), err)
	}
	tables.Acceptance(e.Out, a, len(metrics) > 0)
	return []baseline.Record{a.Record}, nil
}

// PinRequest is what is to be pinned: [POINT/]METRIC[=VALUE] each.
type PinRequest struct {
	Series
	Metrics   []string
	Point     string // of metrics that name none
	Tolerance string // "5%" or "0.05"; "" = the rule's
}

// Pins are the entries for the file of pins; a value that is not given is the level of the series in the store.
func (p PinRequest) Pins(ctx context.Context, setup judging.Setup, storeURL string) ([]judging.PinEntry, error) {
	out, open, err := p.parse(setup.Metrics)
	if err != nil {
		return nil, exit.ByUser(err)
	}
	if len(open) == 0 {
		return out, nil
	}
	store, err := Open(ctx, storeURL, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	hist, err := p.History(ctx, store)
	for _, i := range open {
		if err != nil {
			break
		}
		out[i], err = setup.LevelPin(hist, baseline.Record{Case: p.Case, Match: p.Match}, out[i])
	}
	return out, StoreError(err)
}

// parse reads the arguments; open are the entries without a value.
func (p PinRequest) parse(metrics metric.Table) (out []judging.PinEntry, open []int, err error) {
	tolerance, err := parseShare(p.Tolerance)
	if err != nil {
		return nil, nil, err
	}
	for _, arg := range p.Metrics {
		series, text, given := strings.Cut(arg, "=")
		point, def, err := judging.ParseSeries(series, metrics)
		if err != nil {
			return nil, nil, err
		}
		e := judging.PinEntry{Metric: def.Name, Point: cmp.Or(point, p.Point), Match: p.Match, Tolerance: tolerance}
		if given {
			v, err := parseAmount(text)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", series, err)
			}
			e.Value = &v
		} else {
			open = append(open, len(out))
		}
		out = append(out, e)
	}
	return out, open, nil
}
