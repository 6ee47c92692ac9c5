package submit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func rows(partition string, names ...string) []slurm.NodeRow {
	var out []slurm.NodeRow
	for _, n := range names {
		out = append(out, slurm.NodeRow{Name: n, Partition: partition, Default: partition == "batch", Usable: true})
	}
	return out
}

func TestChooseExclusions(t *testing.T) {
	t.Parallel()
	known := rows("batch", "a", "b", "c", "d")
	got, warned := chooseExclusions([]string{"a", "gone"}, []string{"b", "a"}, known, "", 2, nil)
	require.Equal(t, []string{"a", "b"}, got)
	require.Len(t, warned, 1)
	got, warned = chooseExclusions([]string{"a", "b", "c"}, []string{"d"}, known, "batch", 2, nil)
	require.Equal(t, []string{"a", "b"}, got, "enough must remain")
	require.Len(t, warned, 2)
	got, _ = chooseExclusions([]string{"x"}, nil, nil, "", 2, nil)
	require.Equal(t, []string{"x"}, got, "without a list, sbatch has the last word")

	// What does not run this job is not left for it: other partitions, and what is down.
	known = append(known, rows("big", "e", "f", "g")...)
	known[3].Usable = false
	got, warned = chooseExclusions([]string{"a", "b"}, nil, known, "", 2, nil)
	require.Equal(t, []string{"a"}, got)
	require.Len(t, warned, 1)
	got, _ = chooseExclusions([]string{"a", "d", "b"}, nil, known, "other,big", 3, nil)
	require.Equal(t, []string{"a", "b", "d"}, got, "none of them would have been used")
	got, _ = chooseExclusions([]string{"d"}, nil, known, "", 3, nil)
	require.Equal(t, []string{"d"}, got, "a node that is down takes nothing away")
}

// A node that a repetition was only to avoid is no bad node for others.
func TestAvoidedNodesAreKeptApart(t *testing.T) {
	t.Parallel()
	s := New(Settings{Backend: rundir.BackendSlurm}, nil)
	s.nodes = rows("batch", "a", "b", "c", "d")
	var res Submitted
	plan := rundir.Plan{Allocation: rundir.Allocation{Nodes: 1}}
	s.exclude(context.Background(), Order{Plan: plan, Bad: []string{"a"}, Avoid: []string{"a", "b"}}, &res)
	require.Equal(t, []string{"a", "b"}, res.Job.Excluded)
	require.Equal(t, []string{"b"}, res.Job.Avoided)

	// A plan's own, in every attempt, as far as enough others are left.
	plan.Avoid = []string{"c", "b", "d"}
	s.exclude(context.Background(), Order{Plan: plan, Bad: []string{"a"}}, &res)
	require.Equal(t, []string{"a", "b", "c"}, res.Job.Excluded)
	require.Equal(t, []string{"b", "c"}, res.Job.Avoided)
	require.Equal(t, []string{"node d is not excluded: too few others would remain"}, res.Warnings)
}

// askedOnly is a backend that keeps what it was asked for.
type askedOnly struct {
	jobs.Backend
	got *rundir.Job
}

func (b askedOnly) Submit(_ context.Context, s jobs.Submission) (slurm.Job, error) {
	*b.got = s.Job
	return slurm.Job{ID: "7"}, nil
}

// A submission that has waited for its turn is not over when it begins.
func TestIntentIsDatedWhenItsTurnComes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var asked, written rundir.Job
	dir := rundir.AttemptDir(t.TempDir())
	s := New(Settings{
		Access: runs.Access{Host: host.NewHere(os.Environ()), Now: func() time.Time { return now }}, Backend: rundir.BackendSlurm,
		Render: func(Input) ([]rundir.File, error) { return nil, nil },
		Wanted: func() error { return nil },
		Allow:  func(Order, rundir.Job) error { return rundir.ReadJSON(dir.JobFile(), &written) },
	}, askedOnly{got: &asked})
	s.agent = "agent"
	_, err := s.Submit(context.Background(), Order{Dir: dir, There: dir, Job: rundir.Job{Name: "cid-x", Intent: now.Add(-10 * time.Minute)}}, s.Turn())
	require.NoError(t, err)
	for _, j := range []rundir.Job{asked, written} {
		require.Less(t, now.Add(time.Minute).Sub(j.Intent), jobs.SubmitBound)
	}
}

// An order that was taken back when the driver was told to stop may have been told as never submitted: who looks for
// jobs that are open must find the one that comes in its place.
func TestWhatIsSubmittedIsOpen(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	attempt := dir.CaseDir("c").Attempt(0, 1)
	require.NoError(t, rundir.WriteJSON(attempt.OutcomeFile(), rundir.AttemptOutcome{Schema: rundir.Schema, Outcome: rundir.OutcomeCancelled}))
	s := New(Settings{
		Access: runs.Access{Host: host.NewHere(os.Environ()), Now: time.Now}, Backend: rundir.BackendSlurm,
		Render: func(Input) ([]rundir.File, error) { return nil, nil },
		Wanted: func() error { return nil }, Allow: func(Order, rundir.Job) error { return nil },
	}, askedOnly{got: new(rundir.Job)})
	s.agent = "agent"
	_, err := s.Submit(context.Background(), Order{Dir: attempt, There: attempt, Job: rundir.Job{Schema: rundir.Schema, Name: "cid-x"}}, s.Turn())
	require.NoError(t, err)
	open, err := runs.Open(dir)
	require.NoError(t, err)
	require.Len(t, open, 1)
}

// 36 MB once per version, not once per run.
func TestRunsShareTheBinary(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	self := filepath.Join(parent, "ci-disagg")
	require.NoError(t, rundir.WriteFile(self, []byte("#!/bin/sh\n"), rundir.ExecMode))
	var infos []os.FileInfo
	for _, id := range []string{"a", "b"} {
		dir := filepath.Join(parent, id)
		s := New(Settings{
			Access: runs.Access{Host: host.NewHere(os.Environ())}, Backend: rundir.BackendSlurm, Far: rundir.Dir(dir),
			Binary: Binary{Path: self, Shared: jobs.SharedBin(parent)},
		}, nil)
		path, err := s.installed(context.Background())
		require.NoError(t, err)
		require.Equal(t, filepath.Join(dir, "bin"), filepath.Dir(path), "each run has a link of its own")
		info, err := os.Stat(path)
		require.NoError(t, err)
		infos = append(infos, info)
	}
	require.True(t, os.SameFile(infos[0], infos[1]))
}

// What nobody wants any more is not written down as a job that may be: its date would be later than the request to end
// the run, and who finds it without a driver would say that the driver died.
func TestWhatIsNotWantedIsNotWrittenDown(t *testing.T) {
	t.Parallel()
	now, ended := time.Now(), errors.New("ended")
	var dated time.Time
	dir := rundir.AttemptDir(t.TempDir())
	s := New(Settings{
		Access: runs.Access{Host: host.NewHere(os.Environ()), Now: func() time.Time { dated = now; return now }}, Backend: rundir.BackendSlurm,
		Render: func(Input) ([]rundir.File, error) { return nil, nil },
		Wanted: func() error {
			require.Equal(t, now, dated, "a request that comes later than this look is later than the date, too")
			return ended
		},
		Allow: func(Order, rundir.Job) error { return nil },
	}, askedOnly{got: new(rundir.Job)})
	s.agent = "agent"
	_, err := s.Submit(context.Background(), Order{Dir: dir, There: dir, Job: rundir.Job{Name: "cid-x"}}, s.Turn())
	require.ErrorIs(t, err, ended)
	require.NoFileExists(t, dir.JobFile())
}
