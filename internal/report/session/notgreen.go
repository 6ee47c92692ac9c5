package session

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// NotGreen are the cases whose measurements are not green, with the time since when.
func (d Decided) NotGreen(created time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for _, c := range d.Cases {
		if c.Verdict != verdict.Regression && c.Verdict != verdict.Inconclusive {
			continue
		}
		out[c.ID] = created
		if c.Together != nil && c.Together.Onset != nil {
			out[c.ID] = c.Together.Onset.Time
		}
	}
	return out
}
