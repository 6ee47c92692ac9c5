package judging

import (
	"cmp"
	"context"
	"errors"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// Open opens the store at url, "" = none. One that cannot be reached makes verdicts, and no error.
func (s *Setup) Open(ctx context.Context, url string, create bool) error {
	if url == "" {
		return nil
	}
	s.Machines = &Machines{}
	s.Store, s.StoreErr = baseline.Open(ctx, url, create)
	if s.StoreErr != nil && !baseline.IsUnavailable(s.StoreErr) {
		return s.StoreErr
	}
	return nil
}

// Save stores runs with their verdicts.
func (s Setup) Save(ctx context.Context, records ...baseline.Record) error {
	if s.Store == nil {
		return cmp.Or(s.StoreErr, errors.New("no baseline store is configured"))
	}
	_, err := s.Store.Save(ctx, records...)
	return err
}

// Close closes the store, if there is one.
func (s Setup) Close() {
	if s.Store != nil {
		_ = s.Store.Close() // nothing is pending: every save has been waited for
	}
}
