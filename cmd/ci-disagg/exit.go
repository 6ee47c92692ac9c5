package main

import (
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/report"
)

// The exit codes, as package report defines them.
const (
	exitPassed     = report.ExitPassed
	exitTestFailed = report.ExitTestFailed
	exitUsage      = report.ExitUsage
	exitInfra      = report.ExitInfra
	exitRegression = report.ExitRegression
	exitNoVerdict  = report.ExitNoVerdict

	exitOvertaken = 6 // what became of the run, whoever drives it now says
)

const exitTable = `  0  everything passed, or failed as known
  1  a test failed (also: servers not ready in time, benchmark out of time)
  2  usage, config or plan is wrong; nothing was submitted
  3  infrastructure failed after the allowed retries: not your change
  4  performance regression
  5  no verdict: invalid, inconclusive, no baseline, baseline unavailable, collecting, skipped
  6  another driver took over this run: what becomes of it, that one says
  129, 130, 131, 143  interrupted by SIGHUP, SIGINT, SIGQUIT, SIGTERM; the jobs were cancelled first`

// endError ends the process with a code. A nil err prints nothing: the verb has
// said everything already.
type endError struct {
	code int
	err  error
}

func (e *endError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *endError) Unwrap() error { return e.err }

// usageErr is an error in what the user gave: exit 2.
func usageErr(err error) error {
	if err == nil {
		return nil
	}
	return &endError{code: exitUsage, err: err}
}
