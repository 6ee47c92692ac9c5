package agent

import (
	"context"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// flushSoon is how long an end is held back for its last output, which says why.
const flushSoon = 2 * time.Second

// flushTime is how long the output of an ended task may take to reach its log. The
// task's group is dead by then, so only a slow disk or a slow machine needs it.
const flushTime = time.Minute

// starter starts steps and knows the job around them. There are two: Slurm's
// srun, and a small srun of our own for one machine.
type starter interface {
	// start starts the step; its output goes to log. It returns as soon as the
	// step's processes are on their way. bad is told the first task that ends
	// badly, when the step has several.
	start(ctx context.Context, s stepSpec, log *roleLog, bad func(rundir.TaskEnd)) (step, error)
	// nodes are the job's nodes, in slice order.
	nodes(ctx context.Context) ([]string, error)
	// job asks what is known about the job as a whole; the zero value when
	// nothing is. It may take a while.
	job(ctx context.Context) blame.Job
	// asks says that job can answer at all.
	asks() bool
}

// stepSpec is one step to be started.
type stepSpec struct {
	role    rundir.RolePlan
	install bool // the install script, once per node
	tasks   int  // over all nodes
	index   int  // counts from 0 over the attempt
}

// step is a started step.
type step interface {
	// id is Slurm's id of the step, job.step, or "" while it is not known.
	id() string
	// signal sends sig to every process of the step.
	signal(ctx context.Context, sig syscall.Signal) error
	// wait returns once no process of the step is left. Its output has reached
	// the log then, unless that takes long.
	wait() stepEnd
	// flush returns once all of the output has.
	flush()
}
