package agent

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/recorder"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
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
	starter  step.Starter
	specs    []step.Spec    // by role index
	logs     []*step.Output // by role index, nil until started
	watch    *watch.Watch
	steps    []step.Step // by role index, nil until started
	events   chan event
	record   *recorder.Recorder
	st       state
	statusAt time.Time
	closing  sync.WaitGroup // steps whose log is not complete yet
	drain    string         // path of the client's status file, "" = none
	ticked   time.Time
	stalls   []rundir.Stall
	helpers  *helpers // on the nodes, nil until the roles have been started
}

// newSupervisor prepares one run of the job.
func (a *agent) newSupervisor(ref rundir.RunRef) (*supervisor, error) {
	at, err := script.Place(a.plan, a.dir, ref)
	if err != nil {
		return nil, err
	}
	v := &supervisor{agent: a, ref: ref, place: at, run: at.Run, began: a.o.Now(), events: make(chan event, 256)}
	v.specs = specs(a.plan, at.Build, !a.installed[ref.Build], a.stepsSoFar)
	a.stepsSoFar += len(v.specs)
	v.starter = a.newStarter(at)
	v.logs = make([]*step.Output, len(v.specs))
	v.steps = make([]step.Step, len(v.specs))
	roles, err := v.watched()
	if err != nil {
		return nil, err
	}
	v.watch = watch.New(a.files, v.run, roles, a.plan.Served, a.plan.Hang.D())
	v.watch.Answer = a.o.Answer
	if f := a.plan.Drain.StatusFile; f != "" {
		v.drain = v.outputFile(f)
	}
	return v, nil
}

// specs are the steps of a run in start order; before is how many the job has had.
func specs(p rundir.Plan, b rundir.BuildPlan, install bool, before int) []step.Spec {
	var out []step.Spec
	if install && script.NeedsInstall(b) {
		out = append(out, step.Spec{Role: rundir.RolePlan{Name: "INSTALL", Kind: rundir.KindInstall}, Install: true})
	}
	for _, r := range b.Roles {
		out = append(out, step.Spec{Role: r})
	}
	for i := range out {
		out[i].Index, out[i].Tasks = before+i, out[i].Role.Tasks()
		if out[i].Install {
			out[i].Tasks = p.Nodes
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
	nodes, err := v.starter.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("nodes of the job: %w", err)
	}
	if v.nodes = nodes; len(nodes) < v.plan.Nodes {
		return fmt.Errorf("the job holds %d nodes (%s), the plan needs %d", len(nodes), strings.Join(nodes, " "), v.plan.Nodes)
	}
	v.st = v.initial()
	v.record = recorder.New(v.files, v.dir, v.run, cmp.Or(v.o.BrokenAfter, 30*time.Second), v.brokenBy)
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
	switch {
	case v.ref.Warmup:
		what += ", a warm-up,"
	case v.ref.Again > 0:
		what += fmt.Sprintf(", pair %d measured again,", v.ref.Pair)
	case v.ref.Pair > 0:
		what += fmt.Sprintf(", pair %d of at most %d,", v.ref.Pair, v.plan.Pairs.MaxPairs)
	}
	return what + " of " + v.plan.Case.ID
}

// initial is the state before anything has happened.
func (v *supervisor) initial() state {
	p := v.plan
	s := state{limits: limits{
		budgets: p.Budgets, hang: p.Hang.D(), test: p.Case.Timeout.D(), lifeline: p.Lifeline.D(), grace: cmp.Or(p.Grace.D(), defaultGrace),
		drainRole: p.Drain.Role, drainFile: p.Drain.StatusFile, askJob: v.starter.Asks(), drainBound: cmp.Or(p.Budgets.Drain.D(), drainBound),
		askJobBound: cmp.Or(v.o.Ask, askJobBound), probeBound: cmp.Or(2*v.o.Answer, probeBound),
	}}
	for _, spec := range v.specs {
		r := role{
			name: spec.Role.Name, kind: spec.Role.Kind, state: rundir.RolePending, wave: waveMain, lifecycle: lifecycle{
				group: cmp.Or(spec.Role.Group, spec.Role.Name), needs: spec.Role.Needs,
				optional: spec.Role.Optional, withClient: spec.Role.Stop == rundir.StopWithClient,
			},
		}
		switch {
		case spec.Install:
			r.wave, r.nodes = waveInstall, v.nodes
		case spec.Role.Kind == rundir.KindPrecheck:
			r.wave = wavePre
		}
		for _, share := range spec.Role.Slice {
			if share.Node >= 0 && share.Node < len(v.nodes) {
				r.nodes = append(r.nodes, v.nodes[share.Node])
			}
		}
		r.conditional = spec.Role.Ready != rundir.Ready{}
		s.roles = append(s.roles, r)
	}
	depths(s.roles)
	return s
}

// loop is the one goroutine that owns the state.
func (v *supervisor) loop(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	if v.drain != "" {
		go func() {
			if v.watch.AwaitFile(ctx, v.drain) {
				v.send(event{kind: evDrain, at: v.o.Now()})
			}
		}()
	}
	go v.watch.Logs.Watch(ctx, v.o.Now)
	v.handle(ctx, event{kind: evBegin, at: v.o.Now()})
	for !v.st.over {
		select {
		case e := <-v.events:
			if e.kind == evSeen && e.role < 0 {
				v.helpers.hangsOn(e.seen)
				continue
			}
			if e.kind == evSeen {
				e.quiet = v.watch.Still(e.role, printed(v.logs)[e.role], e.at)
			}
			v.handle(ctx, e)
		case sig := <-v.o.Signals:
			v.handle(ctx, event{kind: evSignal, at: v.o.Now(), text: rundir.SignalOf(sig)})
		case <-tick.C:
			now := v.o.Now()
			v.stoodStill(now)
			if v.helpers == nil && (v.st.phase == rundir.PhaseReady || v.st.phase == rundir.PhaseBenchmark) { // never while it ends
				v.helpers = v.startHelpers(ctx)
			}
			v.handle(ctx, v.tick(now))
			v.statusLine(now)
		}
	}
}

// tick is what is seen every moment.
func (v *supervisor) tick(now time.Time) event {
	said := printed(v.logs)
	e := event{kind: evTick, at: now, quiet: v.watch.Quiet(said, now), idle: v.watch.Idle(said, now), alone: v.driver.Alone(now), served: v.watch.Logs.FirstServed()}
	if len(v.plan.Served) == 0 && v.plan.Drain.Role == "" {
		e.served = v.st.since // nothing says when: the benchmark serves from its beginning
	}
	if v.st.phase == rundir.PhaseReady {
		e.lacks = v.watch.Lacks()
	}
	return e
}

// stoodStill notes when much more time has passed since the last tick than between two:
// somebody had stopped the agent, or its whole machine. What was measured meanwhile
// was measured on a machine that stood still.
func (v *supervisor) stoodStill(now time.Time) {
	gap, first := now.Sub(v.ticked), v.ticked.IsZero()
	if v.ticked = now; first || gap < standstill || len(v.stalls) >= maxStalls {
		return
	}
	v.stalls = append(v.stalls, rundir.Stall{At: now, For: rundir.Duration(gap)})
	v.st.note(now, "", fmt.Sprintf("the agent stood still for %v", gap.Round(100*time.Millisecond)))
}

// handle lets one event happen, does what follows and publishes the result.
func (v *supervisor) handle(ctx context.Context, e event) {
	seen, phase := len(v.st.timeline), v.st.phase
	var todo []action
	if v.st, todo = next(v.st, e); v.st.phase != phase {
		v.helpers.enter(v.st.phase)
	}
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
	v.record.Put(func() rundir.AgentRecord { return v.snapshot(e.at) }, changed, e.at, cmp.Or(v.o.Heartbeat, 5*time.Second))
}

func (v *supervisor) act(ctx context.Context, act action) {
	i := act.role
	switch act.kind {
	case doStart:
		v.startRole(ctx, i)
	case doWatch:
		log := v.logs[i]
		go func() {
			if v.watch.AwaitReady(ctx, i, v.specs[i].Role.Ready.LogPattern, func() bool { return log.State().Ready }) {
				v.send(event{kind: evReady, role: i, at: v.o.Now()})
			}
		}()
	case doTerm:
		v.signalStep(i, syscall.SIGTERM)
	case doKill:
		v.signalStep(i, syscall.SIGKILL)
	case doAskJob:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.st.askJobBound)
		go func() {
			defer cancel()
			v.send(event{kind: evJob, job: v.starter.Job(ctx), at: v.o.Now()})
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
	select {
	case v.events <- e:
	case <-time.After(10 * time.Second):
	}
}
