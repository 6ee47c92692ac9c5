package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// submitter submits attempts, one after the other, in suite order: a burst of
// submissions is what slurmctld's rate limit is for.
type submitter struct {
	o         Options
	run       rundir.Run
	back      jobs.Backend
	lease     *lease.Lease
	registry  *registry
	far       rundir.Dir
	cancelled func() (rundir.Cancel, bool) // by ci-disagg cancel

	last chan struct{} // closed when the submission ordered last has ended; the owner's

	mu    sync.Mutex      // held by whoever submits
	agent string          // path of the binary there, "" = not installed yet
	nodes []slurm.NodeRow // of the cluster, nil = not asked yet
}

// turn is a place in the order of submissions: wait for before, and close mine.
type turn struct{ before, mine chan struct{} }

func (s *submitter) turn() turn {
	t := turn{before: s.last, mine: make(chan struct{})}
	s.last = t.mine
	return t
}

// submit renders, writes, copies and submits one attempt. It runs in a worker.
func (s *submitter) submit(work context.Context, a action, t turn) event {
	defer close(t.mine)
	if t.before != nil {
		<-t.before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	res := submitted{job: a.job}
	res.job.Host = lease.HostName()
	if res.job.Name == "" {
		res.job.Name = jobs.Name(s.run, a.order.plan.Case.Slug, a.of.rep, a.of.number)
	}
	err := s.try(work, a, &res)
	return event{kind: evSubmitted, submitted: res, err: err}
}

// try submits once, and once more without the nodes to keep away from, should the
// cluster not know one of them.
func (s *submitter) try(work context.Context, a action, res *submitted) error {
	secrets, err := jobs.Secrets(a.order.plan, s.o.Environ)
	if err != nil {
		return err
	}
	agent, err := s.installed(work)
	if err != nil {
		return err
	}
	s.exclude(work, a.order, res)
	for {
		if err := s.prepare(work, a, agent, res.job); err != nil {
			return err
		}
		if err := s.lease.Check(); err != nil {
			return err
		}
		if c, ok := s.cancelled(); ok {
			return &cancelledError{c.Reason}
		}
		if !s.registry.enter(a.of.cas, res.job) {
			return errTooLate
		}
		id, err := s.back.Submit(work, jobs.Submission{Job: res.job, Local: a.dir, There: a.there, Agent: agent, Secret: secrets})
		if err == nil {
			now := s.o.Now()
			res.job.ID, res.job.Routed, res.job.Submitted = id.ID, id.Cluster, &now
			return rundir.WriteJSON(a.dir.JobFile(), res.job)
		}
		var refused *slurm.CallError
		if !errors.As(err, &refused) || !refused.InvalidNode() || len(res.job.Excluded) == 0 {
			return err
		}
		res.warnings = append(res.warnings, "a node to keep away from is unknown to the cluster; none is excluded")
		res.job.Excluded, res.job.Avoided = nil, nil
	}
}

// prepare writes the attempt directory: the files, then the intent. After this call
// a job may exist under the name on disk.
func (s *submitter) prepare(work context.Context, a action, agent string, j rundir.Job) error {
	files, err := s.o.Render(RenderInput{
		Plan: a.order.plan, Backend: s.o.Backend, Attempt: a.there, Agent: agent, Name: j.Name, Owner: j.Owner,
		Exclude: j.Excluded, Run: s.run, Rep: a.of.rep, Number: a.of.number,
	})
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	paths := make([]string, 0, len(files))
	for _, f := range files {
		mode := rundir.FileMode
		if f.Exec {
			mode = rundir.ExecMode
		}
		if !filepath.IsLocal(f.Path) {
			return fmt.Errorf("rendered file %q leads out of the attempt directory", f.Path)
		}
		if err := rundir.WriteFile(filepath.Join(string(a.dir), f.Path), f.Data, mode); err != nil {
			return err
		}
		paths = append(paths, f.Path)
	}
	if !s.o.Host.Shared() {
		if err := s.o.Host.Push(work, string(a.dir), string(a.there), paths); err != nil {
			return err
		}
	}
	return rundir.WriteJSON(a.dir.JobFile(), j)
}

// installed is the path of the agent's binary as the job sees it. On a cluster it
// is a copy of its own, named by its checksum: the original may be replaced while
// the job waits in the queue, and may not be visible on the nodes. Runs share a copy
// where they can, and each holds a link to it, which keeps it.
func (s *submitter) installed(work context.Context) (string, error) {
	switch {
	case s.agent != "":
		return s.agent, nil
	case s.o.Backend == jobs.BackendLocal || !exists(s.o.Binary.Path):
		s.agent = s.o.Binary.Path
		return s.agent, nil
	}
	own := string(s.far) + "/bin"
	dir := cmp.Or(s.o.Binary.Shared, own)
	if !s.o.Host.Shared() {
		dir = jobs.FarBin(s.o.Binary.Dir)
	}
	path, err := host.InstallBinary(work, s.o.Host, s.o.Binary.Path, dir)
	if err == nil && dir != own {
		path, err = host.LinkBinary(work, s.o.Host, path, own)
	}
	if err == nil {
		s.agent = path
	}
	return path, err
}
