package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Backend is where attempts run.
type Backend interface {
	// Submit starts the attempt. The error is a *slurm.AmbiguousError when it may
	// have been started all the same.
	Submit(ctx context.Context, s Submission) (slurm.Job, error)
	// Find looks for an attempt whose submission left no id.
	Find(ctx context.Context, j rundir.Job) (slurm.Job, bool, error)
	// Cancel asks for the end of attempts, by id, or by name where there is none.
	Cancel(ctx context.Context, jobs []rundir.Job) error
}

// Submission is one attempt to be started.
type Submission struct {
	Job    rundir.Job
	Local  rundir.AttemptDir
	There  rundir.AttemptDir
	Agent  string   // path of the binary there
	Secret []string // NAME=value
}

// Slurm is a cluster.
type Slurm struct{ Client *slurm.Client }

// Submit calls sbatch.
func (b Slurm) Submit(ctx context.Context, s Submission) (slurm.Job, error) {
	return b.Client.Submit(ctx, slurm.Submission{
		Script: s.There.Script(), Dir: string(s.There), Name: s.Job.Name, Env: append(s.Secret, jobCookie+"="+s.Job.Name),
	})
}

// Find looks for the job by its unique name, its script and its directory.
func (b Slurm) Find(ctx context.Context, j rundir.Job) (slurm.Job, bool, error) {
	return b.Client.Find(ctx, slurm.Wanted{Name: j.Name, Script: scriptOf(j), Dir: j.Dir, Since: j.Intent})
}

// scriptOf is the path of a job's batch script, "" in records that do not tell.
func scriptOf(j rundir.Job) string {
	if j.Dir == "" {
		return ""
	}
	return rundir.AttemptDir(j.Dir).Script()
}

// Cancel names all ids of a cluster in one call.
func (b Slurm) Cancel(ctx context.Context, jobs []rundir.Job) error {
	ids := map[string][]string{}
	var errs []error
	for _, j := range jobs {
		if j.ID != "" {
			ids[j.Routed] = append(ids[j.Routed], j.ID)
		}
	}
	for cluster, list := range ids {
		errs = append(errs, b.Client.Cancel(ctx, cluster, list...))
	}
	for _, j := range jobs {
		if j.ID == "" {
			errs = append(errs, b.Client.CancelName(ctx, j.Routed, j.Name))
		}
	}
	return errors.Join(errs...)
}

// jobCookie marks every process of an attempt of the local backend, and the
// sbatch of a Slurm one, with the attempt's unique name.
const jobCookie = "CI_DISAGG_JOB"

// Local is this machine: the agent runs detached, in a session of its own.
type Local struct {
	Env    []string
	Passed []string // names of the variables of Env that jobs see; nil = all but those that are ours
}

// Submit starts the agent.
func (b Local) Submit(_ context.Context, s Submission) (slurm.Job, error) {
	env := proc.WithoutStore(proc.WithoutSlurm(proc.WithoutJenkins(b.Env)))
	if b.Passed != nil {
		env = proc.Without(env, func(name string) bool { return !slices.Contains(b.Passed, name) })
	}
	env = append(env, jobCookie+"="+s.Job.Name)
	if err := begin(s.Local); err != nil {
		return slurm.Job{}, err
	}
	pid, err := proc.Detach(proc.Command{
		Argv: []string{s.Agent, "agent", string(s.Local), "--backend", rundir.BackendLocal}, Dir: string(s.Local), Env: append(env, s.Secret...),
	}, s.Local.SlurmOut())
	if err != nil {
		return slurm.Job{}, err
	}
	return slurm.Job{ID: strconv.Itoa(pid)}, nil
}

// begin makes the file of what the agent prints, for whoever may read the run directory.
func begin(dir rundir.AttemptDir) error {
	tree, err := dir.Tree()
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }() // nothing is written through it any more
	f, err := tree.Append(dir.SlurmOut())
	if err != nil {
		return err
	}
	return f.Close()
}

// Find takes the oldest process that carries the attempt's name: the agent, from
// which all others descend.
func (b Local) Find(_ context.Context, j rundir.Job) (slurm.Job, bool, error) {
	pids := proc.WithCookie(Cookie(j))
	if len(pids) == 0 {
		return slurm.Job{}, false, nil
	}
	return slurm.Job{ID: strconv.Itoa(pids[0])}, true, nil
}

// Cookie is the NAME=value that marks the processes of an attempt.
func Cookie(j rundir.Job) string { return jobCookie + "=" + j.Name }

// Elsewhere is the host on which a local job runs, where none of its processes can be seen from here. "" = they can.
func Elsewhere(j rundir.Job) string {
	if j.Backend != rundir.BackendLocal || j.Host == "" || j.Host == lease.HostName() || len(proc.WithCookie(Cookie(j))) > 0 {
		return "" // seen, whatever the host is called by now
	}
	return j.Host
}

// Alive reports whether the local agent's process is still there, or runs where nobody can say so.
func Alive(j rundir.Job) bool {
	pid, err := strconv.Atoi(j.ID)
	return Elsewhere(j) != "" || err == nil && proc.Alive(pid, Cookie(j))
}

// Cancel asks the agents to end, which tear their roles down.
func (b Local) Cancel(_ context.Context, jobs []rundir.Job) error {
	var errs []error
	for _, j := range jobs {
		if host := Elsewhere(j); host != "" {
			errs = append(errs, fmt.Errorf("it runs on %s: cancel it there", host))
			continue
		}
		if j.ID == "" {
			found, ok, _ := b.Find(context.Background(), j)
			if !ok {
				continue
			}
			j.ID = found.ID
		}
		if pid, err := strconv.Atoi(j.ID); err == nil && proc.Alive(pid, Cookie(j)) {
			errs = append(errs, ignoreGone(syscall.Kill(pid, syscall.SIGTERM)))
		}
	}
	return errors.Join(errs...)
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// KillLeft kills what is left of a local attempt whose agent is gone.
func KillLeft(j rundir.Job) error {
	return proc.KillAll(func() []int { return proc.WithCookie(Cookie(j)) })
}

// SubmitBound is how long an sbatch that was started may still make a job: its
// own retries plus our timeout for it.
const SubmitBound = 160 * time.Second

// Secrets reads the values of a plan's secrets out of our own environment. They
// travel in the environment of sbatch or of the local agent, nowhere else.
func Secrets(p rundir.Plan, env []string) ([]string, error) {
	var out []string
	for _, s := range p.Secrets {
		if s.From == "" {
			continue
		}
		v := proc.Getenv(env, s.From)
		if v == "" {
			return nil, fmt.Errorf("secret %s: the variable %s is not set in the environment of this ci-disagg", s.Name, s.From)
		}
		out = append(out, s.From+"="+v)
	}
	return out, nil
}
