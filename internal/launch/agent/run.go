package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// supervisor is one run under supervision. Its fields are constant once supervise
// has begun, except st and what is owned by other types with locks of their own.
type supervisor struct {
	*agent
	ref      rundir.RunRef
	place    script.RunPlace
	run      rundir.RunDir
	began    time.Time
	starter  starter
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
}

// newSupervisor prepares one run of the job.
func (a *agent) newSupervisor(ref rundir.RunRef) (*supervisor, error) {
	at, err := script.Place(a.plan, a.dir, ref)
	if err != nil {
		return nil, err
	}
	v := &supervisor{agent: a, ref: ref, place: at, run: at.Run, began: a.o.Now(), events: make(chan event, 256)}
	v.specs = specs(a.plan, at.Build, !a.installed[ref.Build], a.stepsSoFar)
	a.installed[ref.Build] = true
	a.stepsSoFar += len(v.specs)
	v.starter = a.newStarter(at)
	v.logs = make([]*roleLog, len(v.specs))
	v.steps = make([]step, len(v.specs))
	if err := v.compileWork(); err != nil {
		return nil, err
	}
	v.servers = newServerLogs(v.run, v.specs, a.plan)
	if f := a.plan.Drain.StatusFile; f != "" {
		v.drain = v.outputFile(f)
	}
	return v, nil
}

// specs are the steps of a run in start order; before is how many the job has had.
func specs(p rundir.Plan, b rundir.BuildPlan, install bool, before int) []stepSpec {
	var out []stepSpec
	if install && script.NeedsInstall(b) {
		out = append(out, stepSpec{role: rundir.RolePlan{Name: "INSTALL", Kind: rundir.KindInstall}, install: true})
	}
	for _, r := range b.Roles {
		out = append(out, stepSpec{role: r})
	}
	for i := range out {
		out[i].index, out[i].tasks = before+i, out[i].role.Tasks()
		if out[i].install {
			out[i].tasks = p.Nodes
		}
	}
	return out
}

// outputFile is a path of the plan below output/, with the job id where it wants it.
func (v *supervisor) outputFile(name string) string {
	return filepath.Join(v.run.Output(), strings.ReplaceAll(name, "%j", v.jobID))
}

// supervise runs all roles once. The error is a reason why they could not be.
func (v *supervisor) supervise(ctx context.Context) error {
	if err := v.makePlaces(); err != nil {
		return err
	}
	nodes, err := v.starter.nodes(ctx)
	if err != nil {
		return fmt.Errorf("nodes of the job: %w", err)
	}
	if v.nodes = nodes; len(nodes) < v.plan.Nodes {
		return fmt.Errorf("the job holds %d nodes (%s), the plan needs %d", len(nodes), strings.Join(nodes, " "), v.plan.Nodes)
	}
	v.st = v.initial()
	v.record = newRecorder(v.files, v.dir, v.run, func(err error) { v.send(event{kind: evBroken, at: v.o.Now(), text: err.Error()}) })
	v.say("%s on %s", v.title(), strings.Join(v.nodes, " "))
	v.loop(ctx)
	return nil
}

// title names the run where a job has several.
func (v *supervisor) title() string {
	if len(v.plan.Runs) == 1 {
		return "attempt of " + v.plan.Case.ID
	}
	what := fmt.Sprintf("run %d (%s)", v.ref.Index, v.ref.Build)
	if v.ref.Warmup {
		what += ", a warm-up,"
	}
	return what + " of " + v.plan.Case.ID
}

// initial is the state before anything has happened.
func (v *supervisor) initial() state {
	p := v.plan
	s := state{limits: limits{
		budgets: p.Budgets, hang: p.Hang.D(), test: p.Case.Timeout.D(), lifeline: p.Lifeline.D(), grace: orDefault(p.Grace.D(), defaultGrace),
		drainRole: p.Drain.Role, drainFile: p.Drain.StatusFile, askJob: v.starter.asks(), drainBound: orDefault(p.Budgets.Drain.D(), drainBound),
	}}
	for _, spec := range v.specs {
		r := role{name: spec.role.Name, kind: spec.role.Kind, state: rundir.RolePending, wave: waveMain}
		switch {
		case spec.install:
			r.wave, r.nodes = waveInstall, v.nodes
		case spec.role.Kind == rundir.KindPrecheck:
			r.wave = wavePre
		}
		for _, share := range spec.role.Slice {
			if share.Node >= 0 && share.Node < len(v.nodes) {
				r.nodes = append(r.nodes, v.nodes[share.Node])
			}
		}
		ready := spec.role.Ready
		r.conditional = ready.AddressFile != "" || ready.HTTPPath != "" || ready.LogPattern != ""
		s.roles = append(s.roles, r)
	}
	return s
}

// loop is the one goroutine that owns the state.
func (v *supervisor) loop(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	if v.drain != "" {
		go v.watchDrain(ctx)
	}
	go v.servers.watch(ctx, v.o.Now)
	v.handle(ctx, event{kind: evBegin, at: v.o.Now()})
	for !v.st.over {
		select {
		case e := <-v.events:
			v.handle(ctx, e)
		case sig := <-v.o.Signals:
			v.handle(ctx, event{kind: evSignal, at: v.o.Now(), text: signalName(sig)})
		case <-tick.C:
			now := v.o.Now()
			v.handle(ctx, event{kind: evTick, at: now, quiet: v.quiet(v.logs, now), alone: v.driver.alone(now), served: v.servers.firstServed()})
			v.statusLine(now)
		}
	}
}

// handle lets one event happen, does what follows and publishes the result.
func (v *supervisor) handle(ctx context.Context, e event) {
	seen := len(v.st.timeline)
	var todo []action
	v.st, todo = next(v.st, e)
	for _, t := range v.st.timeline[seen:] {
		if t.Role != "" {
			v.say("%s: %s", t.Role, t.What)
		} else {
			v.say("%s", t.What)
		}
	}
	for _, act := range todo {
		v.act(ctx, act)
	}
	changed := len(v.st.timeline) != seen || len(todo) > 0
	v.record.put(func() snapshot { return v.snapshot(e.at) }, changed, e.at, orDefault(v.o.Heartbeat, 5*time.Second))
}

func (v *supervisor) act(ctx context.Context, act action) {
	i := act.role
	switch act.kind {
	case doStart:
		v.startRole(ctx, i)
	case doWatch:
		go v.watchReady(ctx, i)
	case doTerm:
		v.signalStep(i, syscall.SIGTERM)
	case doKill:
		v.signalStep(i, syscall.SIGKILL)
	case doAskJob:
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askJobBound)
			defer cancel()
			v.send(event{kind: evJob, job: v.starter.job(ctx), at: v.o.Now()})
		}()
	case doProbe:
		go v.probe(ctx, slices.Clone(v.logs))
	case doCollect:
		go v.collect(v.st.ending != nil && v.st.ending.gaveUp)
	case doFinish:
	}
}

// send hands an event to the loop. After the loop has ended nobody listens any
// more, and what is left over is dropped.
func (v *supervisor) send(e event) {
	t := time.NewTimer(10 * time.Second)
	defer t.Stop()
	select {
	case v.events <- e:
	case <-t.C:
	}
}

func (v *supervisor) startRole(ctx context.Context, i int) {
	spec := v.specs[i]
	if v.st.ending != nil {
		return // an earlier role of this wave could not be started
	}
	fail := func(err error) {
		v.handle(ctx, event{kind: evNotStarted, role: i, at: v.o.Now(), text: err.Error()})
	}
	log, err := v.openLog(spec)
	if err != nil {
		fail(err)
		return
	}
	v.logs[i] = log
	bad := func(t rundir.TaskEnd) {
		end := stepEnd{Exit: t.Exit, Signal: t.Signal}
		if spec.tasks > 1 {
			end.First = &t
		}
		go v.send(event{kind: evBadTask, role: i, at: v.o.Now(), end: end})
	}
	s, err := v.starter.start(ctx, spec, log, bad)
	if err != nil {
		fail(err)
		return
	}
	v.steps[i] = s
	v.handle(ctx, event{kind: evStarted, role: i, at: v.o.Now()})
	v.closing.Add(1)
	go func() {
		defer v.closing.Done()
		end := s.wait()
		v.send(event{kind: evEnded, role: i, at: v.o.Now(), end: end, drain: v.drainSeen()})
		s.flush()
		v.closeRole(spec.role, log)
	}()
}

// closeRole completes the log of a role that has been reaped and then says so
// with the file that the test's own scripts wait for.
func (v *supervisor) closeRole(r rundir.RolePlan, log *roleLog) {
	err := log.close()
	if r.Done != "" && err == nil {
		err = v.files.WriteFile(v.outputFile(r.Done), nil, rundir.FileMode)
	}
	if err != nil {
		v.send(event{kind: evBroken, at: v.o.Now(), text: err.Error()})
	}
}

func (v *supervisor) signalStep(i int, sig syscall.Signal) {
	s := v.steps[i]
	if s == nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.signal(ctx, sig); err != nil {
			v.say("%s: %v could not be sent: %v", v.specs[i].role.Name, sig, err)
		}
	}()
}

// openLog creates the role's log and, while it is empty, its other name.
func (v *supervisor) openLog(spec stepSpec) (*roleLog, error) {
	name := spec.role.Name
	path := v.run.RoleLog(name)
	f, err := v.files.Append(path)
	if err != nil {
		return nil, err
	}
	if other := spec.role.Output; other != "" {
		if err := v.files.Alias(path, v.outputFile(other)); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	l := &roleLog{
		role: name, console: v.console, now: v.o.Now, f: f, last: v.o.Now(),
		broken: func(err error) { go v.send(event{kind: evBroken, at: v.o.Now(), text: err.Error()}) },
		scan:   newScan(name, filepath.Join(filepath.Base(string(v.run)), "roles", name, filepath.Base(path)), v.dir, v.look),
	}
	l.scan.line = func(text string) { v.console.line(name, text) }
	if p := spec.role.Ready.LogPattern; p != "" {
		if l.scan.ready, err = regexp.Compile(p); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("ready.log_pattern of %s: %w", name, err)
		}
	}
	return l, nil
}
