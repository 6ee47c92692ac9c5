package main

import "github.com/ci-disagg/ci-disagg/internal/exit"

const (
	exitPassed     = exit.Passed
	exitTestFailed = exit.TestFailed
	exitUsage      = exit.Usage
	exitInfra      = exit.Infra
	exitRegression = exit.Regression
	exitNoVerdict  = exit.NoVerdict
	exitOvertaken  = exit.Overtaken
)

const exitTable = `  0  everything passed, or failed as known
  1  a test failed (also: servers not ready in time, benchmark out of time)
  2  usage, config or plan is wrong; nothing was submitted
  3  infrastructure failed after the allowed retries: not your change
  4  performance regression
  5  no verdict: invalid, inconclusive, no baseline, baseline unavailable, collecting, skipped
  6  another driver took over this run: what becomes of it, that one says
  129, 130, 131, 143  interrupted by SIGHUP, SIGINT, SIGQUIT, SIGTERM; the jobs were cancelled first`

// endError ends the process with a code.
type endError = exit.Error

// usageErr is an error in what the user gave: exit 2.
func usageErr(err error) error { return exit.ByUser(err) }
