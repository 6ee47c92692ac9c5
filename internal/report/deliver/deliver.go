// Package deliver brings the report of a run to those who wait for it: it is decided, measurements join the history,
// files are written and copied, the console says how the run ended, and the verb ends with the report's exit code.
//
// In: a session of a run directory. Out: the report's files, and an error with the exit code of package exit. What went
// wrong in delivering hides no proven failure and leaves no pass.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/confirm"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/notify"
	"github.com/ci-disagg/ci-disagg/internal/report/publish"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/archive"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

// StoreTimeout bounds everything that is asked of the baseline store.
const StoreTimeout = 2 * time.Minute

// interruptedTimeout bounds the partial report of an interrupted run: Jenkins
// gives an aborted process about five seconds.
const interruptedTimeout = 10 * time.Second

// Reporter delivers the report of one run directory.
type Reporter struct {
	*builder.Builder
	Dir     rundir.Dir
	Options builder.Options // of the session
	CopyTo  string          // a copy of the report goes there; "" = none
	Pages   string          // web address under which the build server keeps that copy; "" = not known
	Mode    string          // of the run, as it was started
	Driven  bool            // the run has just been driven: what cannot be read now is no mistake of the user's

	// Confirm measures the regressions of these cases again before people are told of them, nil = nobody does. stopped is
	// the exit code of a signal that ended that.
	Confirm func(ctx context.Context, cases []report.CaseReport) (found []confirm.Result, stopped int, err error)

	Notify notify.Hook // who is told of what a driven run has newly found

	Out, Warn io.Writer
	Style     publish.Style // of the console

	owed string // why what was measured is not stored, though it must be; "" = it is, or need not be
}

// New is a reporter of a run directory.
func New(dir rundir.Dir, o builder.Options) *Reporter {
	return &Reporter{Builder: builder.New(dir, o), Dir: dir, Options: o}
}

// Close closes the store.
func (r *Reporter) Close() { r.Options.Setup.Close() }

// Finish writes the report, prints its end and gives the exit code. With save,
// what was measured joins the baseline's history. Without, a run that could not be
// stored is still not.
func (r *Reporter) Finish(ctx context.Context, save bool) error {
	ask, cancel := context.WithTimeout(ctx, StoreTimeout)
	defer cancel()
	d, err := r.decide(ask, 0)
	if err != nil {
		if r.Driven {
			return exit.ByInfra(err)
		}
		return exit.ByUser(err)
	}
	notStored := r.stored(ask, d, save)
	if notStored != nil {
		d.Run.NotStored = builder.InALine(notStored)
		notStored = fmt.Errorf("not stored: %w", notStored)
	}
	err = r.publish(d, notStored)
	if r.Confirm != nil && slices.ContainsFunc(d.Cases, regressed) {
		return r.confirm(ctx, d, notStored, err)
	}
	r.tell(ctx, d)
	return err
}

func regressed(c report.CaseReport) bool { return c.Result == report.ResultRegression }

// confirm has the regressions measured again, and publishes once more what is decided, in the light of that. end is how
// the run ended before. Whatever becomes of it, people are told of what they are to know.
func (r *Reporter) confirm(ctx context.Context, d builder.Decided, notStored, end error) error {
	found, stopped, err := r.Confirm(ctx, d.Cases)
	if stopped != 0 {
		r.tell(ctx, d)
		d.Run.Interrupted = stopped - exit.Signal // its cases were over: they stay as they are decided
		return r.publish(d, notStored)
	}
	if err != nil {
		fmt.Fprintf(r.Warn, "ci-disagg: warning: the regressions could not be confirmed: %v\n", err)
	}
	if len(found) > 0 {
		d.Confirm(found)
		end = r.publish(d, notStored)
	}
	r.tell(ctx, d)
	return end
}

// Leave writes the report of what is decided as long as something is still to come. Nobody is told, and that it cannot
// be written is told in the end.
func (r *Reporter) Leave(d builder.Decided) {
	r.place(&d)
	quiet := *r
	quiet.Out, quiet.Warn = io.Discard, io.Discard
	_ = quiet.publish(d, nil)
}

func (r *Reporter) decide(ctx context.Context, interrupted int) (builder.Decided, error) {
	d, err := r.Decide(ctx, interrupted)
	r.place(&d)
	return d, err
}

// place says where people find the run's files: on the build server, if they are kept there.
func (r *Reporter) place(d *builder.Decided) {
	d.Run.Pages = r.Pages
	if !r.Dir.Shared() {
		d.Run.Advice.Pages = r.Pages
	}
}

// notifiedFile says that people were told of the run: one that is taken up again does not tell them again.
const notifiedFile = "notified"

// tell tells people what the run has newly found. That they cannot be told is a warning.
func (r *Reporter) tell(ctx context.Context, d builder.Decided) {
	if !r.Driven || r.Notify.URL == "" {
		return
	}
	tree, err := r.Dir.Tree()
	if err != nil {
		return // the report says so already
	}
	defer func() { _ = tree.Close() }()
	mark := filepath.Join(r.Dir.Report(), notifiedFile)
	if tree.Has(mark) {
		return
	}
	decided := fault.Decide(d.Run, d.Cases)
	if _, found := notify.Of(decided, r.Notify.Owners); !found {
		return
	}
	if err = r.Notify.Send(ctx, decided); err == nil {
		err = tree.WriteFile(mark, nil, rundir.FileMode)
	}
	if err != nil {
		fmt.Fprintf(r.Warn, "ci-disagg: warning: %v\n", err)
	}
}

// Interrupted writes what there is; the exit code is that of the signal by which the run ended.
func (r *Reporter) Interrupted(signal, code int, by error) error {
	ctx, cancel := context.WithTimeout(context.Background(), interruptedTimeout)
	defer cancel()
	d, err := r.decide(ctx, signal)
	if err != nil {
		return &exit.Error{Code: code, Err: errors.Join(by, err)}
	}
	err = r.publish(d, nil)
	var end *exit.Error
	if errors.As(err, &end) {
		err = end.Err // the signal decides the code, whatever became of the report
	}
	return &exit.Error{Code: code, Err: err}
}

// notStoredFile says why the run's measurements could not be stored, until they are.
const notStoredFile = "not-stored"

// Owe notes of a run that begins that what it measures has yet to be stored, where that must be: a driver that is
// killed before has said so.
func (r *Reporter) Owe(b rundir.Build) {
	setup := r.Options.Setup
	if setup.Store == nil && setup.StoreErr == nil || b.Mode == baseline.ModeReference || !report.MustBeStored(b, setup.Policy.FunctionalOnly) {
		return
	}
	if tree, err := r.Dir.Tree(); err == nil { // else the run ends by that
		defer func() { _ = tree.Close() }()
		r.owed = "whoever drove this run had not stored what it measured"
		r.note(tree)
	}
}

// note leaves in the run's directory what is owed, in the place of whatever the jobs have put there.
func (r *Reporter) note(tree *rundir.Tree) {
	mark := filepath.Join(r.Dir.Report(), notStoredFile)
	err := tree.WriteFile(mark, []byte(r.owed), rundir.FileMode)
	if err != nil && tree.RemoveAll(mark) == nil {
		err = tree.WriteFile(mark, []byte(r.owed), rundir.FileMode)
	}
	if err != nil {
		fmt.Fprintf(r.Warn, "ci-disagg: warning: %v\n", err)
	}
}

// stored is why the measurements are not in the history, though they were to be: with save now, else when that was
// tried last.
func (r *Reporter) stored(ctx context.Context, d builder.Decided, save bool) (err error) {
	if save {
		err = r.save(ctx, d.Records)
	}
	tree, gone := r.Dir.Tree()
	if gone != nil {
		return err // the report says so already
	}
	defer func() { _ = tree.Close() }()
	mark := filepath.Join(r.Dir.Report(), notStoredFile)
	missed := !d.Run.Advice.NoStore && report.MustBeStored(d.Run.Build, d.Run.Advisory)
	switch {
	case err != nil && missed:
		r.owed = builder.InALine(err)
		r.note(tree)
	case err != nil: // nobody will miss it
	case save && slices.ContainsFunc(d.Run.Cases, builder.GoesOn): // what is still to come is owed
	case save:
		r.owed = ""
		if left := tree.RemoveAll(mark); left != nil { // most have none
			fmt.Fprintf(r.Warn, "ci-disagg: warning: %v\n", left)
		}
	case len(d.Records) > 0:
		why, unread := tree.ReadFile(mark, 1<<20)
		switch {
		case unread == nil:
			return errors.New(string(why))
		case missed && !errors.Is(unread, fs.ErrNotExist):
			return fmt.Errorf("whether the measurements were stored cannot be read: %w", unread)
		}
	}
	return err
}

// save stores the measurements, where a store is configured or somebody asks for
// one.
func (r *Reporter) save(ctx context.Context, records []baseline.Record) error {
	setup := r.Options.Setup
	if len(records) == 0 || r.Driven && setup.Store == nil && setup.StoreErr == nil {
		return nil
	}
	for _, rec := range records {
		own := rec.Build.Mode == baseline.ModeSession && r.Mode == baseline.ModeNightly
		if r.Driven && !own && rec.Build.Mode != r.Mode { // the jobs can write the run's record
			return fmt.Errorf("run.json says that this is a %s run, and it was started as %s: %w", rec.Build.Mode, r.Mode, trust.ErrStored)
		}
	}
	return setup.Save(ctx, records...)
}

// publish writes all files of the report, says on the console how the run ended,
// and ends with its exit code. A file that cannot be written is infrastructure,
// and a measurement that could not be stored is no verdict: neither hides a
// proven failure, and neither leaves a pass.
func (r *Reporter) publish(d builder.Decided, notStored error) error {
	rep, err := r.Write(&d)
	if err != nil && r.owed != "" { // the note went with what stood in the place of the report's directory
		if tree, gone := r.Dir.Tree(); gone == nil {
			r.note(tree)
			_ = tree.Close()
		}
	}
	if r.CopyTo != "" {
		if copied := archive.Copy(r.CopyTo, r.Dir, rep, r.Options.Mask); copied != nil {
			rep, copied = r.Unwritten(&d, "--copy-report", copied)
			err = errors.Join(err, copied)
			_ = archive.Tell(r.CopyTo, r.Dir, rep, r.Options.Mask) // else the copy does not say how the run ended
		}
	}
	fmt.Fprint(r.Out, publish.Console(rep, r.Dir.Report(), r.Style))
	return exit.With(r.Warn, rep.ExitCode, errors.Join(notStored, err))
}
