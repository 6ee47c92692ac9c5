package points

import (
	"fmt"
	"slices"
)

// ColdStart is what becomes of a measurement whose first requests waited for something that the others did not: kernels
// that were compiled, caches that were filled.
type ColdStart string

// What can become of it.
const (
	ColdStartTell    ColdStart = "tell" // a warning; the default
	ColdStartInvalid ColdStart = "invalid"
	ColdStartOff     ColdStart = "off"
)

// UnmarshalText reads the value of perf.cold_start.
func (c *ColdStart) UnmarshalText(text []byte) error {
	*c = ColdStart(text)
	if !slices.Contains([]ColdStart{ColdStartTell, ColdStartInvalid, ColdStartOff}, *c) {
		return fmt.Errorf("%q is none of tell, invalid and off", text)
	}
	return nil
}
