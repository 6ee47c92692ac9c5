package judging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// InForce tells in words what a run of the case would be judged against. A store that
// cannot be read is worth a line there, and no error.
func (s Setup) InForce(ctx context.Context, id string, match map[string]string) string {
	var parts []string
	if n := len(s.Pins.Cases[id]); n > 0 {
		parts = append(parts, fmt.Sprintf("%s in %s", plain.Count(n, "pinned value"), s.Pins.File))
	}
	switch {
	case s.StoreErr != nil:
		parts = append(parts, "history: "+plain.Words(s.StoreErr.Error()))
	case s.Store != nil:
		h, err := s.Store.History(ctx, baseline.Query{Case: id, Match: match})
		var down *baseline.UnavailableError
		switch {
		case errors.As(err, &down):
			parts = append(parts, "history unavailable: "+plain.Words(err.Error()))
		case err != nil:
			parts = append(parts, "history: "+plain.Words(err.Error()))
		case len(h.Runs) == 0:
			parts = append(parts, "no history yet in "+s.Store.String())
		default:
			last := h.Runs[len(h.Runs)-1]
			parts = append(parts, fmt.Sprintf("%s in %s, the last of %s", plain.Count(len(h.Runs), "run"), s.Store.String(), last.Time.UTC().Format(time.DateOnly)))
		}
	}
	if len(parts) == 0 {
		return "none: no perf.store and no pinned value"
	}
	return strings.Join(parts, "; ")
}
