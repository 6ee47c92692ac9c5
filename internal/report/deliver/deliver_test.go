package deliver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/confirm"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/notify"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/archive"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
	"github.com/stretchr/testify/require"
)

// What a job writes into the run's record about its mode does not make it a nightly's.
func TestARewrittenRecordIsNotStored(t *testing.T) {
	t.Parallel()
	store, err := baseline.Create(t.Context(), "dir:"+t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	r := &Reporter{Driven: true, Mode: baseline.ModePR, Options: builder.Options{Setup: judging.Setup{Store: store}}}
	rec := baseline.Record{Kind: baseline.KindRun, Case: "c", Run: "r", Build: rundir.Build{Mode: baseline.ModeNightly, Branch: "main"}}
	err = r.save(t.Context(), []baseline.Record{rec})
	require.ErrorIs(t, err, trust.ErrStored)
	require.ErrorContains(t, err, "run.json says that this is a nightly run, and it was started as pr")
	_, err = store.Each(t.Context(), baseline.Filter{}, func(r baseline.Record) error { return fmt.Errorf("%s was stored", r.Run) })
	require.NoError(t, err)
}

// A driver that is killed before it has stored what a nightly has measured leaves that behind: no report passes until
// it is.
func TestARunIsNotStoredFromItsBeginning(t *testing.T) {
	t.Parallel()
	store, err := baseline.Create(t.Context(), "dir:"+t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	for _, c := range []struct {
		mode  string
		setup judging.Setup
		owed  bool
	}{
		{baseline.ModeNightly, judging.Setup{Store: store}, true},
		{baseline.ModeNightly, judging.Setup{StoreErr: errors.New("away")}, true},
		{baseline.ModeNightly, judging.Setup{}, false},
		{baseline.ModeNightly, judging.Setup{Store: store, Policy: verdict.Policy{FunctionalOnly: true}}, false},
		{baseline.ModePR, judging.Setup{Store: store}, false},
		{baseline.ModeReference, judging.Setup{Store: store}, false},
	} {
		r := New(rundir.Dir(t.TempDir()), builder.Options{Setup: c.setup})
		r.Warn = t.Output()
		r.Owe(rundir.Build{Mode: c.mode})
		d := builder.Decided{Records: []baseline.Record{{Kind: baseline.KindRun, Case: "c", Run: "r", Build: rundir.Build{Mode: c.mode, Branch: "main"}}}}
		require.Equal(t, c.owed, r.stored(t.Context(), d, false) != nil, "%s %+v", c.mode, c.setup)
		open := builder.Decided{Run: report.Run{Run: rundir.Run{Cases: []rundir.CaseState{{State: rundir.CaseDone}, {State: rundir.CaseWaiting}}}}}
		require.NoError(t, r.stored(t.Context(), open, true), "what is there is stored")
		require.Equal(t, c.owed, r.stored(t.Context(), d, false) != nil, "a case is still to come: %s %+v", c.mode, c.setup)
		require.NoError(t, r.stored(t.Context(), builder.Decided{}, true), "once all of it is stored")
		require.NoError(t, r.stored(t.Context(), d, false))
	}
}

// However many records a store refuses, a report says it in one line.
func TestManyRecordsThatAreNotStoredAreOneLine(t *testing.T) {
	t.Parallel()
	one := errors.New("a record cannot be stored")
	require.Equal(t, one.Error(), builder.InALine(one))
	require.Equal(t, "a record cannot be stored; a record cannot be stored; a record cannot be stored; and 2 more", builder.InALine(errors.Join(one, one, one, one, one)))
}

// A job that puts a link in the place of the report's directory takes no note away of what is not stored.
func TestWhatIsNotStoredIsNotedBehindALink(t *testing.T) {
	t.Parallel()
	d := builder.Decided{Records: []baseline.Record{{Kind: baseline.KindRun, Case: "c", Run: "r"}}}
	d.Run.Run = rundir.Run{ID: "r", Build: rundir.Build{Mode: baseline.ModeNightly}}
	for name, begins := range map[string]func(*Reporter) error{
		"at its end":     func(r *Reporter) error { return r.stored(t.Context(), d, true) },
		"from its begin": func(r *Reporter) error { r.Owe(d.Run.Build); return errors.New("not stored") },
	} {
		dir := rundir.Dir(t.TempDir())
		require.NoError(t, os.Symlink(t.TempDir(), dir.Report()))
		r := New(dir, builder.Options{Setup: judging.Setup{StoreErr: errors.New("away")}})
		r.Out, r.Warn, r.Driven = t.Output(), t.Output(), true
		err := begins(r)
		require.Error(t, err, name)
		require.Error(t, r.publish(d, err), name)
		again := New(dir, builder.Options{})
		require.Error(t, again.stored(t.Context(), d, false), name)
	}
}

// Nor one that puts something else in the place of the note itself.
func TestWhatStandsInThePlaceOfTheNoteIsNoPass(t *testing.T) {
	t.Parallel()
	d := builder.Decided{Records: []baseline.Record{{Kind: baseline.KindRun, Case: "c", Run: "r"}}}
	d.Run.Run = rundir.Run{ID: "r", Build: rundir.Build{Mode: baseline.ModeNightly}}
	dir := rundir.Dir(t.TempDir())
	mark := filepath.Join(dir.Report(), notStoredFile)
	require.NoError(t, os.MkdirAll(filepath.Join(mark, "full"), 0o755))
	again := New(dir, builder.Options{})
	require.ErrorContains(t, again.stored(t.Context(), d, false), "cannot be read")
	r := New(dir, builder.Options{Setup: judging.Setup{StoreErr: errors.New("away")}})
	r.Warn, r.Driven = t.Output(), true
	require.Error(t, r.stored(t.Context(), d, true))
	require.EqualError(t, again.stored(t.Context(), d, false), "away")
	require.NoError(t, os.WriteFile(mark, make([]byte, 2<<20), 0o644))
	require.ErrorContains(t, again.stored(t.Context(), d, false), "cannot be read")
	require.NoError(t, os.Remove(mark))
	require.NoError(t, os.MkdirAll(filepath.Join(mark, "full"), 0o755))
	pr := d
	pr.Run.Build.Mode = baseline.ModePR
	require.NoError(t, again.stored(t.Context(), pr, false), "nobody will miss it")
	r.Options.Setup, r.Mode = judging.Setup{}, baseline.ModeNightly
	require.NoError(t, r.stored(t.Context(), d, true))
	require.NoError(t, again.stored(t.Context(), d, false), "all of it is stored")
}

// A signal while regressions are measured again takes no alarm away: people are told of what the run itself has found.
func TestInterruptedConfirmationTellsOfTheAlarm(t *testing.T) {
	t.Parallel()
	told := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told <- struct{}{} }))
	defer server.Close()
	dir := rundir.Dir(t.TempDir())
	require.NoError(t, os.MkdirAll(dir.Report(), 0o755))
	row := verdict.Row{Metric: "ttft_median_ms", Gate: true, Verdict: verdict.Regression, Finding: verdict.Finding{Alarm: true}}
	red := report.CaseReport{ID: "c", Decision: report.Ending(exit.Regression), Measurement: report.Measurement{Metrics: []verdict.Row{row}}}
	d := builder.Decided{Cases: []report.CaseReport{red}}
	d.Run.Run = rundir.Run{ID: "r", Build: rundir.Build{Mode: baseline.ModeNightly}}
	r := New(dir, builder.Options{})
	r.Driven, r.Notify, r.Out, r.Warn = true, notify.Hook{URL: server.URL}, t.Output(), t.Output()
	r.Confirm = func(_ context.Context, cases []report.CaseReport) ([]confirm.Result, int, error) {
		require.Len(t, cases, 1)
		require.Empty(t, told)
		return nil, 143, nil
	}
	var end *exit.Error
	require.ErrorAs(t, r.confirm(t.Context(), d, nil, nil), &end)
	require.Equal(t, 143, end.Code)
	require.Len(t, told, 1)
	var written report.Report
	require.NoError(t, rundir.ReadJSON(filepath.Join(dir.Report(), rundir.ReportVerdict), &written))
	require.Equal(t, 143, written.ExitCode)
}

// Where the copy fails, be it the first or a later one, all of it that says how the run ended says what the exit code
// does.
func TestACopyThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	d := builder.Decided{Cases: []report.CaseReport{{ID: "c", Decision: report.Ending(exit.Passed)}}}
	d.Run.Run = rundir.Run{ID: "r", Build: rundir.Build{Mode: baseline.ModePR}}
	for _, published := range []bool{false, true} {
		r := New(rundir.Dir(t.TempDir()), builder.Options{})
		r.CopyTo, r.Out, r.Warn = t.TempDir(), t.Output(), t.Output()
		said := func(name string) string {
			data, err := os.ReadFile(filepath.Join(r.CopyTo, name))
			require.NoError(t, err)
			return string(data)
		}
		if published {
			r.Leave(d)
			require.Contains(t, said(archive.ResultFile), `"exit_code": 0`)
		}
		huge := filepath.Join(r.Dir.Report(), "zz.core") // can be copied as little as where no room is
		require.NoError(t, os.MkdirAll(r.Dir.Report(), 0o755))
		require.NoError(t, os.WriteFile(huge, nil, 0o600))
		require.NoError(t, os.Truncate(huge, 3<<30))
		var end *exit.Error
		require.ErrorAs(t, r.publish(d, nil), &end)
		require.Equal(t, exit.Infra, end.Code)
		require.Contains(t, said("report/verdict.json"), `"exit_code": 3`, published)
		require.Contains(t, said("report/summary.md"), "exit 3", published)
		require.Contains(t, said("report/junit.xml"), "not-written", published)
		require.Contains(t, said("report/index.html"), "could not be written", published)
		require.Contains(t, said(archive.ResultFile), `"exit_code": 3`, published)
	}
}
