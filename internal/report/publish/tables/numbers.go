package tables

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// quantity is a number with five significant digits and its unit.
func quantity(v *float64, unit string) string {
	if v == nil {
		return "-"
	}
	if unit != "" {
		unit = " " + unit
	}
	return significant(*v) + unit
}

// significant is v with five significant digits and without an exponent where
// that can be read.
func significant(v float64) string {
	const digits = 5
	if a := math.Abs(v); a != 0 && (a >= 1e9 || a < 1e-4) {
		return strconv.FormatFloat(v, 'g', digits, 64)
	} else if a != 0 {
		places := max(0, min(6, digits-1-int(math.Floor(math.Log10(a)))))
		s := strconv.FormatFloat(v, 'f', places, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	return "0"
}

func signedPercent(v float64) string { return fmt.Sprintf("%+.1f%%", 100*v) }

// sparkWidth is how many runs a sparkline shows.
const sparkWidth = 24

// sparkline draws the newest runs, low to high as the numbers are; the last one
// is the judged run.
func sparkline(runs []verdict.Run) string {
	var values []float64
	for _, r := range runs[max(0, len(runs)-sparkWidth):] {
		if len(r.Values) > 0 {
			values = append(values, r.Value())
		}
	}
	if len(values) < 2 {
		return ""
	}
	lo, hi := slices.Min(values), slices.Max(values)
	// A flat series must look flat: noise of less than 2 % does not fill the scale.
	if span := 0.02 * math.Abs(hi); hi-lo < span {
		mid := (lo + hi) / 2
		lo, hi = mid-span/2, mid+span/2
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		at := 0
		if hi > lo {
			at = int(math.Round((v - lo) / (hi - lo) * float64(len(bars)-1)))
		}
		b.WriteRune(bars[max(0, min(len(bars)-1, at))])
	}
	return b.String()
}
