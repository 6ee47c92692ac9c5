package builder

import "time"

// MayBeWorse are the cases whose measurements are worse or may be, with the time since when.
func (d Decided) MayBeWorse(created time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for _, c := range d.Cases {
		if !c.Verdict.MayBeWorse() {
			continue
		}
		out[c.ID] = created
		if c.Together != nil && c.Together.Onset != nil {
			out[c.ID] = c.Together.Onset.Time
		}
	}
	return out
}
