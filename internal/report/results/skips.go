package results

import (
	"cmp"
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// typeXfail is how pytest marks a test that failed and was expected to.
const typeXfail = "pytest.xfail"

// SkipOf is why a role's test was skipped, and the type of that; "" = it was not.
func SkipOf(r RoleResult, c *junit.Case) (why, kind string) {
	if c == nil || c.Status() != junit.Skipped {
		return "", ""
	}
	message, kind := cmp.Or(c.Results[0].Message, "skipped"), c.Results[0].Type
	if kind == typeXfail { // it failed, as somebody had expected
		message = "expected to fail: " + cmp.Or(c.Results[0].Message, "it did")
	}
	return fmt.Sprintf("[%s] %s", r.Name, message), kind
}

// Xfailed is how a client failed as expected, while none of its tests ran to another end. "" = none did.
func Xfailed(plan rundir.Plan, roles []RoleResult) string {
	for _, r := range roles {
		tests := r.Tests
		switch {
		case plan.Case.Pipeline != "" && Decides(r) && r.Kind == rundir.KindClient:
		case plan.Case.Pipeline == "" && r.Name == plan.Drain.Role:
			tests = []Test{{Case: r.Primary}}
		default:
			continue
		}
		ran, failed := false, ""
		for _, t := range tests {
			said, kind := SkipOf(r, t.Case)
			if ran = ran || said == ""; kind == typeXfail {
				failed = cmp.Or(failed, said)
			}
		}
		if failed != "" && !ran {
			return failed
		}
	}
	return ""
}

// Decides reports whether the tests of a role say if its case was skipped.
func Decides(r RoleResult) bool {
	return !r.Optional && rundir.Works(r.Kind) && (r.JUnit || len(r.Tests) > 0)
}
