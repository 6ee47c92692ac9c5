package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The backends.
const (
	BackendSlurm = "slurm"
	BackendLocal = "local"
)

// Options is everything the agent needs beside the attempt directory.
type Options struct {
	Dir     rundir.AttemptDir // absolute
	Backend string            // BackendSlurm or BackendLocal; "" = as planned
	Version string            // of this ci-disagg
	Env     []string          // of the agent; the steps start from it
	Host    string
	PID     int
	Now     func() time.Time
	Stdout  io.Writer
	Classes []blame.Rule // built-in failure classes; the plan's stand before them
	// GuardArgv is the command line of a process that calls Guard, for the local
	// backend; nil = no guard.
	GuardArgv func(token string) []string
	// Signals are the signals that end the attempt early.
	Signals <-chan os.Signal

	// Heartbeat is the longest time between two writes of the record; 0 = 5 s.
	Heartbeat time.Duration
	// StatusEvery is the time between two status lines; 0 = 1 min.
	StatusEvery time.Duration
}

// ErrRefused is returned when Slurm has restarted the job: a measurement is
// never continued, and a restarted one would overwrite its evidence.
var ErrRefused = errors.New("the job was restarted by Slurm; refusing to run it again")

// Run supervises one attempt. It returns nil when it could do its work to the
// end, whatever became of the roles: that stands in the record. An error means
// that the record is missing or cannot be trusted.
func Run(ctx context.Context, o Options) error {
	a, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	defer a.console.close()
	if a.restart > 0 {
		return a.refuse()
	}
	return a.run(ctx)
}

// agent is one attempt under supervision. Its fields are constant once run has
// begun, except st and what is owned by other types with locks of their own.
type agent struct {
	o        Options
	dir      rundir.AttemptDir
	plan     rundir.Plan
	jobID    string
	token    string // for the test's own files
	mark     string // of our processes on this machine
	restart  int
	started  time.Time
	nodes    []string
	starter  starter
	classes  blame.Classes
	look     *lookout
	console  *console
	specs    []stepSpec // by role index
	logs     []*roleLog // by role index, nil until started
	servers  *serverLogs
	work     []*regexp.Regexp // by role index: what a role says about its work, nil = nothing
	steps    []step           // by role index, nil until started
	events   chan event
	record   *recorder
	st       state
	statusAt time.Time
	closing  sync.WaitGroup // steps whose log is not complete yet
	drain    string         // path of the client's status file, "" = none
	driver   driverWatch
}

func prepare(ctx context.Context, o Options) (*agent, error) {
	a := &agent{o: o, dir: o.Dir, events: make(chan event, 256), started: o.Now()}
	if err := rundir.ReadJSON(o.Dir.PlanFile(), &a.plan); err != nil {
		return nil, err
	}
	if len(a.plan.Roles) == 0 {
		return nil, fmt.Errorf("%s: the plan has no roles", o.Dir.PlanFile())
	}
	var err error
	if a.classes, err = blame.Compile(append(planRules(a.plan), o.Classes...)); err != nil {
		return nil, err
	}
	a.look = newLookout(a.classes)
	a.identify()
	a.console = newConsole(o.Stdout, o.Now)
	if err := a.pickStarter(ctx); err != nil {
		a.console.close()
		return nil, err
	}
	a.specs = specs(a.plan)
	a.driver = driverWatch{file: o.Dir.Run().LeaseFile()}
	a.logs = make([]*roleLog, len(a.specs))
	a.steps = make([]step, len(a.specs))
	if err := a.compileWork(); err != nil {
		return nil, err
	}
	a.servers = newServerLogs(o.Dir.Output(), a.specs, a.plan)
	if f := a.plan.Drain.StatusFile; f != "" {
		a.drain = filepath.Join(o.Dir.Output(), a.expand(f))
	}
	return a, nil
}

func planRules(p rundir.Plan) []blame.Rule {
	rules := make([]blame.Rule, 0, len(p.Classes))
	for _, c := range p.Classes {
		rules = append(rules, blame.Rule{Name: c.Name, Class: blame.Class(c.Class), Kind: c.Kind, Pattern: c.Pattern, Why: c.Why, Node: c.Node, Weak: c.Weak})
	}
	return rules
}

// specs are the steps of the plan in start order.
func specs(p rundir.Plan) []stepSpec {
	var out []stepSpec
	if script.NeedsInstall(p) {
		out = append(out, stepSpec{role: rundir.RolePlan{Name: "INSTALL", Kind: rundir.KindInstall}, install: true})
	}
	for _, r := range p.PreRoles {
		out = append(out, stepSpec{role: r})
	}
	for _, r := range p.Roles {
		out = append(out, stepSpec{role: r})
	}
	for i := range out {
		out[i].index, out[i].tasks = i, out[i].role.Tasks()
		if out[i].install {
			out[i].tasks = p.Nodes
		}
	}
	return out
}

// expand puts the job id where a path of the plan wants it.
func (a *agent) expand(path string) string { return strings.ReplaceAll(path, "%j", a.jobID) }

func (a *agent) run(ctx context.Context) error {
	defer a.starter.close()
	if err := a.makePlaces(); err != nil {
		return a.cannot(err)
	}
	nodes, err := a.starter.nodes(ctx)
	if err != nil {
		return a.cannot(fmt.Errorf("nodes of the job: %w", err))
	}
	if a.nodes = nodes; len(nodes) < a.plan.Nodes {
		return a.cannot(fmt.Errorf("the job holds %d nodes (%s), the plan needs %d", len(nodes), strings.Join(nodes, " "), a.plan.Nodes))
	}
	a.st = a.initial()
	a.record = newRecorder(a.dir, func(err error) { a.send(event{kind: evBroken, at: a.o.Now(), text: err.Error()}) })
	a.say("attempt of %s on %s", a.plan.Case.ID, strings.Join(a.nodes, " "))
	a.loop(ctx)
	return a.finish()
}

// initial is the state before anything has happened.
func (a *agent) initial() state {
	p := a.plan
	s := state{limits: limits{
		budgets: p.Budgets, hang: p.Hang.D(), lifeline: p.Lifeline.D(), grace: orDefault(p.Grace.D(), defaultGrace),
		drainRole: p.Drain.Role, drainFile: p.Drain.StatusFile, askJob: a.starter.asks(), drainBound: orDefault(p.Budgets.Drain.D(), drainBound),
	}}
	for i, spec := range a.specs {
		r := role{name: spec.role.Name, kind: spec.role.Kind, state: rundir.RolePending, wave: waveMain}
		switch {
		case spec.install:
			r.wave, r.nodes = waveInstall, a.nodes
		case i < len(a.specs)-len(p.Roles):
			r.wave = wavePre
		}
		for _, share := range spec.role.Slice {
			if share.Node >= 0 && share.Node < len(a.nodes) {
				r.nodes = append(r.nodes, a.nodes[share.Node])
			}
		}
		ready := spec.role.Ready
		r.conditional = ready.AddressFile != "" || ready.HTTPPath != "" || ready.LogPattern != ""
		s.roles = append(s.roles, r)
	}
	return s
}

func orDefault(v, def time.Duration) time.Duration {
	if v == 0 {
		return def
	}
	return v
}

// loop is the one goroutine that owns the state.
func (a *agent) loop(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	if a.drain != "" {
		go a.watchDrain(ctx)
	}
	go a.servers.watch(ctx, a.o.Now)
	a.handle(ctx, event{kind: evBegin, at: a.o.Now()})
	for !a.st.over {
		select {
		case e := <-a.events:
			a.handle(ctx, e)
		case sig := <-a.o.Signals:
			a.handle(ctx, event{kind: evSignal, at: a.o.Now(), text: signalName(sig)})
		case <-tick.C:
			now := a.o.Now()
			a.handle(ctx, event{kind: evTick, at: now, quiet: a.quiet(a.logs, now), alone: a.driver.alone(now), served: a.servers.firstServed()})
			a.statusLine(now)
		}
	}
}

// handle lets one event happen, does what follows and publishes the result.
func (a *agent) handle(ctx context.Context, e event) {
	seen := len(a.st.timeline)
	var todo []action
	a.st, todo = next(a.st, e)
	for _, t := range a.st.timeline[seen:] {
		if t.Role != "" {
			a.say("%s: %s", t.Role, t.What)
		} else {
			a.say("%s", t.What)
		}
	}
	for _, act := range todo {
		a.act(ctx, act)
	}
	changed := len(a.st.timeline) != seen || len(todo) > 0
	a.record.put(func() snapshot { return a.snapshot(e.at) }, changed, e.at, orDefault(a.o.Heartbeat, 5*time.Second))
}

func (a *agent) act(ctx context.Context, act action) {
	i := act.role
	switch act.kind {
	case doStart:
		a.startRole(ctx, i)
	case doWatch:
		go a.watchReady(ctx, i)
	case doTerm:
		a.signalStep(i, syscall.SIGTERM)
	case doKill:
		a.signalStep(i, syscall.SIGKILL)
	case doAskJob:
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askJobBound)
			defer cancel()
			a.send(event{kind: evJob, job: a.starter.job(ctx), at: a.o.Now()})
		}()
	case doProbe:
		go a.probe(ctx, slices.Clone(a.logs))
	case doCollect:
		go a.collect(a.st.ending != nil && a.st.ending.gaveUp)
	case doFinish:
	}
}

// send hands an event to the loop. After the loop has ended nobody listens any
// more, and what is left over is dropped.
func (a *agent) send(e event) {
	t := time.NewTimer(10 * time.Second)
	defer t.Stop()
	select {
	case a.events <- e:
	case <-t.C:
	}
}

func (a *agent) startRole(ctx context.Context, i int) {
	spec := a.specs[i]
	if a.st.ending != nil {
		return // an earlier role of this wave could not be started
	}
	fail := func(err error) {
		a.handle(ctx, event{kind: evNotStarted, role: i, at: a.o.Now(), text: err.Error()})
	}
	log, err := a.openLog(spec)
	if err != nil {
		fail(err)
		return
	}
	a.logs[i] = log
	bad := func(t rundir.TaskEnd) {
		end := stepEnd{Exit: t.Exit, Signal: t.Signal}
		if spec.tasks > 1 {
			end.First = &t
		}
		go a.send(event{kind: evBadTask, role: i, at: a.o.Now(), end: end})
	}
	s, err := a.starter.start(ctx, spec, log, bad)
	if err != nil {
		fail(err)
		return
	}
	a.steps[i] = s
	a.handle(ctx, event{kind: evStarted, role: i, at: a.o.Now()})
	a.closing.Add(1)
	go func() {
		defer a.closing.Done()
		end := s.wait()
		a.send(event{kind: evEnded, role: i, at: a.o.Now(), end: end, drain: a.drainSeen()})
		s.flush()
		a.closeRole(spec.role.Name, log)
	}()
}

// closeRole completes the log of a role that has been reaped and then says so
// with the file that the test's own scripts wait for.
func (a *agent) closeRole(name string, log *roleLog) {
	err := log.close()
	if done := a.plan.DoneNames[name]; done != "" && err == nil {
		err = rundir.WriteFile(filepath.Join(a.dir.Output(), a.expand(done)), nil, rundir.FileMode)
	}
	if err != nil {
		a.send(event{kind: evBroken, at: a.o.Now(), text: err.Error()})
	}
}

func (a *agent) signalStep(i int, sig syscall.Signal) {
	s := a.steps[i]
	if s == nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.signal(ctx, sig); err != nil {
			a.say("%s: %v could not be sent: %v", a.specs[i].role.Name, sig, err)
		}
	}()
}

func (a *agent) say(format string, args ...any) { a.console.say(format, args...) }

// cannot ends an attempt that could not begin: the record says why, if it can
// be written at all.
func (a *agent) cannot(err error) error {
	a.say("%v", err)
	now := a.o.Now()
	rec := a.header(now)
	rec.Phase = rundir.PhaseDone
	rec.End = &rundir.AgentEnd{At: now, Outcome: rundir.OutcomeInfra, Reason: err.Error(), Finding: &rundir.Finding{
		Class: string(blame.Infra), Kind: "agent", Rule: "agent-cannot-run", Message: err.Error(),
	}}
	return errors.Join(err, rundir.WriteJSON(a.dir.AgentFile(), rec))
}

// refuse ends a restarted job. What the first start wrote stays.
func (a *agent) refuse() error {
	var rec rundir.AgentRecord
	if err := rundir.ReadJSON(a.dir.AgentFile(), &rec); err != nil {
		rec = a.header(a.started)
	}
	now := a.o.Now()
	rec.Restart = a.restart
	rec.Heartbeat = now
	rec.Timeline = append(rec.Timeline, rundir.Event{At: now, What: fmt.Sprintf("refused: restart %d of the job", a.restart)})
	// What looked like a cancellation to the first start was the requeue.
	if rec.End == nil || rec.End.Outcome == rundir.OutcomeCancelled {
		rec.End = &rundir.AgentEnd{At: now, Outcome: rundir.OutcomeInfra, Reason: ErrRefused.Error(), Finding: &rundir.Finding{
			Class: string(blame.Infra), Kind: "restarted", Rule: "job-restarted", Message: fmt.Sprintf("Slurm restarted the job (restart %d)", a.restart),
		}}
	}
	a.say("%v (restart %d)", ErrRefused, a.restart)
	return errors.Join(ErrRefused, rundir.WriteJSON(a.dir.AgentFile(), rec))
}

// openLog creates the role's log and, while it is empty, its other name.
func (a *agent) openLog(spec stepSpec) (*roleLog, error) {
	name := spec.role.Name
	path := a.dir.RoleLog(name)
	if err := os.MkdirAll(filepath.Dir(path), rundir.DirMode); err != nil {
		return nil, err
	}
	f, err := openRoleLog(path)
	if err != nil {
		return nil, err
	}
	if other := a.plan.OutputNames[name]; other != "" {
		if err := link(path, filepath.Join(a.dir.Output(), a.expand(other))); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	l := &roleLog{
		role: name, console: a.console, now: a.o.Now, f: f, last: a.o.Now(),
		broken: func(err error) { go a.send(event{kind: evBroken, at: a.o.Now(), text: err.Error()}) },
		scan:   newScan(name, filepath.Join("roles", name, filepath.Base(path)), a.dir, a.look),
	}
	l.scan.line = func(text string) { a.console.line(name, text) }
	if p := spec.role.Ready.LogPattern; p != "" {
		if l.scan.ready, err = regexp.Compile(p); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("ready.log_pattern of %s: %w", name, err)
		}
	}
	return l, nil
}

// link makes to another name of from, so that both show the same growing file.
// A hard link also works where only to's directory is mounted into a container.
func link(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), rundir.DirMode); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	rel, err := filepath.Rel(filepath.Dir(to), from)
	if err != nil {
		return err
	}
	return os.Symlink(rel, to)
}
