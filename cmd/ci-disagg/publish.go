package main

import (
	"errors"
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/report/publish"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/archive"
	"github.com/ci-disagg/ci-disagg/internal/report/session"
	"github.com/ci-disagg/ci-disagg/internal/terminal"
)

// publish writes all files of the report, says on the console how the run ended,
// and ends with its exit code. A file that cannot be written is infrastructure,
// and a measurement that could not be stored is no verdict: neither hides a
// proven failure, and neither leaves a pass.
func (r *reporter) publish(h host, d session.Decided, notStored error) error {
	rep, err := r.Write(&d)
	if r.copyTo != "" {
		if copied := archive.Copy(r.copyTo, r.dir, rep, r.mask); copied != nil {
			rep, copied = r.Unwritten(&d, "--copy-report", copied)
			err = errors.Join(err, copied)
		}
	}
	fmt.Fprint(h.stdout, publish.Console(rep, r.dir.Report(), consoleStyle(h)))
	return endWith(h, rep.ExitCode, errors.Join(notStored, err))
}

// endWith ends a verb with its exit code. What went wrong without costing the
// pass is a warning.
func endWith(h host, code int, err error) error {
	if code != exitPassed {
		return &endError{Code: code, Err: err}
	}
	if err != nil {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: %v\n", err)
	}
	return nil
}

// consoleStyle is how the end of a run looks on stdout.
func consoleStyle(h host) publish.Style {
	s := publish.Style{Colour: colours(h, h.stdout)}
	if terminal.Is(h.stdout) {
		s.Width, _ = terminal.Size(h.stdout)
	}
	return s
}
