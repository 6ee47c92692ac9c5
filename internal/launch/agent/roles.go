package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/results"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/scan"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func (v *supervisor) startRole(ctx context.Context, i int) {
	spec := v.specs[i]
	if v.st.ending != nil {
		return // an earlier role of this wave could not be started
	}
	fail := func(err error) {
		v.handle(ctx, event{kind: evNotStarted, role: i, at: v.o.Now(), text: err.Error(), planted: planted(err)})
	}
	log, err := v.openLog(spec)
	if err != nil {
		fail(err)
		return
	}
	v.logs[i] = log
	bad := func(t rundir.TaskEnd) {
		end := step.End{Exit: t.Exit, Signal: t.Signal}
		if spec.Tasks > 1 {
			end.First = &t
		}
		go v.send(event{kind: evBadTask, role: i, at: v.o.Now(), end: end})
	}
	s, err := v.starter.Start(ctx, spec, log, bad)
	if err != nil {
		fail(err)
		return
	}
	v.steps[i] = s
	v.handle(ctx, event{kind: evStarted, role: i, at: v.o.Now()})
	v.closing.Add(1)
	go func() {
		defer v.closing.Done()
		end := s.Wait()
		v.send(event{
			kind: evEnded, role: i, at: v.o.Now(), end: end, drain: v.drain != "" && v.files.Has(v.drain),
			skipped: end.Exit == 0 && v.skipped(spec.Role.Name),
		})
		if end, late := s.Flush(); late {
			v.send(event{kind: evTold, role: i, at: v.o.Now(), end: end})
		}
		v.closeRole(spec.Role, log)
	}()
}

// skipped reports whether all tests of a role were skipped. A file server that stalls holds
// up no end: what it does not say soon is not known, and that is no skip.
func (v *supervisor) skipped(role string) bool {
	answer := make(chan bool, 1)
	go func() { answer <- results.OnlySkipped(v.files, v.run, role) }()
	select {
	case skipped := <-answer:
		return skipped
	case <-time.After(skipBound):
		return false
	}
}

// closeRole completes the log of a role that has been reaped and then says so
// with the file that the test's own scripts wait for.
func (v *supervisor) closeRole(r rundir.RolePlan, log *step.Output) {
	err := log.Close()
	if r.Done != "" && err == nil {
		err = v.files.WriteFile(v.outputFile(r.Done), nil, rundir.FileMode)
	}
	if err != nil {
		v.brokenBy(err)
	}
}

func (v *supervisor) brokenBy(err error) {
	v.send(event{kind: evBroken, at: v.o.Now(), text: err.Error(), planted: planted(err)})
}

func planted(err error) bool { return errors.As(err, new(*rundir.NodeError)) }

func (v *supervisor) signalStep(i int, sig syscall.Signal) {
	s := v.steps[i]
	if s == nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), sendBound)
		defer cancel()
		err := s.Signal(ctx, sig)
		if err != nil {
			v.say("%s: %v could not be sent: %v", v.specs[i].Role.Name, sig, err)
		}
		if sig == syscall.SIGKILL && errors.Is(err, step.ErrNotSent) {
			v.send(event{kind: evNotKilled, role: i, at: v.o.Now(), text: err.Error()})
		}
	}()
}

// openLog creates the role's log and, while it is empty, its other name.
func (v *supervisor) openLog(spec step.Spec) (*step.Output, error) {
	name := spec.Role.Name
	path := v.run.RoleLog(name)
	f, err := v.files.Append(path)
	if err != nil {
		return nil, err
	}
	if other := spec.Role.Output; other != "" {
		if err := v.files.Alias(path, v.outputFile(other)); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	through := scan.New(name, filepath.Join(filepath.Base(string(v.run)), "roles", name, filepath.Base(path)), v.dir, v.look)
	through.Health = watch.HealthCheck(spec.Role)
	through.Line = func(text string) { v.console.line(name, text) }
	if p := spec.Role.Ready.LogPattern; p != "" {
		if through.Ready, err = regexp.Compile(p); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("ready: {log: …} of %s: %w", name, err)
		}
	}
	return step.NewOutput(f, through, v.secrets, v.o.Now, func(err error) { go v.send(event{kind: evBroken, at: v.o.Now(), text: err.Error()}) }), nil
}

// watched is what is watched of the roles.
func (v *supervisor) watched() ([]watch.Role, error) {
	roles := make([]watch.Role, len(v.specs))
	for i, spec := range v.specs {
		r := spec.Role
		roles[i] = watch.Role{
			Name: r.Name, Health: r.Ready.HTTPPath, Dials: r.Ready.TCP, Out: v.run.RoleOut(r.Name), File: r.Ready.File, Given: r.Port, Logs: r.Logs,
		}
		if f := r.AddressFile(); f != "" {
			roles[i].Address = v.outputFile(f)
		}
		if r.Work == "" {
			continue
		}
		re, err := regexp.Compile(r.Work)
		if err != nil || re.NumSubexp() != 1 {
			return nil, fmt.Errorf("work of %s: %q is not a regular expression with one group", r.Name, r.Work)
		}
		roles[i].Work = re
	}
	return roles, nil
}

// printed is when each role printed something last, zero = it has not been started.
func printed(logs []*step.Output) []time.Time {
	at := make([]time.Time, len(logs))
	for i, l := range logs {
		if l != nil {
			at[i] = l.Last()
		}
	}
	return at
}

// probe asks who hangs.
func (v *supervisor) probe(ctx context.Context, logs []*step.Output) {
	said := make([]watch.Said, len(logs))
	for i, l := range logs {
		if l != nil {
			said[i] = watch.Said{Last: l.Last(), Checked: l.Checked(), Lines: l.LastLines()}
		}
	}
	s := v.watch.Probe(ctx, said)
	e := event{kind: evProbed, at: v.o.Now(), dead: s.Dead, busy: s.Busy, unread: s.Unread, silence: s.Since}
	e.quiet, e.idle = v.watch.Quiet(printed(logs), e.at), v.watch.Idle(printed(logs), e.at)
	for i := range said {
		e.still = append(e.still, v.watch.Still(i, said[i].Last, e.at))
	}
	v.send(e)
}
