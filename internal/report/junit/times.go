package junit

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads the time of a case as Jenkins does, and a few forms more that
// runners write: a decimal comma, h:mm:ss, Go's 1m30s. What is no time is 0.
func ParseTime(s string) time.Duration {
	s = strings.TrimSpace(s)
	if f, ok := parseFloat(s); ok {
		return clampTime(f)
	}
	if i := strings.LastIndexByte(s, ','); i >= 0 && strings.Count(s, ",") == 1 && len(s)-i != 4 && !strings.Contains(s, ".") {
		s = s[:i] + "." + s[i+1:]
	}
	s = strings.ReplaceAll(s, ",", "")
	if d, err := time.ParseDuration(s); err == nil {
		return clampTime(d.Seconds())
	}
	var total float64
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return 0
	}
	for _, p := range parts {
		f, ok := parseFloat(p)
		if !ok {
			return 0
		}
		total = total*60 + f
	}
	return clampTime(total)
}

// plainTime is ParseTime, and reports whether everybody reads the time in the same way:
// it is digits with at most one point.
func plainTime(s string) (d time.Duration, plain bool) {
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	whole, part, point := strings.Cut(s, ".")
	d = ParseTime(s)
	return d, s == "" || digits(whole) && (!point || digits(part)) && d < MaxTime
}

func parseFloat(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// MaxTime is what Jenkins takes for the longest possible test.
const MaxTime = 365 * 24 * time.Hour

func clampTime(seconds float64) time.Duration {
	return time.Duration(math.Round(min(max(seconds, 0), MaxTime.Seconds())*1e6)) * time.Microsecond
}

// Seconds is d as reports have it, to the microsecond: 1.234000. It is at most MaxTime, as readers take no more.
func Seconds(d time.Duration) string {
	return strconv.FormatFloat(float64(min(d, MaxTime).Round(time.Microsecond).Microseconds())/1e6, 'f', 6, 64)
}

// ParseTimestamp reads the forms that runners write. Without a zone it is UTC, as for Jenkins.
func ParseTimestamp(s string) (time.Time, bool) {
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z0700",
		"2006-01-02 15:04:05 Z0700", "2006-01-02 15:04:05 Z07:00", time.RFC1123, time.RFC1123Z, time.UnixDate,
	} {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil && !t.IsZero() {
			return t.UTC().Round(time.Microsecond), true
		}
	}
	return time.Time{}, false
}

// Timestamp is t as reports have it, in UTC.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999Z") }
