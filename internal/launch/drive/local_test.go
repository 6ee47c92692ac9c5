package drive

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestLocalPassAndFail(t *testing.T) {
	t.Parallel()
	o := testOptions(t, rundir.BackendLocal)
	told := filepath.Join(t.TempDir(), "told") // or the phase could be over between two looks
	addCase(&o, "good", goodServer, clientUntil(told))
	addCase(&o, "m.py::f[bad]", "sleep 0.3; echo 'ValueError: no'; exit 1", hangClient)
	var seen updates
	var out bytes.Buffer
	o.Console = &out
	o.Progress = func(u Update) {
		seen.add(u)
		if u.Kind == PhaseNow && u.Slug == "good" && strings.Contains(u.Text, "benchmark") {
			touch(t, told)
		}
	}
	run, err := Run(context.Background(), o)
	require.NoError(t, err, seen.String())
	require.NotNil(t, run.Ended)
	good := outcomeOf(t, o.Dir, "good", 0, 1)
	require.Equal(t, rundir.OutcomePassed, good.Outcome, seen.String())
	bad := outcomeOf(t, o.Dir, rundir.Slug("m.py::f[bad]"), 0, 1)
	require.Equal(t, rundir.OutcomeTestFailed, bad.Outcome, seen.String())
	require.NotNil(t, bad.Finding)
	require.Equal(t, "GEN_0", bad.Finding.Root)
	require.Less(t, bad.Ended.Sub(*bad.Started), ample, "well before the client's end")
	require.True(t, seen.has(PhaseNow, "benchmark"), seen.String())
	require.Contains(t, "\n"+out.String(), "\nbad | ", "a case goes by what stands in its brackets")
	noProcesses(t, o.Dir)
	for _, c := range run.Cases {
		require.Equal(t, rundir.CaseDone, c.State)
	}
}

// The password of the baseline store is not a job's business.
func TestLocalJobsDoNotSeeTheStore(t *testing.T) {
	t.Parallel()
	o := testOptions(t, rundir.BackendLocal)
	o.Environ = append(o.Environ, "CI_DISAGG_STORE=postgres://u:planted@h/db", "PGPASSWORD=planted", "PGPASSFILE=/planted", "PGSERVICEFILE=/planted", "OTHER=seen")
	addCase(&o, "c", goodServer, `env > "$CI_DISAGG_RUN/output/env.txt"; `+goodClient)
	_, err := Run(context.Background(), o)
	require.NoError(t, err)
	env, err := os.ReadFile(filepath.Join(o.Dir.CaseDir("c").Attempt(0, 1).Run(0).Output(), "env.txt"))
	require.NoError(t, err)
	require.Contains(t, string(env), "OTHER=seen")
	require.NotContains(t, string(env), "planted")
}

func TestLocalInterrupt(t *testing.T) {
	t.Parallel()
	o := testOptions(t, rundir.BackendLocal)
	addCase(&o, "long", hangServer, hangClient)
	var seen updates
	o.Progress = seen.add
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { _, err := Run(ctx, o); done <- err }()
	require.Eventually(t, func() bool { return seen.has(Role, "BENCHMARK running") || seen.has(Role, "BENCHMARK ready") }, ample, 20*time.Millisecond, "never ran")
	cancel(&Interrupted{Signal: syscall.SIGTERM})
	select {
	case err := <-done:
		require.True(t, isInterrupted(err), "%v", err)
	case <-time.After(2 * ample):
		t.Fatal("no end\n" + seen.String())
	}
	require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, o.Dir, "long", 0, 1).Outcome, seen.String())
	require.NotNil(t, jobOf(t, o.Dir, "long", 0, 1).Cancel)
	noProcesses(t, o.Dir)
}

// Two shards under one build tag and run directory: the second must not be given
// the first one's result.
func TestARunOfOtherCasesIsNotTakenUp(t *testing.T) {
	t.Parallel()
	first := testOptions(t, rundir.BackendLocal)
	second := first
	addCase(&first, "a", goodServer, goodClient)
	addCase(&first, "b", goodServer, goodClient)
	first.Run.Build = rundir.Build{Commit: "abc", URL: "u/1"}
	first.Keep = []rundir.File{{Path: "ci-disagg.yaml", Data: []byte("ours"), Mode: rundir.FileMode}}
	run, err := Run(context.Background(), first)
	require.NoError(t, err)
	for _, ids := range [][]string{{"c", "d"}, {"a"}, {"a", "b", "c"}} {
		o := second
		for _, id := range ids {
			addCase(&o, id, goodServer, goodClient)
		}
		_, err := Run(context.Background(), o)
		var other *runs.OtherRunError
		require.ErrorAs(t, err, &other, "%v", ids)
		require.Contains(t, err.Error(), "has other cases")
		held, err := lease.Read(o.Dir.LeaseFile())
		require.NoError(t, err)
		require.NotNil(t, held.Released)
	}
	for what, change := range map[string]func(*Options){
		"is of commit abc, not of def": func(o *Options) { o.Run.Build.Commit = "def" },
		"is of build u/1, not of u/2":  func(o *Options) { o.Run.Build.URL = "u/2" },
		"has another plan for b":       func(o *Options) { o.Plans[1].Nodes++ },
	} {
		o := first
		o.Plans, o.Keep = slices.Clone(first.Plans), []rundir.File{{Path: "ci-disagg.yaml", Data: []byte("another")}}
		change(&o)
		_, err := Run(context.Background(), o)
		require.ErrorAs(t, err, new(*runs.OtherRunError))
		require.ErrorContains(t, err, what)
	}
	config, err := os.ReadFile(string(first.Dir) + "/ci-disagg.yaml")
	require.NoError(t, err)
	require.Equal(t, "ours", string(config), "what a run was made from is written by its driver only")
	kept, _, err := runs.Load(first.Dir)
	require.NoError(t, err)
	require.Equal(t, run.Cases, kept.Cases)
	_, err = Run(context.Background(), first)
	require.NoError(t, err, "the same run again")
	_, err = resume(context.Background(), second)
	require.NoError(t, err, "resume takes what is there")
}

func TestResumeAfterAnInterruption(t *testing.T) {
	t.Parallel()
	o := testOptions(t, rundir.BackendLocal)
	addCase(&o, "a", goodServer, `[ "${CI_DISAGG_ATTEMPT##*/}" = attempt-1 ] && sleep 1000; `+goodClient)
	addCase(&o, "b", goodServer, goodClient)
	o.MaxJobs = 1
	var seen updates
	o.Progress = seen.add
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { _, err := Run(ctx, o); done <- err }()
	require.Eventually(t, func() bool { return seen.has(PhaseNow, "benchmark") }, ample, 20*time.Millisecond)
	cancel(&Interrupted{Signal: syscall.SIGINT})
	require.True(t, isInterrupted(<-done))
	left, _, err := runs.Load(o.Dir)
	require.NoError(t, err)
	require.Equal(t, int(syscall.SIGINT), left.Interrupted.Signal, "the record tells who ended the run")
	run, err := resume(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, []rundir.Attempt{
		{Attempt: 1, Outcome: "cancelled", Why: "first", Due: rundir.DueFirst}, {Attempt: 2, Outcome: "passed", Why: "resumed; the attempt before was interrupted: interrupt", Due: rundir.DueResumed},
	}, run.Cases[0].Attempts)
	require.Equal(t, rundir.OutcomePassed, run.Cases[1].Attempts[0].Outcome)
	left, _, err = runs.Load(o.Dir)
	require.NoError(t, err)
	require.Nil(t, left.Interrupted, "somebody went on with it")
	// And once more: nothing is left to do.
	again, err := resume(context.Background(), o)
	require.NoError(t, err)
	require.Len(t, again.Cases[0].Attempts, 2)
}
