package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/node/probe"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// AllNodes stands for the node of a helper on a machine that plays all of a job's nodes.
const AllNodes = -1

// Options is everything that the helper needs.
type Options struct {
	Dir  rundir.AttemptDir // absolute
	Run  int               // index of the run
	Node int               // index of the node in the job, or AllNodes
	Name string            // of the node
	Job  string            // id of the job
	// Address and Pattern are Slurm's SLURM_TOPOLOGY_ADDR and ..._PATTERN of the node:
	// spine.leaf3.gpu7 and switch.switch.node.
	Address, Pattern string
	Now              func() time.Time
	// Agent is the agent's clock, a line of nanoseconds since 1970 now and then, and the
	// phase that the run is in now: a line with PhaseLine. Its end is the end of the helper.
	Agent io.Reader
	// Tell gets every event of the file, a line each, and those that are of use only while the run goes on: the agent
	// need not wait for the file server. nil = nobody listens.
	Tell io.Writer
	Env  []string
}

// Watch watches the servers of one node until the agent has gone or ctx is done.
func Watch(ctx context.Context, o Options) error {
	files, err := o.Dir.Tree()
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	plan, at, err := planned(files, o)
	if err != nil {
		return err
	}
	roles, awaited, run := servers(plan, at, o)
	files.Mask = jobs.Mask(o.Env, plan).Bytes
	f, err := files.Append(run.NodeFile(o.Name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	clock := &clock{now: o.Now}
	sight := probe.New(probe.Options{
		Files: files, Run: run, Node: o.Name, Devices: plan.Devices(), Job: o.Job, Mark: mark(o), Env: o.Env, Root: "/",
		Now: clock.agent, Here: o.Now, Every: plan.Telemetry.D(),
	})
	var serving atomic.Bool // all servers were ready when it began
	go func() {
		defer cancel()
		clock.follow(o.Agent, func(now rundir.Phase) {
			serving.Store(now == rundir.PhaseBenchmark)
			sight.Phase(now)
		})
	}()
	out := &record{f: f, to: o.Tell, clock: clock}
	out.tell(rundir.NodeEvent{What: rundir.NodeBegan, PID: os.Getpid(), Text: o.Name, Switch: leaf(o.Address, o.Pattern)})
	var all sync.WaitGroup
	var seen error
	all.Go(func() { seen = sight.Run(ctx) })
	w := watch.New(files, run, roles, nil, 0)
	for i, r := range roles {
		s := &server{role: r, watch: w, index: i, proc: "/proc", tell: out.tell, now: o.Now}
		h := &health{watch: w, index: i, role: r.Name, found: r.Find != nil, tell: out.tell, now: o.Now, ready: func() bool { return awaited[i] && serving.Load() }}
		all.Go(func() { s.follow(ctx) })
		if !r.Given || r.Health != "" { // else nobody says that it speaks HTTP
			all.Go(func() { h.follow(ctx) })
		}
	}
	<-ctx.Done()
	all.Wait()
	out.tell(rundir.NodeEvent{What: rundir.NodeLeft, PID: os.Getpid()})
	return errors.Join(out.err(), seen)
}

// PhaseLine begins a line that tells the helper which phase the run is in.
const PhaseLine = "phase "

// mark is how the entry of the environment begins that all processes of the job have: on
// the local backend those of its steps, as the helper itself.
func mark(o Options) string {
	if cookie := proc.Getenv(o.Env, step.Cookie); cookie != "" {
		return step.Cookie + "=" + strings.TrimSuffix(cookie, "helper")
	}
	return "SLURM_JOB_ID=" + o.Job
}

// leaf is the switch that a node hangs on, "" where Slurm knows none.
func leaf(address, pattern string) string {
	names, kinds := strings.Split(address, "."), strings.Split(pattern, ".")
	if n := len(kinds); n >= 2 && n == len(names) && kinds[n-1] == "node" && kinds[n-2] == "switch" {
		return names[n-2]
	}
	return ""
}

// planned is the attempt's plan, and what is planned of the run.
func planned(files *rundir.Tree, o Options) (plan rundir.Plan, at script.RunPlace, err error) {
	if err := files.ReadJSON(o.Dir.PlanFile(), &plan); err != nil {
		return plan, at, err
	}
	i := slices.IndexFunc(plan.Runs, func(r rundir.RunRef) bool { return r.Index == o.Run })
	if i < 0 {
		return plan, at, fmt.Errorf("%s has no run %d", o.Dir.PlanFile(), o.Run)
	}
	at, err = script.Place(plan, o.Dir, plan.Runs[i])
	return plan, at, err
}

// servers are the roles that publish the address of a server on the node, and the one that may run one without, of an
// aggregated case: a role's server runs on the first of its nodes. awaited are those without which no benchmark begins.
func servers(plan rundir.Plan, at script.RunPlace, o Options) (roles []watch.Role, awaited []bool, run rundir.RunDir) {
	for _, r := range at.Build.Roles {
		here := o.Node == AllNodes || len(r.Slice) > 0 && r.Slice[0].Node == o.Node
		if file := r.AddressFile(); file != "" && here {
			address := filepath.Join(at.Run.Output(), strings.ReplaceAll(file, "%j", o.Job))
			roles = append(roles, watch.Role{Name: r.Name, Address: address, Health: r.Ready.HTTPPath, Dials: r.Ready.TCP, Given: r.Port})
			awaited = append(awaited, r.Kind == rundir.KindServer && r.Ready.HTTPPath != "") // it has answered well by then
		} else if here && r.Kind == rundir.KindTask && plan.Case.Pipeline == "" {
			roles, awaited = append(roles, watch.Role{Name: r.Name, Find: newUnpublished(o).address}), append(awaited, false)
		}
	}
	return roles, awaited, at.Run
}

// clock is the agent's, as its lines tell it: the shortest way that one of them took
// is the difference between the two.
type clock struct {
	now func() time.Time

	mu    sync.Mutex
	known bool
	ahead time.Duration // of this machine's clock
}

func (c *clock) follow(agent io.Reader, phase func(rundir.Phase)) {
	in := bufio.NewScanner(agent)
	for in.Scan() {
		if now, ok := strings.CutPrefix(in.Text(), PhaseLine); ok {
			phase(rundir.Phase(now))
			continue
		}
		ns, err := strconv.ParseInt(in.Text(), 10, 64)
		if err != nil {
			continue
		}
		d := c.now().Sub(time.Unix(0, ns))
		c.mu.Lock()
		if !c.known || d < c.ahead {
			c.known, c.ahead = true, d
		}
		c.mu.Unlock()
	}
}

// agent is the agent's time.
func (c *clock) agent() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Add(-c.ahead)
}

// record is the helper's file. It is bounded: what does not fit is not written.
type record struct {
	clock *clock

	mu     sync.Mutex
	f      *os.File
	to     io.Writer
	size   int
	failed error
}

// tell writes one event.
func (r *record) tell(e rundir.NodeEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Schema, e.At = rundir.Schema, r.clock.agent()
	line, err := json.Marshal(e)
	if err != nil {
		return
	}
	line = append(line, '\n')
	if r.to != nil {
		_, _ = r.to.Write(line) // an agent that has gone closes our stdin as well
	}
	if r.failed != nil || r.size+len(line) > rundir.MaxNodeFile || fleeting(e) {
		return
	}
	n, err := r.f.Write(line)
	if r.size += n; err == nil {
		err = r.f.Sync()
	}
	r.failed = err
}

// fleeting reports whether an event is of use only while the run goes on. Such come by the thousand: in the file they
// would leave no room for how a server ended.
func fleeting(e rundir.NodeEvent) bool { return e.What == rundir.NodeRequests || e.Looks > maxLooks }

func (r *record) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
