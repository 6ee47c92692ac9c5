package look

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
)

// OneLine is s without line breaks and control characters, its middle cut so that n
// runes are left: what has happened stands at the end of a line.
func OneLine(s string, n int) string {
	return plain.CutMiddle(plain.Line(s), n)
}

// Unprintable is a control character, which may move a terminal's cursor, or one
// that is hidden and changes what is seen.
func Unprintable(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || plain.Hidden(r) || r == 0xfffe || r == 0xffff
}

// Number is v with about four significant digits, no exponent.
func Number(v float64) string {
	switch {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return "–"
	case v == 0:
		return "0"
	}
	digits := 3 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, min(digits, 6)), 64)
}

// Quantity is a value with its unit.
func Quantity(v float64, unit string) string {
	if unit == "" || unit == "1" {
		return Number(v)
	}
	return Number(v) + " " + unit
}

// Percent is a relative change with its sign.
func Percent(v float64) string {
	if math.Abs(v) < 0.0005 {
		return "±0.0 %"
	}
	return fmt.Sprintf("%+.1f %%", 100*v)
}

// Lasting is a duration for people: 812 ms, 9.5 s, 12 min 3 s, 3 h 20 min.
func Lasting(d time.Duration) string {
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

// Median is the middle value, ok = false without a finite one.
func Median(values []float64) (float64, bool) {
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
