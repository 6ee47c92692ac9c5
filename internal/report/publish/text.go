package publish

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// squeeze is s in one line, without runs of blanks.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// shorten cuts s to n runes.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// shortenMiddle cuts s to n runes. Names of one suite begin alike and differ
// towards their ends.
func shortenMiddle(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := n / 4
	return string(r[:head]) + "…" + string(r[len(r)-(n-head-1):])
}

// oneLine is s without line breaks and control characters, its middle cut so that n
// runes are left: what has happened stands at the end of a line.
func oneLine(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, s)
	return shortenMiddle(s, n)
}

// unprintable is a control character, which may move a terminal's cursor, or one
// that turns the direction of text.
func unprintable(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || bidi(r) || r == 0xfffe || r == 0xffff
}

// bidi says that a character turns the direction of text, with which a log line
// can be made to read as something else.
func bidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// number is v with about four significant digits, no exponent.
func number(v float64) string {
	switch {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return "–"
	case v == 0:
		return "0"
	}
	digits := 3 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, min(digits, 6)), 64)
}

// quantity is a value with its unit.
func quantity(v float64, unit string) string {
	if unit == "" || unit == "1" {
		return number(v)
	}
	return number(v) + " " + unit
}

// percent is a relative change with its sign.
func percent(v float64) string {
	if math.Abs(v) < 0.0005 {
		return "±0.0 %"
	}
	return fmt.Sprintf("%+.1f %%", 100*v)
}

// count is "1 case" or "3 cases".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// lasting is a duration for people: 812 ms, 9.5 s, 12 min 3 s, 3 h 20 min.
func lasting(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// median is the middle value, ok = false without a finite one.
func median(values []float64) (float64, bool) {
	v := make([]float64, 0, len(values))
	for _, x := range values {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			v = append(v, x)
		}
	}
	if len(v) == 0 {
		return 0, false
	}
	sort.Float64s(v)
	if n := len(v); n%2 == 0 {
		return v[n/2-1]/2 + v[n/2]/2, true
	}
	return v[len(v)/2], true
}
