package metric

import (
	"strconv"
	"strings"
)

// What agrees to the last digit in no two measurements by chance: so many numbers, which have so many digits together
// beyond the first two of each, those that noise leaves alone.
const (
	enoughNumbers = 5
	enoughDigits  = 4
)

// Copied reports whether the values of a measurement are those of another to the last digit, and too many for that to
// be chance: one output was read twice.
func Copied[K comparable](values, other map[K]float64) bool {
	digits := 0
	for k, v := range values {
		if w, ok := other[k]; !ok || v != w {
			return false
		}
		digits += max(0, digitsOf(v)-2)
	}
	return len(values) >= enoughNumbers && digits >= enoughDigits
}

// digitsOf is how many significant digits a value was given with, of the first twelve: those behind may come from a
// change of unit.
func digitsOf(v float64) int {
	mantissa, _, _ := strings.Cut(strconv.FormatFloat(v, 'e', 11, 64), "e")
	return len(strings.TrimRight(strings.TrimLeft(strings.Replace(mantissa, ".", "", 1), "-"), "0"))
}
