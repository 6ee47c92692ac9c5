package slurm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
)

// Submission is one call of sbatch. Everything else stands in the script.
type Submission struct {
	Script string   // path on the host
	Dir    string   // working directory on the host
	Name   string   // unique job name, also the script's
	Env    []string // added to the job's environment (secrets): never an argument
}

// AmbiguousError says that a submission may or may not have made a job: look for
// the job by its unique name before submitting again.
type AmbiguousError struct{ Err error }

func (e *AmbiguousError) Error() string {
	return "it is not known whether the job was submitted: " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *AmbiguousError) Unwrap() error { return e.Err }

// Submit calls sbatch once. The error is an *AmbiguousError when a job may exist
// all the same, else a *CallError with sbatch's words.
func (c *Client) Submit(ctx context.Context, s Submission) (Job, error) {
	if !isWord(s.Name) {
		return Job{}, fmt.Errorf("%q cannot be a job name: letters, digits, - _ . only", s.Name)
	}
	argv := []string{"sbatch", "--parsable", "--no-requeue", "--job-name=" + s.Name, s.Script}
	// sbatch itself retries for about two minutes when the queue is full.
	timeout := max(c.opts.Timeout, 150*time.Second)
	out, err := c.call(ctx, host.Cmd{Argv: argv, Dir: s.Dir, Env: s.Env, Session: true, Timeout: timeout})
	var refused *CallError
	switch {
	case errors.As(err, &refused) && (refused.Unanswered() && !refused.Standby() || refused.Unauthenticated() && !refused.unsent()):
		return Job{}, &AmbiguousError{Err: err}
	case errors.As(err, &refused):
		return Job{}, err
	case errors.Is(err, host.ErrNotStarted):
		return Job{}, err
	case err != nil:
		return Job{}, &AmbiguousError{Err: err}
	}
	j, err := parseSubmit(out)
	if err != nil {
		return Job{}, &AmbiguousError{Err: err}
	}
	return j, nil
}

// TestOnly asks sbatch whether the script could run (plan --check). It returns
// what sbatch says of the start, or its refusal as a *CallError.
func (c *Client) TestOnly(ctx context.Context, script, dir string) (string, error) {
	cmd := host.Cmd{Argv: []string{"sbatch", "--test-only", script}, Dir: dir, Unset: scrub(), Keep: keepVars(), Timeout: c.opts.Timeout}
	c.mu.Lock()
	c.calls["sbatch"]++
	c.mu.Unlock()
	res, err := c.host.Run(ctx, cmd)
	if err != nil {
		return "", fmt.Errorf("sbatch --test-only: %w", err)
	}
	if res.Exit != 0 {
		return "", &CallError{Command: "sbatch", Exit: res.Exit, Text: shorten(res.Stderr)}
	}
	return strings.TrimSpace(string(res.Stderr) + string(res.Stdout)), nil
}

// Wanted is a job that is looked for without its id. A site's job_submit plugin may
// rename jobs, but not move their script or their working directory.
type Wanted struct {
	Name   string // unique
	Script string // path of the batch script; "" = only the name counts
	Dir    string // working directory; "" likewise
	Since  time.Time
}

// is reports whether a row of the queue is the job.
func (w Wanted) is(r QueueRow) bool {
	return plainID(r.ID) && (r.Name == w.Name || w.Script != "" && r.Command == w.Script)
}

// ErrNotQueued says of a job that was looked for that squeue does not list it, and that accounting does not answer.
var ErrNotQueued = errors.New("not in the queue")

// Find looks for a job, in the queue and, when nothing is there, in accounting. found
// is false only when every source that exists answered that there is none. It asks the
// default cluster: profiles may not send jobs elsewhere.
func (c *Client) Find(ctx context.Context, w Wanted) (j Job, found bool, err error) {
	rows, err := c.Queue(ctx, "")
	if err != nil {
		return Job{}, false, err
	}
	for _, r := range rows {
		if w.is(r) {
			return Job{ID: r.ID}, true, nil
		}
	}
	since := w.Since.Add(-10 * time.Minute)
	acct, err := c.AccountingByName(ctx, "", w.Name, since)
	if err == nil && w.Dir != "" && len(acct) == 0 {
		acct, err = c.accountingIn(ctx, w.Dir, since)
	}
	if errors.Is(err, ErrNoAccounting) {
		return Job{}, false, nil
	}
	if err != nil {
		return Job{}, false, fmt.Errorf("%w, and %w", ErrNotQueued, err)
	}
	for _, r := range acct {
		if plainID(r.ID) && (r.Name == w.Name || w.Dir != "" && r.WorkDir == w.Dir) {
			return Job{ID: r.ID}, true, nil
		}
	}
	return Job{}, false, nil
}

// Cancel asks for the end of jobs by id. A job that has already ended is no
// error. The command runs in a session of its own, so that whoever shoots our
// process group does not stop it.
func (c *Client) Cancel(ctx context.Context, cluster string, ids ...string) error {
	for _, id := range ids {
		if !plainID(id) {
			return fmt.Errorf("%q is not a job id", id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return c.cancel(ctx, cluster, ids...)
}

// CancelName asks for the end of every job of that unique name: the way to reach
// a job whose id sbatch has not told us yet.
func (c *Client) CancelName(ctx context.Context, cluster, name string) error {
	if !isWord(name) {
		return fmt.Errorf("%q is not a job name of ours", name)
	}
	return c.cancel(ctx, cluster, "--name="+name)
}

func (c *Client) cancel(ctx context.Context, cluster string, args ...string) error {
	argv := withCluster(append([]string{"scancel"}, args...), cluster)
	var err error
	for try := range 3 {
		// A shared connection to the login node may hang: the next try makes its own.
		_, err = c.call(ctx, host.Cmd{Argv: argv, Session: true, Timeout: c.opts.Cancel << try, Fresh: try > 0})
		var refused *CallError
		if errors.As(err, &refused) && refused.only("already completing or completed", "Invalid job id") {
			return nil
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}
