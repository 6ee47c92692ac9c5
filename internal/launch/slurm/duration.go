package slurm

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration reads Slurm's time formats. The text is read as it is written:
// some YAML readers turn 12:00:00 into 43200.
func Duration(v string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no time: write [D-]HH:MM:SS or minutes", v)
	days, rest, hasDays := strings.Cut(v, "-")
	var d time.Duration
	if hasDays {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 365 {
			return 0, bad
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		rest = v
	}
	parts := strings.Split(rest, ":")
	units := []time.Duration{time.Minute, time.Second}
	switch {
	case len(parts) == 3, hasDays:
		units = []time.Duration{time.Hour, time.Minute, time.Second}
	}
	if len(parts) > len(units) {
		return 0, bad
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 1_000_000 {
			return 0, bad
		}
		d += time.Duration(n) * units[i]
	}
	if d <= 0 {
		return 0, bad
	}
	return d, nil
}
