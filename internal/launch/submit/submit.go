package submit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Settings are the constants of a run's submissions.
type Settings struct {
	runs.Access
	Run     rundir.Run
	Far     rundir.Dir // the run directory as the jobs see it
	Backend string     // rundir.BackendSlurm or rundir.BackendLocal
	// Partition is where jobs go, several separated by commas; "" = the cluster's
	// default.
	Partition string
	Binary    Binary
	// Render makes the files of an attempt directory: job.sh, plan.json, the roles'
	// scripts. It is pure.
	Render func(Input) ([]rundir.File, error)
	// Wanted is asked before it is written down that there may be a job: who reads that goes by its date. Allow is asked
	// right before the submission. Their errors are Submit's.
	Wanted func() error
	Allow  func(Order, rundir.Job) error
}

// Binary is the ci-disagg that runs as agent in the job.
type Binary struct {
	Path string // on this machine: the executable for the job's architecture
	// Dir is the directory behind the login node for everything of ours when
	// there is no shared file system: Dir/bin holds the binary, copied once per
	// checksum, Dir/runs the attempt directories.
	Dir string
	// Shared is the directory here that holds one copy per version for all runs, of which
	// each run has a link: "" = each run has a copy of its own.
	Shared string
}

// Input is what an attempt's files depend on.
type Input struct {
	Plan    rundir.Plan
	Attempt rundir.AttemptDir // as the job sees it
	Agent   string            // path of the ci-disagg binary as the job sees it
	Name    string            // unique job name
	Owner   string            // owner tag
	Exclude []string          // nodes
}

// Order is one attempt that is to be submitted.
type Order struct {
	Case        int // of the run
	Rep, Number int
	Dir, There  rundir.AttemptDir // here, and as the job sees it
	Job         rundir.Job        // with its name, where it had one before
	Plan        rundir.Plan
	Avoid       []string // nodes this attempt had better not get (repetition elsewhere)
	Bad         []string // nodes to keep away from
}

// Submitted is what became of a submission.
type Submitted struct {
	Job      rundir.Job // with name, id and exclusions
	Warnings []string
}

// Text says in words what was submitted.
func Text(j rundir.Job) string {
	if j.Backend == rundir.BackendLocal {
		return "started here, agent process " + j.ID
	}
	text := "job " + j.ID + " submitted"
	if j.Routed != "" {
		text += " to cluster " + j.Routed
	}
	if len(j.Excluded) > 0 {
		text += fmt.Sprintf(", kept away from %v", j.Excluded)
	}
	return text
}

// Submitter submits attempts, one after the other, in suite order: a burst of
// submissions is what slurmctld's rate limit is for.
type Submitter struct {
	set  Settings
	back jobs.Backend

	last chan struct{} // closed when the submission ordered last has ended; the owner's

	mu    sync.Mutex      // held by whoever submits
	agent string          // path of the binary there, "" = not installed yet
	nodes []slurm.NodeRow // of the cluster, nil = not asked yet
}

// New is a Submitter for a backend.
func New(set Settings, back jobs.Backend) *Submitter { return &Submitter{set: set, back: back} }

// Turn is a place in the order of submissions.
type Turn struct{ before, mine chan struct{} }

// Turn takes the next place. Its caller is the one who knows the order.
func (s *Submitter) Turn() Turn {
	t := Turn{before: s.last, mine: make(chan struct{})}
	s.last = t.mine
	return t
}

// Submit renders, writes, copies and submits one attempt, when it is its turn.
func (s *Submitter) Submit(ctx context.Context, o Order, t Turn) (Submitted, error) {
	defer close(t.mine)
	if t.before != nil {
		<-t.before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	res := Submitted{Job: o.Job}
	res.Job.Host = lease.HostName()
	if res.Job.Name == "" {
		res.Job.Name = jobs.Name(s.set.Run, o.Plan.Case.Slug, o.Rep, o.Number)
	}
	err := s.try(ctx, o, &res)
	return res, err
}

// try submits once, and once more without the nodes to keep away from, should the
// cluster not know one of them.
func (s *Submitter) try(ctx context.Context, o Order, res *Submitted) error {
	secrets, err := jobs.Secrets(o.Plan, s.set.Environ)
	if err != nil {
		return err
	}
	agent, err := s.installed(ctx)
	if err != nil {
		return err
	}
	s.exclude(ctx, o, res)
	for {
		if err := s.prepare(ctx, o, agent, &res.Job); err != nil {
			return err
		}
		if err := s.set.Allow(o, res.Job); err != nil {
			return err
		}
		id, err := s.back.Submit(ctx, jobs.Submission{Job: res.Job, Local: o.Dir, There: o.There, Agent: agent, Secret: secrets})
		if err == nil {
			now := s.set.Now()
			res.Job.ID, res.Job.Routed, res.Job.Submitted = id.ID, id.Cluster, &now
			return rundir.WriteJSON(o.Dir.JobFile(), res.Job)
		}
		var refused *slurm.CallError
		if !errors.As(err, &refused) || !refused.InvalidNode() || len(res.Job.Excluded) == 0 {
			return err
		}
		res.Warnings = append(res.Warnings, "a node to keep away from is unknown to the cluster; none is excluded")
		res.Job.Excluded, res.Job.Avoided = nil, nil
	}
}

// prepare writes the attempt directory: the files, then the intent, which it dates.
// After this call a job may exist under the name on disk.
func (s *Submitter) prepare(ctx context.Context, o Order, agent string, j *rundir.Job) error {
	files, err := s.set.Render(Input{Plan: o.Plan, Attempt: o.There, Agent: agent, Name: j.Name, Owner: j.Owner, Exclude: j.Excluded})
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	paths := make([]string, 0, len(files))
	for _, f := range files {
		if !filepath.IsLocal(f.Path) {
			return fmt.Errorf("rendered file %q leads out of the attempt directory", f.Path)
		}
		if err := rundir.WriteFile(filepath.Join(string(o.Dir), f.Path), f.Data, f.Mode); err != nil {
			return err
		}
		paths = append(paths, f.Path)
	}
	if !s.set.Host.Shared() {
		if err := s.set.Host.Push(ctx, string(o.Dir), string(o.There), paths); err != nil {
			return err
		}
	}
	j.Intent = s.set.Now() // not when it was ordered: others may have been submitted first, for minutes
	if err := s.set.Wanted(); err != nil {
		return err
	}
	// An earlier order of the attempt may have been taken back, and told as never submitted.
	if err := os.Remove(o.Dir.OutcomeFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return rundir.WriteJSON(o.Dir.JobFile(), *j)
}

// installed is the path of the agent's binary as the job sees it. On a cluster it
// is a copy of its own, named by its checksum: the original may be replaced while
// the job waits in the queue, and may not be visible on the nodes. Runs share a copy
// where they can, and each holds a link to it, which keeps it.
func (s *Submitter) installed(ctx context.Context) (string, error) {
	if s.agent != "" {
		return s.agent, nil
	}
	// A path that is not here is meant to be there.
	if here, _ := os.Stat(s.set.Binary.Path); here == nil || s.set.Backend == rundir.BackendLocal {
		s.agent = s.set.Binary.Path
		return s.agent, nil
	}
	own := string(s.set.Far) + "/bin"
	dir := cmp.Or(s.set.Binary.Shared, own)
	if !s.set.Host.Shared() {
		dir = jobs.FarBin(s.set.Binary.Dir)
	}
	path, err := host.InstallBinary(ctx, s.set.Host, s.set.Binary.Path, dir)
	if err == nil && dir != own {
		path, err = host.LinkBinary(ctx, s.set.Host, path, own)
	}
	if err == nil {
		s.agent = path
	}
	return path, err
}
