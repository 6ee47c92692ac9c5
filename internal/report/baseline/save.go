package baseline

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// storable are the records as they are stored, and what is wrong with those that no reader would take.
func storable(records []Record) (good []Record, bad error) {
	for _, r := range records {
		r.Repetitions = printable(r.Repetitions)
		err := r.Validate()
		if err == nil {
			err = r.fits()
		}
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("record %s of case %s cannot be stored: %w", r.ID, Shorten(r.Case), err))
			continue
		}
		good = append(good, r)
	}
	return good, bad
}

// fits says that a reader of the store would not take so large a record.
func (r Record) fits() error {
	data, err := json.MarshalIndent(r, "", " ")
	if err == nil && len(data) > MaxRecord {
		err = fmt.Errorf("it is longer than %d bytes", MaxRecord)
	}
	return err
}

// printable are the repetitions with what was read of their machines, which jobs can write, as a store takes it.
func printable(reps []Repetition) []Repetition {
	text := func(s string) string {
		if textProblem(s) != "" {
			return clean(s)
		}
		return s
	}
	reps = slices.Clone(reps)
	for i := range reps {
		was := reps[i].Machine
		if was == nil {
			continue
		}
		m := rundir.Machine{Cards: slices.Clone(was.Cards), Suspects: slices.Clone(was.Suspects)}
		for name, value := range was.Facts {
			if m.Facts == nil {
				m.Facts = map[string]string{}
			}
			m.Facts[text(name)] = text(value)
		}
		for k := range m.Cards {
			c := &m.Cards[k]
			c.Node, c.UUID, c.Name = text(c.Node), text(c.UUID), text(c.Name)
		}
		for k := range m.Suspects {
			s := &m.Suspects[k]
			s.Kind, s.Node, s.UUID, s.Text = text(s.Kind), text(s.Node), text(s.UUID), text(s.Text)
		}
		reps[i].Machine = &m
	}
	return reps
}
