package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/report"
	merge "github.com/ci-disagg/ci-disagg/internal/report/oldmerge"
	"github.com/ci-disagg/ci-disagg/internal/report/publish"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// publish writes all files of the report, says on the console how the run ended,
// and ends with its exit code. A file that cannot be written is infrastructure,
// and a measurement that could not be stored is no verdict: neither hides a
// proven failure, and neither leaves a pass.
func (r *reporter) publish(h host, built report.Built) error {
	d := &built.Document
	advisory := r.builder.Setup.Policy.FunctionalOnly
	if r.notStored != nil && report.MustBeStored(*d, advisory) {
		built.JUnit.NotStored = r.notStored.Error()
	}
	sum, err := merge.Merge(built.JUnit, filepath.Join(r.dir.Report(), rundir.ReportJUnit), r.builder.Merge)
	if err == nil {
		report.Reconcile(d, sum)
	}
	d.Warnings = append(sum.Warnings, d.Warnings...)
	if r.notStored != nil {
		report.NotStored(d, r.notStored, advisory)
	}
	err = unwritten(d, "junit.xml", err)
	publish.Advice{
		RunDir: string(r.dir), Config: r.config, Cluster: d.Cluster, Backend: d.Backend,
		NoStore: r.builder.Setup.Store == nil && r.builder.Setup.StoreErr == nil,
	}.Advise(d)
	err = errors.Join(err, unwritten(d, "report", publish.Write(r.dir.Report(), *d)))
	err = errors.Join(err, unwritten(d, "--copy-report", copyReport(r.copyTo, r.dir, *d)))
	fmt.Fprint(h.stdout, publish.Console(*d, r.dir.Report(), consoleStyle(h)))
	if r.notStored != nil {
		err = errors.Join(fmt.Errorf("not stored: %w", r.notStored), err)
	}
	return endWith(h, d.ExitCode, err)
}

// unwritten makes the document say that a part of the report could not be written,
// so that what is written after it, and the console, say the exit code that comes.
func unwritten(d *report.Report, what string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", what, err)
	report.Worsen(d, exitInfra, err.Error())
	return err
}

// endWith ends a verb with its exit code. What went wrong without costing the
// pass is a warning.
func endWith(h host, code int, err error) error {
	if code != exitPassed {
		return &endError{code: code, err: err}
	}
	if err != nil {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: %v\n", err)
	}
	return nil
}

// consoleStyle is how the end of a run looks on stdout.
func consoleStyle(h host) publish.Style {
	s := publish.Style{Colour: colours(h, h.stdout)}
	if isTerminal(h.stdout) {
		s.Width, _ = terminalSize(h.stdout)
	}
	return s
}

// allowed are the verdicts that the policy lets pass.
func allowed(p verdict.Policy) []verdict.Word {
	var out []verdict.Word
	if p.AllowCollecting {
		out = append(out, verdict.Collecting)
	}
	if p.AllowNoBaseline {
		out = append(out, verdict.NoBaseline)
	}
	return out
}
