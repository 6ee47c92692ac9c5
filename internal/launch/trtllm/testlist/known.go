package testlist

import (
	"fmt"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
)

// KnownFailure is one entry of our own list of known failures.
type KnownFailure struct {
	Test    string `yaml:"test"`    // test id; * stands for any text
	Bug     string `yaml:"bug"`     // where it is tracked
	Expires string `yaml:"expires"` // YYYY-MM-DD, the last day on which it counts
	Reason  string `yaml:"reason"`
}

// Text is the failure for people.
func (k KnownFailure) Text() string {
	if k.Reason == "" {
		return k.Bug
	}
	return k.Bug + ": " + k.Reason
}

// KnownFailures checks the list and gives those entries that still count today.
func KnownFailures(list []KnownFailure, file, today string) (active []KnownFailure, warnings []string, problems document.Problems) {
	for i, k := range list {
		key := fmt.Sprintf("workload.known_failures[%d]", i)
		bad := func(field, text string) {
			problems = append(problems, document.Problem{File: file, Key: key + "." + field, Text: text})
		}
		if k.Test == "" {
			bad("test", "missing: the test id, * stands for any text")
		}
		if k.Bug == "" {
			bad("bug", "missing: where the failure is tracked")
		}
		if _, err := time.Parse(time.DateOnly, k.Expires); err != nil {
			bad("expires", fmt.Sprintf("%q is not a day such as 2027-01-31: a known failure must end some day", k.Expires))
			continue
		}
		if today != "" && k.Expires < today {
			warnings = append(warnings, fmt.Sprintf("%s: known failure of %s (%s) expired on %s and no longer counts", file, k.Test, k.Bug, k.Expires))
			continue
		}
		active = append(active, k)
	}
	return active, warnings, problems
}
