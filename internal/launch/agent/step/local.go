package step

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Cookie is the environment variable that marks every process of a local
// step: what has escaped from its process group is found by it.
const Cookie = "CI_DISAGG_STEP"

// killWait is how long a local step's other tasks have between SIGTERM and
// SIGKILL once one of them has failed.
const killWait = 2 * time.Second

// Local is the miniature srun: the tasks of a step are processes on this
// machine, each leading a process group, with the variables that srun sets. The
// plan's nodes are names only.
type Local struct {
	plan  rundir.Plan
	at    script.RunPlace
	env   []string
	jobID string
	mark  string // of this attempt, in Cookie
	guard *Guard

	mu   sync.Mutex
	next []int // per node: the first GPU that no worker has been given yet
}

// NewLocal starts the steps of one run on this machine; mark tells its processes from others.
func NewLocal(plan rundir.Plan, at script.RunPlace, env []string, jobID, mark string, g *Guard) *Local {
	return &Local{plan: plan, at: at, env: env, jobID: jobID, mark: mark, guard: g, next: make([]int, max(plan.Nodes, 1))}
}

// Nodes implements Starter.
func (l *Local) Nodes(context.Context) ([]string, error) {
	names := make([]string, max(l.plan.Nodes, 1))
	for i := range names {
		names[i] = fmt.Sprintf("local%d", i)
	}
	return names, nil
}

// Job implements Starter: nobody knows anything.
func (l *Local) Job(context.Context) blame.Job { return blame.Job{} }

// Asks implements Starter.
func (l *Local) Asks() bool { return false }

// Start implements Starter.
func (l *Local) Start(ctx context.Context, spec Spec, log *Output, bad func(rundir.TaskEnd)) (Step, error) {
	s := &localStep{
		name:    l.jobID + "." + strconv.Itoa(spec.Index),
		cookie:  Cookie + "=" + l.mark + "." + strconv.Itoa(spec.Index),
		ended:   make(chan taskEnd, 16),
		done:    make(chan struct{}),
		flushed: make(chan struct{}),
		guard:   l.guard,
		bad:     bad,
	}
	argv := []string{"bash", l.at.Run.RoleScript(spec.Role.Name)}
	slice := spec.Role.Slice
	if spec.Install {
		// One machine plays all nodes: install once.
		argv = []string{"bash", string(l.at.Attempt) + "/" + script.InstallScript(l.plan, l.at.Build)}
		slice = []rundir.NodeShare{{Node: 0, Tasks: 1}}
	}
	total := 0
	for _, share := range slice {
		total += share.Tasks
	}
	rank := 0
	l.guard.begins()
	for nodeID, share := range slice {
		gpus := l.takeGPUs(share, spec.Role.Overlap)
		for localID := range share.Tasks {
			t := &localTask{rank: rank, node: fmt.Sprintf("local%d", share.Node)}
			if total > 1 { // lines of different tasks must not mix
				t.out = &taskLines{to: log}
			}
			cmd := proc.Command{Argv: argv, Env: append(l.taskEnv(s, slice, nodeID, localID, rank, total), gpus...)}
			if err := s.startTask(ctx, t, cmd, log); err != nil {
				s.abort()
				_ = l.guard.ended()
				return nil, fmt.Errorf("task %d: %w", rank, err)
			}
			rank++
		}
	}
	go s.supervise(rank)
	return s, nil
}

// Helper implements Starter.
func (l *Local) Helper(ctx context.Context, h Helper) (*proc.Process, error) {
	env := append(proc.WithoutJenkins(l.env), Cookie+"="+l.mark+".helper", "SLURM_JOB_ID="+l.jobID)
	p, err := proc.Start(context.WithoutCancel(ctx), proc.Command{Argv: h.Argv, Env: env, Stdin: h.Stdin, Stdout: h.Tell, Stderr: io.Discard})
	if err != nil {
		return nil, err
	}
	l.guard.add(p.PID())
	go func() { // its group's number may be another's by the end of a long session
		<-p.Exited()
		l.guard.remove(p.PID())
	}()
	return p, nil
}

// taskEnv is the environment that srun gives a task.
func (l *Local) taskEnv(s *localStep, slice []rundir.NodeShare, nodeID, localID, rank, total int) []string {
	names := make([]string, len(slice))
	perNode := make([]string, len(slice))
	for i, share := range slice {
		names[i] = fmt.Sprintf("local%d", share.Node)
		perNode[i] = strconv.Itoa(share.Tasks)
	}
	all := make([]string, max(l.plan.Nodes, 1))
	for i := range all {
		all[i] = fmt.Sprintf("local%d", i)
	}
	_, stepID, _ := strings.Cut(s.name, ".")
	env := proc.Without(l.env, func(name string) bool {
		return strings.HasPrefix(name, "SLURM_") || name == Cookie
	})
	return append(env,
		"SLURM_JOB_ID="+l.jobID,
		"SLURM_JOBID="+l.jobID,
		"SLURM_JOB_NODELIST="+strings.Join(all, ","),
		"SLURM_JOB_NUM_NODES="+strconv.Itoa(len(all)),
		"SLURM_NNODES="+strconv.Itoa(len(all)),
		"SLURM_STEP_ID="+stepID,
		"SLURM_STEPID="+stepID,
		"SLURM_STEP_NODELIST="+strings.Join(names, ","),
		"SLURM_STEP_NUM_NODES="+strconv.Itoa(len(slice)),
		"SLURM_STEP_NUM_TASKS="+strconv.Itoa(total),
		"SLURM_STEP_TASKS_PER_NODE="+strings.Join(perNode, ","),
		"SLURM_NTASKS="+strconv.Itoa(total),
		"SLURM_NPROCS="+strconv.Itoa(total),
		"SLURM_PROCID="+strconv.Itoa(rank),
		"SLURM_LOCALID="+strconv.Itoa(localID),
		"SLURM_NODEID="+strconv.Itoa(nodeID),
		"SLURMD_NODENAME="+names[nodeID],
		"SLURM_GPUS_ON_NODE="+strconv.Itoa(slice[nodeID].GPUs),
		s.cookie,
	)
}

// takeGPUs gives a worker's tasks on one node their GPUs, as a step of its own
// would get them: every task sees all of the step's GPUs there. Overlapping
// steps and those that compute on no GPU see all of the node's.
func (l *Local) takeGPUs(share rundir.NodeShare, overlap bool) []string {
	if share.Devices != nil {
		return []string{"CUDA_VISIBLE_DEVICES=" + joined(share.Devices)}
	}
	if len(l.plan.Devices()) > 0 {
		return nil // the machine's own, as this process sees them
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n, first := share.GPUs, 0
	if n == 0 || overlap {
		n = l.plan.GPUsPerNode
	} else if share.Node < len(l.next) {
		if l.next[share.Node]+n > l.plan.GPUsPerNode {
			l.next[share.Node] = 0 // a precheck before had them; it is gone
		}
		first = l.next[share.Node]
		l.next[share.Node] += n
	}
	ids := make([]int, n)
	for i := range ids {
		ids[i] = first + i
	}
	return []string{"CUDA_VISIBLE_DEVICES=" + joined(ids)}
}

func joined(ids []int) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(id)
	}
	return strings.Join(words, ",")
}

// localStep is a running local step.
type localStep struct {
	name    string
	cookie  string
	guard   *Guard
	bad     func(rundir.TaskEnd)
	ended   chan taskEnd
	done    chan struct{}
	flushed chan struct{}
	end     End

	mu    sync.Mutex
	tasks []*localTask
	told  bool // the step has been signalled: whatever ends now ends for that
}

type localTask struct {
	p    *proc.Process
	rank int
	node string
	out  *taskLines
}

type taskEnd struct {
	task *localTask
	res  proc.Result
}

func (s *localStep) startTask(ctx context.Context, t *localTask, cmd proc.Command, log *Output) error {
	cmd.Stdout = log
	if t.out != nil {
		cmd.Stdout = t.out
	}
	cmd.Stderr, cmd.KillLeft, cmd.WaitDelay = cmd.Stdout, true, flushTime
	// The step ends by its own rules and not by the context: SIGTERM to the
	// agent is an event among others.
	p, err := proc.Start(context.WithoutCancel(ctx), cmd)
	if err != nil {
		return err
	}
	t.p = p
	s.mu.Lock()
	s.tasks = append(s.tasks, t)
	s.mu.Unlock()
	s.guard.add(p.PID())
	go func() {
		<-p.Exited() // its output may still be on its way
		s.guard.remove(p.PID())
		s.ended <- taskEnd{t, p.Ended()}
	}()
	return nil
}

// supervise collects the ends of n tasks. The first bad one ends the others, as
// --kill-on-bad-exit does; it decides how the step ended.
func (s *localStep) supervise(n int) {
	defer close(s.done)
	var kill <-chan time.Time
	for left := n; left > 0; {
		select {
		case e := <-s.ended:
			left--
			s.note(e)
			if e.res.Exit != 0 && left > 0 && kill == nil {
				s.each(func(p *proc.Process) error { return p.Signal(syscall.SIGTERM) })
				t := time.NewTimer(killWait)
				defer t.Stop()
				kill = t.C
			}
		case <-kill:
			s.each(func(p *proc.Process) error { return p.Signal(syscall.SIGKILL) })
		}
	}
	s.killEscaped()
	s.end.Left = s.guard.ended() // now nobody has the pipes any more and the rest of the output comes
	go func() {
		defer close(s.flushed)
		s.mu.Lock()
		tasks := append([]*localTask(nil), s.tasks...)
		s.mu.Unlock()
		for _, t := range tasks {
			_, _ = t.p.Wait() // how it ended is known
			if t.out != nil {
				t.out.flush()
			}
		}
	}()
	soon := time.NewTimer(flushSoon)
	defer soon.Stop()
	select {
	case <-s.flushed:
	case <-soon.C:
	}
}

func (s *localStep) Flush() (End, bool) {
	<-s.flushed
	return End{}, false // no output tells how it ended
}

// note keeps the first bad end. Once the step as a whole has been signalled, no
// single task's end says anything about who was first.
func (s *localStep) note(e taskEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.res.Exit == 0 || s.end.Exit != 0 {
		return
	}
	s.end.Exit, s.end.Signal = e.res.Exit, e.res.Signal
	if s.told {
		return
	}
	first := rundir.TaskEnd{Task: e.task.rank, Node: e.task.node, Exit: e.res.Exit, Signal: e.res.Signal}
	if len(s.tasks) > 1 {
		s.end.First = &first
	}
	s.bad(first) // what the step leaves behind may take a while to go, and is no part of its end
}

// killEscaped ends processes that left their group (setsid) but still carry the
// step's cookie.
func (s *localStep) killEscaped() {
	_ = proc.KillAll(func() []int { return proc.WithCookie(s.cookie) })
}

// abort ends the tasks of a step that could not be started as a whole.
func (s *localStep) abort() {
	s.mu.Lock()
	n := len(s.tasks)
	s.told = true
	s.mu.Unlock()
	s.each(func(p *proc.Process) error { return p.Signal(syscall.SIGKILL) })
	for range n {
		<-s.ended
	}
}

func (s *localStep) each(do func(*proc.Process) error) {
	s.mu.Lock()
	tasks := append([]*localTask(nil), s.tasks...)
	s.mu.Unlock()
	for _, t := range tasks {
		_ = do(t.p) // a task that is gone already is what we want
	}
}

func (s *localStep) ID() string { return s.name }

func (s *localStep) Signal(_ context.Context, sig syscall.Signal) error {
	s.mu.Lock()
	s.told = true
	s.mu.Unlock()
	s.each(func(p *proc.Process) error { return p.Signal(sig) })
	return nil
}

func (s *localStep) Wait() End {
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}
