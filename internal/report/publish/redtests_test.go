package publish

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// The tests that failed are named where the case alone does not say which of a role's many did.
func TestFailedTestIsNamed(t *testing.T) {
	t.Parallel()
	test := func(name string, status junit.Status, planned bool) report.Check {
		c := report.Check{Planned: planned, Case: junit.Case{Classname: "tests.test_x", Name: name}}
		if status != junit.Passed {
			c.Results = []junit.Result{{Status: status}}
		}
		return c
	}
	for want, tests := range map[string][]report.Check{
		"":                            {test("a", junit.Passed, false), test("planned", junit.Failed, true)},
		"failed test: tests.test_x.b": {test("a", junit.Passed, false), test("b", junit.Failed, false)},
		"failed tests: tests.test_x.b and 1 more": {test("b", junit.Failed, false), test("c", junit.Errored, false)},
	} {
		c := report.CaseReport{Checks: report.Checks{Roles: []report.RoleChecks{{Role: "tests", Tests: tests}}}}
		require.Equal(t, want, redTests(c))
		if want != "" {
			require.Contains(t, summaryCase(group{CaseReport: c}, ""), "failed test")
		}
	}
}
