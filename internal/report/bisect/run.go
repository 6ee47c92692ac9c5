package bisect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	codes "github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Options are a search that is to be made, or gone on with.
type Options struct {
	Record
	Dir string // of the search
	Out io.Writer
	Now func() time.Time
	// Run measures a commit against the good one, into a run directory of its own, which may be there already from
	// before. Its exit code says whether it was interrupted, failed why it could not be made; what it measured is in its
	// report. nil = nobody can: a person is told which commit is next.
	Run func(ctx context.Context, dir, good, commit string) (exit int, failed string)
	// Measured are run directories of sessions that somebody else has made.
	Measured []string
	GPUHours float64 // of a run at most; 0 = none, or not known
}

// warmups are the runs of a session beside its pairs.
const warmups = 2

// again is how many sessions in a row the infrastructure may end before the search does.
const again = 3

// EndedError says that the search was ended from outside: it goes on where it stands.
type EndedError struct {
	Exit int // that of the search
	By   string
}

// Error says what to do.
func (e *EndedError) Error() string { return e.By + ": the same command goes on from here" }

// Search searches until it is settled, or until nothing more is to be learnt. It is written after every measurement.
func (o Options) Search(ctx context.Context) (Found, error) {
	r, err := load(o.Dir, o.Record)
	if err != nil {
		return Found{}, err
	}
	o.Record = r
	if err := os.MkdirAll(o.Dir, rundir.DirMode); err != nil {
		return Found{}, err
	}
	known := len(o.Trials)
	if err := o.takeIn(); err != nil {
		return Found{}, err
	}
	o.forecast()
	for broken := 0; ; {
		f := o.search().Found(o.Confidence)
		next := o.search().Next()
		if f.Settled || next == 0 || o.search().asked() >= Bound(len(o.Commits)-1) {
			if known > 0 && len(o.Trials) == known {
				o.earlier()
			}
			return f, o.end(f)
		}
		if o.Run == nil {
			o.ask(next)
			return f, o.write(f)
		}
		if err := o.measure(ctx, next); err != nil {
			return f, errors.Join(err, o.write(f))
		}
		if broken++; !o.Trials[len(o.Trials)-1].Infra {
			broken = 0
		}
		if broken == again {
			return f, errors.Join(&EndedError{codes.Infra, fmt.Sprintf("the infrastructure ended %d sessions in a row, which says nothing of any commit (%s)",
				again, o.Trials[len(o.Trials)-1].Dir)}, o.write(f))
		}
	}
}

// takeIn reads what others have measured.
func (o *Options) takeIn() error {
	for _, dir := range o.Measured {
		c, err := readCase(dir, o.Case)
		switch {
		case err != nil:
			return err
		case c.AB == nil || c.AB.Head == nil || c.AB.Base == nil:
			return fmt.Errorf("%s: %s was not measured in pairs there: run it with --ab", dir, o.Case)
		}
		at, base := o.find(c.AB.Head.Commit), o.find(c.AB.Base.Commit)
		if at < 1 || base != 0 {
			return fmt.Errorf("%s compares commit %q with %q: the first has to be one of those that are searched, the other the good one", dir, c.AB.Head.Commit, c.AB.Base.Commit)
		}
		if c.ExitCode == codes.Infra {
			return fmt.Errorf("%s: the infrastructure ended that session, which says nothing of its commit: measure it again", dir)
		}
		if !o.has(dir) {
			o.take(at, dir, c, false)
			o.Last = o.Now().UTC()
		}
	}
	return nil
}

// has reports whether what a run directory holds is known already.
func (o *Options) has(dir string) bool {
	for _, t := range o.Trials {
		if t.Dir == dir {
			return true
		}
	}
	return false
}

// readCase is a case of a run's report.
func readCase(dir, id string) (report.CaseReport, error) {
	var doc report.Report
	if err := rundir.ReadJSON(filepath.Join(rundir.Dir(dir).Report(), rundir.ReportVerdict), &doc); err != nil {
		return report.CaseReport{}, err
	}
	for _, c := range doc.Cases {
		if c.ID == id {
			return c, nil
		}
	}
	return report.CaseReport{}, fmt.Errorf("%s has no case %s", dir, id)
}

// measure makes one measurement.
func (o *Options) measure(ctx context.Context, next int) error {
	good, commit := o.Commits[0], o.Commits[next]
	dir := session(o.Dir, len(o.Trials)+1, commit)
	if len(o.Trials) == 0 { // what a session that is killed measures is known to be of this search
		if err := o.write(o.search().Found(o.Confidence)); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.Out, "%d. %s, %d of %d\n", len(o.Trials)+1, commit, next, len(o.Commits)-1)
	exit, failed := o.Run(ctx, dir, good.ID, commit.ID)
	switch {
	case exit >= codes.Signal:
		return &EndedError{exit, "interrupted"}
	case failed != "":
	case exit == codes.Usage:
		return fmt.Errorf("%s: the session was refused, see above: mend it and call again; in %s may be a session of another time, then remove it", commit, dir)
	case exit == codes.Overtaken:
		return fmt.Errorf("%s: another driver has the session in %s: call again when it is over", commit, dir)
	}
	c, err := readCase(dir, o.Case)
	if err == nil && failed == "" && c.AB != nil && !c.AB.Compares(good.ID, commit.ID) {
		return fmt.Errorf("%s: %s holds a session of %s, and not of this commit and %.10s: remove it, or builds.*.commit from the config", commit, dir, c.AB.Commits(), good.ID)
	}
	broken := failed == "" && (exit == codes.Infra || c.ExitCode == codes.Infra)
	switch {
	case failed != "":
		o.add(next, dir, nil, failed)
	case err != nil: // the run did not come to a report
		o.add(next, dir, nil, err.Error())
	default:
		o.take(next, dir, c, broken)
	}
	o.Last = o.Now().UTC()
	t := &o.Trials[len(o.Trials)-1]
	t.Infra = broken
	fmt.Fprintf(o.Out, "   %s\n", plain.Inert(plain.Line(o.told(*t)))) // it may hold a line of a job
	f := o.search().Found(o.Confidence)
	fmt.Fprintf(o.Out, "   %s\n", o.words(f))
	return o.write(f)
}

// take takes in the session of a commit, which the infrastructure has broken or not.
func (o *Options) take(at int, dir string, c report.CaseReport, broken bool) {
	if !broken && measured(c) {
		o.add(at, dir, c.AB, "")
		return
	}
	o.add(at, dir, nil, cmp.Or(strings.TrimSpace(c.Message), "the session says nothing"))
	o.Trials[len(o.Trials)-1].Skipped = !broken && c.AB != nil && c.AB.Verdict == paired.Failed
}

// measured reports whether a session gave pairs that say how slow the commit is: one that head's own failures ended did
// not, whatever it measured before.
func measured(c report.CaseReport) bool {
	return c.AB != nil && (len(c.AB.Used) > 0 || c.AB.Verdict == "") && c.AB.Verdict != paired.Failed
}

// forecast says what the search is expected to take.
func (o *Options) forecast() {
	fmt.Fprintf(o.Out, "%s: %d commits between %s and %s\n", o.Case, len(o.Commits)-1, o.Commits[0], o.Commits[len(o.Commits)-1])
	if len(o.Trials) > 0 {
		fmt.Fprintf(o.Out, "goes on after %d measurements (%s)\n", len(o.Trials), o.Dir)
		return
	}
	const step, within, draws = 0.03, 0.007, 100
	e := Expect(Search{Candidates: len(o.Commits) - 1, MinEffect: 0.02}, step, within, o.Confidence, draws)
	fmt.Fprintf(o.Out, "expected: %s; in nine of ten cases at most %s\n", o.cost(e.Mean), o.cost(e.Most))
	fmt.Fprintf(o.Out, "(for a change of %.0f %%, where runs on one machine differ by %.1f %%; %.0f of 100 such searches end with the right commit)\n", 100*step, 100*within, 100*e.Right)
}

// cost is what a search takes, in words.
func (o *Options) cost(c Cost) string {
	runs := 2*c.Pairs + warmups*c.Trials
	out := fmt.Sprintf("%.0f measurements, %.0f runs", math.Ceil(c.Trials), math.Ceil(runs))
	if o.GPUHours > 0 {
		out += fmt.Sprintf(", %.1f GPU-hours at most", runs*o.GPUHours)
	}
	return out
}

// ask tells a person what to measure next.
func (o *Options) ask(next int) {
	fmt.Fprintf(o.Out, `next: %s (%d of %d)
measure it against %.10s, and say so with --measured RUN_DIR:
  ci-disagg run --ab --case '%s' --ab-base-commit %s --commit %s …
With {commit} in builds.head (source, image, install) or with builds.make this is done by itself.
`, o.Commits[next], next, len(o.Commits)-1, o.Commits[0].ID, o.Case, o.Commits[0].ID, o.Commits[next].ID)
}

// earlier says that nothing was measured for what is told next.
func (o *Options) earlier() {
	when := ""
	if !o.Last.IsZero() {
		when = " of " + o.Last.Format("2006-01-02 15:04 UTC")
	}
	fmt.Fprintf(o.Out, "an earlier result%s, nothing was measured now; to search anew remove %s, or give another --dir\n", when, o.Dir)
}

// end tells what was found.
func (o *Options) end(f Found) error {
	fmt.Fprintf(o.Out, "%s\nreport: %s\n", o.words(f), filepath.Join(o.Dir, ReportFile))
	return o.write(f)
}

// differences are those of the pairs of a series, in logs, above 0 where the newer build is slower.
func differences(f ab.Found) []float64 {
	sign := 1.0
	if f.Better == "higher" {
		sign = -1
	}
	var out []float64
	for _, v := range f.Values {
		out = append(out, sign*math.Log(v[1]/v[0]))
	}
	return out
}
