// Package exit is how a verb ends: an error, and the exit code of the process that it stands for.
//
// In: an error, and what kind it is. Out: the same error with its code, for whoever ends the process. Report colours
// and results are decided in package report; this one holds only the numbers, which both floors need.
package exit

import (
	"fmt"
	"io"
)

// The exit codes. They are part of the interface: Jenkinsfiles switch on them.
const (
	Passed     = 0
	TestFailed = 1
	Usage      = 2
	Infra      = 3
	Regression = 4
	NoVerdict  = 5
	Overtaken  = 6 // what became of the run, whoever drives it now says

	// Signal is what is added to the number of a signal that ended the run, as shells do.
	Signal = 128
)

// Table is the codes for people, as --help and the docs show them.
const Table = `  0  everything passed, or failed as known
  1  a test failed (also: servers not ready in time, benchmark out of time)
  2  usage, config or plan is wrong; nothing was submitted
  3  infrastructure failed after the allowed retries: not your change
  4  performance regression
  5  no verdict: invalid, inconclusive, no baseline, baseline unavailable, collecting, skipped
  6  another driver took over this run: what becomes of it, that one says
  129, 130, 131, 143  interrupted by SIGHUP, SIGINT, SIGQUIT, SIGTERM; the jobs were cancelled first`

// Error ends the process with a code. A nil Err prints nothing: the verb has said everything already.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// ByUser is an error in what the user gave: exit code 2. Nil stays nil.
func ByUser(err error) error { return with(Usage, err) }

// ByInfra is an error of the machinery around the run: exit code 3. Nil stays nil.
func ByInfra(err error) error { return with(Infra, err) }

// With ends a verb with its exit code. What went wrong without costing the pass is a warning.
func With(warn io.Writer, code int, err error) error {
	if code != Passed {
		return &Error{Code: code, Err: err}
	}
	if err != nil {
		fmt.Fprintf(warn, "ci-disagg: warning: %v\n", err)
	}
	return nil
}

func with(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}
