package judging

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

const (
	// machinesSince is how far back slow cards and nodes are looked for.
	machinesSince = 60 * 24 * time.Hour
	// machinesTime bounds the reading of a whole store.
	machinesTime = time.Minute
)

// Machines is what the runs of all cases say of the cards and nodes of a store. It is
// looked up once, and only when a run is not green: that reads the store.
type Machines struct {
	once    sync.Once
	found   []lemons.Lemon
	warning string
}

// Lemons are the slow ones, and what stood in the way of finding them.
func (m *Machines) Lemons(ctx context.Context, s Setup, until time.Time) ([]lemons.Lemon, string) {
	m.once.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, machinesTime)
		defer cancel()
		var records []baseline.Record
		filter := baseline.Filter{Kinds: []baseline.Kind{baseline.KindRun}, Counts: true, Since: until.Add(-machinesSince), Before: until}
		if _, err := s.Store.Each(ctx, filter, func(r baseline.Record) error {
			records = append(records, r)
			return ctx.Err()
		}); err != nil {
			m.warning = fmt.Sprintf("slow nodes could not be looked for: %v", err)
			return
		}
		m.found = lemons.Find(lemons.Readings(records, s.Metrics, s.Gates))
	})
	return m.found, m.warning
}

// onMachines judges a run that is not green once more, with what is known to be slow
// taken out of it and of its history.
func onMachines(ctx context.Context, s Setup, subject Subject, p past, j Judgement) Judgement {
	if !verdict.Worst(j.Rows).MayBeWorse() || s.Machines == nil || s.Store == nil {
		return j
	}
	found, warning := s.Machines.Lemons(ctx, s, subject.Record.Time)
	if warning != "" {
		j.Warnings = append(j.Warnings, warning)
	}
	if len(found) == 0 {
		return j
	}
	s.Lemons = found
	warned := j.Warnings
	j = against(s, subject, p)
	j.Warnings = warned
	j.Lemons = lemons.On(found, subject.Record)
	return j
}
