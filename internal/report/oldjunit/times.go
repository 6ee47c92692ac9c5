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

func parseFloat(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// maxTime is what Jenkins takes for the longest possible test.
const maxTime = 365 * 24 * time.Hour

func clampTime(seconds float64) time.Duration {
	switch {
	case seconds <= 0:
		return 0
	case seconds >= maxTime.Seconds():
		return maxTime
	default:
		return time.Duration(math.Round(seconds*1e6)) * time.Microsecond
	}
}
