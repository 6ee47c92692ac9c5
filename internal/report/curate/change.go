package curate

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline/exchange"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Add makes a record of what was measured elsewhere a run of the history.
func (e Editor) Add(rec baseline.Record) ([]baseline.Record, error) {
	act := e.Act
	rec.Source, rec.Act = "manual", &act
	rec = rec.Normal()
	if !rec.Valid {
		return nil, fmt.Errorf("not a valid measurement: %s", strings.Join(rec.Problems, "; "))
	}
	return []baseline.Record{rec}, rec.Validate()
}

// File is one input of an import.
type File struct {
	Name string
	Open func() (io.Reader, error)
}

// Import reads records that the store does not have, and a note of where they came from.
func (e Editor) Import(ctx context.Context, files []File, opt exchange.Options) ([]baseline.Record, error) {
	var records []baseline.Record
	var names []string
	for _, file := range files {
		r, err := file.Open()
		if err != nil {
			return nil, err
		}
		name := file.Name
		if name == "-" {
			name = "stdin"
		}
		got, err := exchange.Import(r, name, opt)
		if err != nil {
			return nil, err
		}
		names = append(names, file.Name)
		fmt.Fprintf(e.Out, "%s: %d read, %d records\n", file.Name, got.Read, len(got.Records))
		for _, why := range slices.Sorted(maps.Keys(got.Skipped)) {
			fmt.Fprintf(e.Out, "  left out %d times: %s\n", got.Skipped[why], plain.Line(why))
		}
		news, err := got.News(ctx, e.Setup.Store)
		if err != nil {
			return nil, err
		}
		records = append(records, news...)
	}
	if len(records) == 0 {
		fmt.Fprintf(e.Out, "nothing in it that %s does not have\n", e.Setup.Store)
		return nil, nil
	}
	e.Act.Series = names
	return append(records, e.note(baseline.KindImport, "*")), nil
}

// Export writes the records that pass the filter, one per line.
func (e Editor) Export(ctx context.Context, w io.Writer, f baseline.Filter) (int, error) {
	return exchange.Export(w, func(fn func(baseline.Record) error) error {
		warnings, err := e.Setup.Store.Each(ctx, f, fn)
		e.warn(warnings)
		return err
	})
}

// Withdraw keeps the only run that passes the filter and says that it does not count.
func (e Editor) Withdraw(ctx context.Context, f baseline.Filter) ([]baseline.Record, error) {
	found, err := e.Records(ctx, f)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no run %s", e.Setup.Store, strings.Join(f.IDs, ", "))
	}
	fmt.Fprintf(e.Out, "- %s\n", tables.Record(found[0]))
	return []baseline.Record{judging.Withdraw(found[0], e.Act)}, nil
}

// Remove deletes records for good and leaves a note.
func (e Editor) Remove(ctx context.Context, f baseline.Filter) ([]baseline.Record, error) {
	if e.Dry {
		found, err := e.Records(ctx, f)
		for _, r := range found {
			fmt.Fprintf(e.Out, "- %s\n", tables.Record(r))
		}
		fmt.Fprintf(e.Out, "%d records would be removed\n", len(found))
		return nil, err
	}
	n, err := e.Setup.Store.Delete(ctx, f)
	fmt.Fprintf(e.Out, "%d records removed\n", n)
	if err != nil {
		return nil, err
	}
	e.Act.Why = fmt.Sprintf("%s (%d records before %s)", e.Act.Why, n, f.Before.UTC().Format("2006-01-02"))
	return []baseline.Record{e.note(baseline.KindPrune, cmp.Or(f.Case, "*"))}, nil
}

// Replay judges the runs that came in by hand, once and in order. mode says which metrics gate in a case that names
// none.
func (e Editor) Replay(ctx context.Context, caseID, mode string) ([]baseline.Record, error) {
	records, err := e.Records(ctx, baseline.Filter{Case: caseID})
	if err != nil {
		return nil, err
	}
	var changed []baseline.Record
	words := map[verdict.Word]int{}
	for _, r := range e.Setup.Replay(records, mode) {
		words[r.Record.Verdict]++
		if r.Changed {
			changed = append(changed, r.Record)
		}
	}
	for _, w := range slices.Sorted(maps.Keys(words)) {
		fmt.Fprintf(e.Out, "%s: %s\n", w, plain.Count(words[w], "run"))
	}
	if len(changed) == 0 {
		fmt.Fprintln(e.Out, "nothing to replay")
		return nil, nil
	}
	e.Act.Series = []string{"replay"}
	return append(changed, e.note(baseline.KindReplay, "*")), nil
}

// Split gives the runs of earlier versions their cluster: it stores the records where they belong, removes them from
// where they were, and leaves a note. A break in between leaves runs twice, which count once.
func (e Editor) Split(ctx context.Context, caseID, unknownTo string) ([]baseline.Record, error) {
	records, err := e.Records(ctx, baseline.Filter{Case: caseID})
	if err != nil {
		return nil, err
	}
	s := baseline.SplitByCluster(records, unknownTo)
	for _, m := range s.Moved {
		fmt.Fprintf(e.Out, "%s (%s): %s to cluster %s\n", plain.Line(m.Case), plain.Line(tables.Match(m.Match)), plain.Count(m.Runs, "run"), plain.Line(m.Cluster))
	}
	if s.Unknown > 0 {
		fmt.Fprintf(e.Out, "%d records name no cluster and stay: --to gives them one\n", s.Unknown)
	}
	if len(s.Records) == 0 {
		fmt.Fprintln(e.Out, "nothing to split")
		return nil, nil
	}
	e.Act.Series = []string{baseline.ClusterKey}
	note := []baseline.Record{e.note(baseline.KindSplit, "*")}
	if e.Dry {
		return note, nil
	}
	if err := e.save(ctx, s.Records); err != nil {
		return nil, err
	}
	for ids := range slices.Chunk(s.Old, portion) {
		if _, err := e.Setup.Store.Delete(ctx, baseline.Filter{IDs: ids}); err != nil {
			return nil, err
		}
	}
	return note, nil
}
