package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/deliver"
	"github.com/ci-disagg/ci-disagg/internal/report/session"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// errInReference is what ends a run by a signal that came while the reference was measured.
var errInReference = errors.New("interrupted while the reference (perf.reference) was measured: the cases of this run were over")

// signalled is where the exit codes of signals begin.
const signalled = exit.Signal

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
	why, err := setup.ReferenceDue(ask, r.run.Cluster, h.now(), notGreen(decided, r.run.Created))
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
	code, failed := d.pinned(ctx, h, dir)
	switch {
	case code >= signalled:
		return code
	case failed != "":
		warn("%s", failed)
	case code > 0:
		warn("it ended with exit %d, see %s", code, dir)
	}
	return 0
}

// notGreen are the cases whose measurements are not green, with the time since when.
func notGreen(d session.Decided, created time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for _, c := range d.Cases {
		if c.Verdict != verdict.Regression && c.Verdict != verdict.Inconclusive {
			continue
		}
		out[c.ID] = created
		if c.Together != nil && c.Together.Onset != nil {
			out[c.ID] = c.Together.Onset.Time
		}
	}
	return out
}

// pinned makes the reference's build, and measures it in a run of its own.
func (d *driver) pinned(ctx context.Context, h host, dir string) (code int, failed string) {
	ref := d.cfg.Perf.Control()
	if text := d.cfg.Builds.Pinned(ref.Commit).MakeOf(ref.Commit); text != "" {
		if _, err := proc.Run(ctx, proc.Command{Argv: []string{"bash", "-e", "-c", text}, Dir: filepath.Dir(d.cfg.Path), Env: h.environ()}); err != nil {
			var ended *proc.ExitError
			if errors.As(err, &ended) { // what it said may hold secrets
				err = &proc.ExitError{Name: "builds.make", Exit: ended.Exit, Signal: ended.Signal}
			}
			return 0, err.Error()
		}
	}
	h.stdout = io.Discard // what it shows is told by the report
	return run(ctx, h, []string{
		"run", "--quiet", "--mode", baseline.ModeReference, "--commit", ref.Commit, "--cluster", d.Cluster, "--backend", d.Backend,
		"--run-dir", dir, "--run-id", filepath.Base(dir), "--config", d.cfg.Path, "--", ref.Case,
	}), ""
}
