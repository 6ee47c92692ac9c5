package cmdline

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Age reads 400d, 36h, 90m, the value of a flag.
func Age(flag, s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s %q: give an age such as 400d or 36h", flag, s)
	}
	return d, nil
}

// Time reads RFC 3339 or Unix seconds; "" is the zero time.
func Time(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(sec, 0).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, fmt.Errorf("%s %q: give a time such as 2026-01-31T08:00:00Z, or Unix seconds", flag, s)
	}
	return at, nil
}
