package curate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
)

// portion is how many records are stored or removed at once.
const portion = 500

// Editor changes and shows a store on somebody's behalf.
type Editor struct {
	Out, Warn io.Writer
	Setup     judging.Setup // with its store
	Act       baseline.Act  // who, when and why
	Dry       bool          // print what would change, change nothing
}

// Open opens the store at url, "" = none is named. The caller closes it.
func Open(ctx context.Context, url string, create bool) (baseline.Store, error) {
	if url == "" {
		return nil, exit.ByUser(errors.New("which store? Give --store, $CI_DISAGG_STORE, or perf.store in the config"))
	}
	store, err := baseline.Open(ctx, url, create)
	return store, StoreError(err)
}

// StoreError gives an error of a store its exit code, unless it has one.
func StoreError(err error) error {
	switch {
	case err == nil || errors.As(err, new(*exit.Error)):
		return err
	case baseline.IsUnavailable(err):
		return &exit.Error{Code: exit.NoVerdict, Err: err}
	default:
		return exit.ByUser(err)
	}
}

// Change stores the records that of gives, or shows them in a dry run.
func (e Editor) Change(ctx context.Context, of func(Editor) ([]baseline.Record, error)) error {
	records, err := of(e)
	if err != nil {
		return err
	}
	if e.Dry {
		return e.show(ctx, records)
	}
	return e.save(ctx, records)
}

// Records are those that pass the filter. One that cannot be read is left out, and said.
func (e Editor) Records(ctx context.Context, f baseline.Filter) ([]baseline.Record, error) {
	var out []baseline.Record
	warnings, err := e.Setup.Store.Each(ctx, f, func(r baseline.Record) error {
		out = append(out, r)
		return nil
	})
	e.warn(warnings)
	return out, err
}

func (e Editor) warn(warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(e.Warn, "warning: %s\n", plain.Line(w))
	}
}

// save stores in portions and says what became of it.
func (e Editor) save(ctx context.Context, records []baseline.Record) error {
	var total baseline.Saved
	for part := range slices.Chunk(records, portion) {
		saved, err := e.Setup.Store.Save(ctx, part...)
		total.Added += saved.Added
		total.Replaced += saved.Replaced
		if err != nil {
			fmt.Fprintf(e.Warn, "%d records were stored before that\n", total.Added+total.Replaced)
			return err
		}
	}
	if len(records) > 0 {
		fmt.Fprintf(e.Out, "stored in %s: %d new, %d replaced\n", e.Setup.Store, total.Added, total.Replaced)
	}
	return nil
}

// show is the difference that saving would make: + new, ~ replaced.
func (e Editor) show(ctx context.Context, records []baseline.Record) error {
	there, err := e.stored(ctx, records)
	if err != nil {
		return err
	}
	for _, r := range records {
		sign := "+"
		if there[r.ID] {
			sign = "~"
		}
		fmt.Fprintf(e.Out, "%s %s\n", sign, tables.Record(r))
	}
	fmt.Fprintln(e.Out, "dry run: nothing was changed")
	return nil
}

// stored are the ids of those records that the store has.
func (e Editor) stored(ctx context.Context, records []baseline.Record) (map[string]bool, error) {
	there := map[string]bool{}
	if len(records) == 0 {
		return there, nil
	}
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	_, err := e.Setup.Store.Each(ctx, baseline.Filter{IDs: ids}, func(r baseline.Record) error {
		there[r.ID] = true
		return nil
	})
	return there, err
}

// note is the record that stays of what was done to many runs.
func (e Editor) note(kind baseline.Kind, of string) baseline.Record {
	act := e.Act
	return baseline.Record{Kind: kind, Case: of, Time: act.At, Act: &act}.Normal()
}
