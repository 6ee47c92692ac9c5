package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/confirm"
	"github.com/ci-disagg/ci-disagg/internal/report/deliver"
)

// errBeside is what ends a run by a signal that came when its cases were over.
var errBeside = errors.New("interrupted while the reference (perf.reference) or regressions in pairs (ab.confirm) were measured: the cases of this run were over")

// beside measures what belongs to a run whose cases are over, and ends with its report. As long as builds are made or
// jobs run for that, a signal ends these, and the report is written; after that it ends this process.
func (d *driver) beside(ctx context.Context, s *signals, h host, r started, rep *deliver.Reporter) error {
	if d.cfg.UseTrustedCommands(r.named) && r.run.Build.Mode == baseline.ModeNightly {
		fmt.Fprintln(h.stderr, "ci-disagg: warning: perf.reference and ab.confirm are not seen to: jobs can write the config that is kept with their run; name yours with --config")
	}
	if code := cmp.Or(d.measureReference(ctx, h, r, rep), endedBy(ctx)); code > 0 {
		return rep.Interrupted(code-exit.Signal, code, errBeside)
	}
	if d.cfg.AB.Confirm && d.cfg.Builds.Unpaired() == "" && rep.Mode == baseline.ModeNightly {
		again := suiteFlags{Selection: pipeline.Selection{Backend: r.run.Backend, Cluster: r.run.Cluster}}.confirm(h, d.cfg, rep.Dir)
		// A signal ends the sessions, not what is written of them.
		rep.Confirm = func(_ context.Context, cases []report.CaseReport) ([]confirm.Result, int, error) {
			return again.Run(ctx, cases)
		}
	} else {
		s.stop()
	}
	return rep.Finish(context.WithoutCancel(ctx), true)
}

// endedBy is the exit code of the signal that ended the context, 0 = none did.
func endedBy(ctx context.Context) int {
	var by *drive.Interrupted
	if errors.As(context.Cause(ctx), &by) {
		return by.ExitCode()
	}
	return 0
}

// makeBuild runs the shell text that makes a build, "" = there is nothing to be done. A signal ends it, with all that
// it has started, and is the code.
func makeBuild(ctx context.Context, h host, cfg config, text string) (code int, res proc.Result, err error) {
	if text == "" {
		return endedBy(ctx), res, nil
	}
	ctx, stop := drive.Notify(ctx)
	defer stop()
	res, err = proc.Run(ctx, proc.Command{
		Argv: []string{"bash", "-e", "-c", text}, Dir: filepath.Dir(cfg.Path), Stdout: io.Discard,
		Env: withoutHook(proc.WithoutStore(h.environ()), cfg.Notify), Timeout: cfg.Builds.MakeLimit(), Grace: time.Second, KillLeft: true,
	})
	return endedBy(ctx), res, err
}

// measureReference measures the pinned build of perf.reference beside a nightly run, in a
// run directory of its own, where that is due: before the run is judged for good, so that
// its report knows. It returns the exit code of a signal that ended it, else 0: that it
// could not be measured is a warning, and the report says what is not known without it.
func (d *driver) measureReference(ctx context.Context, h host, r started, rep *deliver.Reporter) int {
	setup := rep.Options.Setup
	if d.cfg.Perf.Reference == "" || setup.Store == nil || d.cfg.Perf.Off || setup.Policy.FunctionalOnly || r.run.Build.Mode != baseline.ModeNightly {
		return 0
	}
	warn := func(format string, args ...any) {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: the reference %s was not measured: %s\n", setup.Reference, fmt.Sprintf(format, args...))
	}
	ask, cancel := context.WithTimeout(ctx, deliver.StoreTimeout)
	defer cancel()
	decided, err := rep.Decide(ask, 0)
	if err != nil || !slices.ContainsFunc(decided.Records, func(r baseline.Record) bool { return r.Valid }) {
		return 0 // the report tells the error; where no case gave a number the reference gives none
	}
	why, err := setup.ReferenceDue(ask, r.run.Cluster, h.now(), decided.MayBeWorse(r.run.Created))
	switch {
	case err != nil:
		warn("%v", err)
		return 0
	case why == "":
		return 0
	case !d.cfg.Builds.Pins():
		warn("%s, and nothing in %s says how its build comes about: builds.reference, {commit} in builds.head, or builds.make", why, d.cfg.Path)
		return 0
	}
	dir := string(r.dir) + "-reference"
	fmt.Fprintf(h.stderr, "ci-disagg: measuring the reference %s: %s\n", setup.Reference, why)
	rep.Leave(decided) // who is killed while that is measured has told what was known
	code, failed := d.pinned(ctx, h, dir)
	switch {
	case code >= exit.Signal:
		return code
	case failed != "":
		warn("%s", failed)
	case code > 0:
		warn("it ended with exit %d, see %s", code, dir)
	}
	return 0
}

// pinned makes the reference's build, and measures it in a run of its own.
func (d *driver) pinned(ctx context.Context, h host, dir string) (code int, failed string) {
	ref := d.cfg.Perf.ParsedReference()
	if code, _, err := makeBuild(ctx, h, d.cfg, d.cfg.Builds.Pinned(ref.Commit).MakeOf(ref.Commit)); code > 0 || err != nil {
		var ended *proc.ExitError
		if errors.As(err, &ended) { // what it said may hold secrets
			err = &proc.ExitError{Name: "builds.make", Exit: ended.Exit, Signal: ended.Signal}
		}
		return code, fmt.Sprint(err)
	}
	h.stdout = io.Discard // what it shows is told by the report
	return run(ctx, h, []string{
		"run", "--quiet", "--mode", baseline.ModeReference, "--commit", ref.Commit, "--cluster", d.Cluster, "--backend", d.Backend,
		"--run-dir", dir, "--run-id", filepath.Base(dir), "--config", d.cfg.Path, "--", ref.Case,
	}), ""
}
