package baseline

import (
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Pins is baselines.yaml: values and thresholds that people wrote down.
type Pins struct {
	File  string
	Cases map[string][]PinEntry // by case id
}

// PinEntry is one line of it: a metric of a case.
type PinEntry struct {
	Metric    string            // canonical name
	Point     string            // "" = every point
	Match     map[string]string // only for runs with these match values
	Value     *float64          // nil: only thresholds are set
	Tolerance float64           // relative; 0 = the rule's default
	Rule      verdict.Rule      // "" = fixed when there is a value
	Gate      *bool
	MinEffect float64
	Source    string // file:line:column
	By, Why   string
	At        string
}
