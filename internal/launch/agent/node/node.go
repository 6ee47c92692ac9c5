package node

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
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
	// Agent is the agent's clock, a line of nanoseconds since 1970 now and then. Its end
	// is the end of the helper.
	Agent io.Reader
	// Tell gets every event as the file does, a line each: the agent need not wait for
	// the file server. nil = nobody listens.
	Tell io.Writer
}

// Watch watches the servers of one node until the agent has gone or ctx is done.
func Watch(ctx context.Context, o Options) error {
	files, err := o.Dir.Tree()
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	roles, run, err := servers(files, o)
	if err != nil {
		return err
	}
	f, err := files.Append(run.NodeFile(o.Name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	clock := &clock{now: o.Now}
	go func() {
		defer cancel()
		clock.follow(o.Agent)
	}()
	out := &record{f: f, to: o.Tell, clock: clock}
	out.tell(rundir.NodeEvent{What: rundir.NodeBegan, PID: os.Getpid(), Text: o.Name, Switch: leaf(o.Address, o.Pattern)})
	var all sync.WaitGroup
	w := watch.New(files, run, roles, nil, 0)
	for i, r := range roles {
		s := &server{role: r, watch: w, index: i, proc: "/proc", tell: out.tell, now: o.Now}
		h := &health{watch: w, index: i, role: r.Name, tell: out.tell, now: o.Now}
		all.Go(func() { s.follow(ctx) })
		if !r.Given || r.Health != "" { // else nobody says that it speaks HTTP
			all.Go(func() { h.follow(ctx) })
		}
	}
	<-ctx.Done()
	all.Wait()
	out.tell(rundir.NodeEvent{What: rundir.NodeLeft, PID: os.Getpid()})
	return out.err()
}

// leaf is the switch that a node hangs on, "" where Slurm knows none.
func leaf(address, pattern string) string {
	names, kinds := strings.Split(address, "."), strings.Split(pattern, ".")
	if n := len(kinds); n >= 2 && n == len(names) && kinds[n-1] == "node" && kinds[n-2] == "switch" {
		return names[n-2]
	}
	return ""
}

// servers are the roles that publish the address of a server on the node: a role's
// server runs on the first of its nodes.
func servers(files *rundir.Tree, o Options) ([]watch.Role, rundir.RunDir, error) {
	var plan rundir.Plan
	if err := files.ReadJSON(o.Dir.PlanFile(), &plan); err != nil {
		return nil, "", err
	}
	for _, ref := range plan.Runs {
		if ref.Index != o.Run {
			continue
		}
		at, err := script.Place(plan, o.Dir, ref)
		if err != nil {
			return nil, "", err
		}
		var roles []watch.Role
		for _, r := range at.Build.Roles {
			here := o.Node == AllNodes || len(r.Slice) > 0 && r.Slice[0].Node == o.Node
			if file := r.AddressFile(); file != "" && here {
				address := filepath.Join(at.Run.Output(), strings.ReplaceAll(file, "%j", o.Job))
				roles = append(roles, watch.Role{Name: r.Name, Address: address, Health: r.Ready.HTTPPath, Dials: r.Ready.TCP, Given: r.Port})
			}
		}
		return roles, at.Run, nil
	}
	return nil, "", fmt.Errorf("%s has no run %d", o.Dir.PlanFile(), o.Run)
}

// clock is the agent's, as its lines tell it: the shortest way that one of them took
// is the difference between the two.
type clock struct {
	now func() time.Time

	mu    sync.Mutex
	known bool
	ahead time.Duration // of this machine's clock
}

func (c *clock) follow(agent io.Reader) {
	in := bufio.NewScanner(agent)
	for in.Scan() {
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
	if r.failed != nil || r.size+len(line) > rundir.MaxNodeFile {
		return
	}
	n, err := r.f.Write(line)
	if r.size += n; err == nil {
		err = r.f.Sync()
	}
	r.failed = err
}

func (r *record) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
