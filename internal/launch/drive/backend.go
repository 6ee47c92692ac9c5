package drive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// backend is where attempts run.
type backend interface {
	// submit starts the attempt. The error is a *slurm.AmbiguousError when it may
	// have been started all the same.
	submit(ctx context.Context, s submission) (slurm.Job, error)
	// find looks for an attempt whose submission left no id.
	find(ctx context.Context, j rundir.Job) (slurm.Job, bool, error)
	// cancel asks for the end of attempts, by id, or by name where there is none.
	cancel(ctx context.Context, jobs []rundir.Job) error
}

type submission struct {
	job    rundir.Job
	local  rundir.AttemptDir
	there  rundir.AttemptDir
	agent  string   // path of the binary there
	secret []string // NAME=value
}

// slurmBackend is a cluster.
type slurmBackend struct{ client *slurm.Client }

func (b slurmBackend) submit(ctx context.Context, s submission) (slurm.Job, error) {
	return b.client.Submit(ctx, slurm.Submission{
		Script: s.there.Script(), Dir: string(s.there), Name: s.job.Name, Env: append(s.secret, jobCookie+"="+s.job.Name),
	})
}

func (b slurmBackend) find(ctx context.Context, j rundir.Job) (slurm.Job, bool, error) {
	return b.client.FindByName(ctx, j.Name, j.Intent)
}

// cancel names all ids of a cluster in one call.
func (b slurmBackend) cancel(ctx context.Context, jobs []rundir.Job) error {
	ids := map[string][]string{}
	var errs []error
	for _, j := range jobs {
		if j.ID != "" {
			ids[j.Routed] = append(ids[j.Routed], j.ID)
		}
	}
	for cluster, list := range ids {
		errs = append(errs, b.client.Cancel(ctx, cluster, list...))
	}
	for _, j := range jobs {
		if j.ID == "" {
			errs = append(errs, b.client.CancelName(ctx, j.Routed, j.Name))
		}
	}
	return errors.Join(errs...)
}

// jobCookie marks every process of an attempt of the local backend, and the
// sbatch of a Slurm one, with the attempt's unique name.
const jobCookie = "CI_DISAGG_JOB"

// localBackend is this machine: the agent runs detached, in a session of its own.
type localBackend struct{ env []string }

func (b localBackend) submit(_ context.Context, s submission) (slurm.Job, error) {
	env := proc.WithoutStore(proc.WithoutSlurm(proc.WithoutJenkins(b.env)))
	env = append(env, jobCookie+"="+s.job.Name)
	pid, err := proc.Detach(proc.Command{
		Argv: []string{s.agent, "agent", string(s.local), "--backend", BackendLocal}, Dir: string(s.local), Env: append(env, s.secret...),
	}, s.local.SlurmOut())
	if err != nil {
		return slurm.Job{}, err
	}
	return slurm.Job{ID: strconv.Itoa(pid)}, nil
}

// find takes the oldest process that carries the attempt's name: the agent, from
// which all others descend.
func (b localBackend) find(_ context.Context, j rundir.Job) (slurm.Job, bool, error) {
	pids := proc.WithCookie(cookieOf(j))
	if len(pids) == 0 {
		return slurm.Job{}, false, nil
	}
	return slurm.Job{ID: strconv.Itoa(slices.Min(pids))}, true, nil
}

func cookieOf(j rundir.Job) string { return jobCookie + "=" + j.Name }

// alive says whether the local agent's process is still there.
func alive(j rundir.Job) bool {
	pid, err := strconv.Atoi(j.ID)
	return err == nil && proc.Alive(pid, cookieOf(j))
}

// cancel asks the agents to end, which tear their roles down.
func (b localBackend) cancel(_ context.Context, jobs []rundir.Job) error {
	var errs []error
	for _, j := range jobs {
		if j.ID == "" {
			found, ok, _ := b.find(context.Background(), j)
			if !ok {
				continue
			}
			j.ID = found.ID
		}
		if pid, err := strconv.Atoi(j.ID); err == nil && proc.Alive(pid, cookieOf(j)) {
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

// sweepLocal kills what is left of a local attempt whose agent is gone.
func sweepLocal(j rundir.Job) error {
	var errs []error
	for _, pid := range proc.WithCookie(cookieOf(j)) {
		errs = append(errs, ignoreGone(syscall.Kill(pid, syscall.SIGKILL)))
	}
	return errors.Join(errs...)
}

// submitBound is how long an sbatch that was started may still make a job: its
// own retries plus our timeout for it.
const submitBound = 160 * time.Second

// submissionOver says that whatever was started to submit the job has certainly
// ended: its time is over, or it ran here and no process carries its name.
func submissionOver(j rundir.Job, now time.Time, behindLogin bool) bool {
	if now.Sub(j.Intent) > submitBound {
		return true
	}
	return !behindLogin && j.Host == hostName() && len(proc.WithCookie(cookieOf(j))) == 0
}

// exists says that a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// secretsOf reads the values of a plan's secrets out of our own environment. They
// travel in the environment of sbatch or of the local agent, nowhere else.
func secretsOf(p rundir.Plan, env []string) ([]string, error) {
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
