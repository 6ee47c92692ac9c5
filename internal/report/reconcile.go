package report

import (
	"fmt"
	"slices"

	merge "github.com/ci-disagg/ci-disagg/internal/report/oldmerge"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Reconcile makes the document agree with the merged JUnit report: a case that is
// red there (a flaky test under the policy "fail", say) is not green here. It
// only ever makes a result worse.
func Reconcile(d *Report, sum merge.Summary) {
	red := map[string]string{}
	for _, c := range sum.Cases {
		if c.Status.Red() {
			red[c.Slug] = c.Message
		}
	}
	var codes []int
	for i := range d.Cases {
		c := &d.Cases[i]
		if message, ok := red[c.Slug]; ok && c.ExitCode == ExitPassed {
			c.ExitCode, c.Result, c.Message = ExitTestFailed, ResultOf(ExitTestFailed), message
		}
		codes = append(codes, c.ExitCode)
	}
	if d.Result == ResultOf(-1) { // interrupted: the signal decides
		return
	}
	d.ExitCode = ExitCode(codes, 0)
	d.Result = ResultOf(d.ExitCode)
	count(d)
	d.Headline = headline(*d)
}

// NotStored makes the document say that what was measured did not join the
// history, and why. Where it must, a run that passed is no pass.
func NotStored(d *Report, why error, advisory bool) {
	text := fmt.Sprintf("not stored: %v", why)
	d.Warnings = slices.Insert(d.Warnings, 0, text) // the first ones are shown
	if !MustBeStored(*d, advisory) {
		return
	}
	Worsen(d, ExitNoVerdict, text)
}

// Worsen makes the document say what went wrong after its cases were judged, where
// that changes how the run ends. Of an interrupted run the signal decides.
func Worsen(d *Report, code int, text string) {
	if d.Result == ResultOf(-1) {
		return
	}
	if code = ExitCode([]int{d.ExitCode, code}, 0); code != d.ExitCode {
		d.ExitCode, d.Result = code, ResultOf(code)
		d.Headline += "; " + text
	}
}

// MustBeStored says that what was measured has to join the history: a run that is
// missing there is missed by every later verdict. It need not where performance is
// advisory, which never turns a run red, nor if the run is a pull request's, which
// joins no history, or was interrupted, where the signal decides.
func MustBeStored(d Report, advisory bool) bool {
	return !advisory && d.Build.Mode != string(verdict.PullRequest) && d.Result != ResultOf(-1)
}
