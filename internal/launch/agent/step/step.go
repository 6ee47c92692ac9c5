package step

import (
	"context"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// flushSoon is how long an end is held back for its last output, which says why.
const flushSoon = 2 * time.Second

// flushTime is how long the output of an ended task may take to reach its log. The
// task's group is dead by then, so only a slow disk or a slow machine needs it.
const flushTime = time.Minute

// Starter starts steps and knows the job around them. There are two: Slurm's
// srun, and a small srun of our own for one machine.
type Starter interface {
	// Start starts the step; its output goes to out. It returns as soon as the
	// step's processes are on their way. bad is told the first task that ends
	// badly, when the step has several.
	Start(ctx context.Context, s Spec, out *Output, bad func(rundir.TaskEnd)) (Step, error)
	// Helper starts a process beside the roles: on one of the job's nodes, or on the
	// machine that plays them all.
	Helper(ctx context.Context, h Helper) (*proc.Process, error)
	// Nodes are the job's nodes, in slice order.
	Nodes(ctx context.Context) ([]string, error)
	// Job asks what is known about the job as a whole; the zero value when
	// nothing is. It may take a while.
	Job(ctx context.Context) blame.Job
	// Asks reports whether Job can answer at all.
	Asks() bool
}

// Helper is a process of the agent's own on a node.
type Helper struct {
	Node  string
	Argv  []string
	Stdin *os.File
	Tell  io.Writer // gets what it prints
}

// Spec is one step to be started.
type Spec struct {
	Role    rundir.RolePlan
	Install bool // the install script, once per node
	Tasks   int  // over all nodes
	Index   int  // counts from 0 over the attempt
}

// Step is a started step.
type Step interface {
	// ID is Slurm's id of the step, job.step, or "" while it is not known.
	ID() string
	// Signal sends sig to every process of the step.
	Signal(ctx context.Context, sig syscall.Signal) error
	// Wait returns once no process of the step is left. Its output has reached
	// the log then, unless that takes long.
	Wait() End
	// Flush returns once all of the output has. late reports whether Wait did not wait for
	// that: end is what the whole output tells.
	Flush() (end End, late bool)
}

// End is how a step ended.
type End struct {
	Exit   int
	Signal int
	OOM    bool
	First  *rundir.TaskEnd // the task whose bad end ended the step, when it had several
	Lost   string          // the node that Slurm lost under the step
	Status bool            // the signal is what an exit code says: its own process was not killed
	Forced bool            // srun was ending the step by then: the signal is nobody else's
	Left   string          // what its processes had left behind, in words: srun was ended for it, or it was the last step and they were
	Stuck  bool            // SIGKILL to its tasks did not end it: the processes or their node are beyond reach
	Err    string          // the step starter's own trouble: srun could not launch
}

// Well reports whether the step ended as it should: how it ended, and not what it left, which has been ended.
func (e End) Well() bool {
	e.Left = ""
	return e == End{}
}
