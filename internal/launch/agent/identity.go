package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// identify finds out which job this is and gives the attempt its token: what
// marks files of this very attempt in a directory that may have seen others.
func (a *agent) identify() {
	env := a.o.Env
	a.jobID = proc.Getenv(env, "SLURM_JOB_ID")
	if a.backend() == rundir.BackendLocal {
		a.jobID = strconv.Itoa(a.o.PID)
	}
	a.restart, _ = strconv.Atoi(proc.Getenv(env, "SLURM_RESTART_COUNT")) // absent = never restarted
	if a.backend() == rundir.BackendLocal {
		a.restart = 0
	}
	a.token = fmt.Sprintf("%s.%d.%d", a.jobID, a.restart, a.o.PID)
	dir := sha256.Sum256([]byte(a.dir))
	a.mark = a.token + "." + hex.EncodeToString(dir[:4])
	if name := a.plan.TokenEnv; name != "" {
		if t := proc.Getenv(env, name); t != "" {
			a.token = t // job.sh has made one already
		}
		a.o.Env = append(proc.Without(env, func(n string) bool { return n == name }), name+"="+a.token)
	}
}

func (a *agent) backend() string {
	switch {
	case a.o.Backend != "":
		return a.o.Backend
	case a.plan.LocalAgent:
		return rundir.BackendLocal
	}
	return rundir.BackendSlurm
}

// checkBackend makes ready what all runs of a backend share.
func (a *agent) checkBackend(ctx context.Context) error {
	switch a.backend() {
	case rundir.BackendLocal:
		var argv []string
		if a.o.GuardArgv != nil {
			argv = a.o.GuardArgv(a.mark)
		}
		g, err := step.StartGuard(ctx, argv, proc.WithoutJenkins(a.o.Env), a.o.Alone)
		if err != nil {
			return err
		}
		a.guard = g
		return nil
	case rundir.BackendSlurm:
		if a.jobID == "" {
			return errors.New("SLURM_JOB_ID is not set: the agent of the slurm backend runs inside a job")
		}
		return nil
	default:
		return fmt.Errorf("backend %q: use slurm or local", a.o.Backend)
	}
}

// newStarter starts the steps of one run.
func (a *agent) newStarter(at script.RunPlace) step.Starter {
	if a.backend() == rundir.BackendLocal {
		return step.NewLocal(a.plan, at, a.o.Env, a.jobID, a.mark, a.guard)
	}
	s := step.NewSlurm(a.plan, at, a.o.Env, a.jobID, a.o.Now)
	s.Call = a.o.Ask
	return s
}

// header is the part of the record that does not change.
func (a *agent) header(now time.Time) rundir.AgentRecord {
	return rundir.AgentRecord{
		Schema: rundir.Schema, Version: a.o.Version, JobID: a.jobID, Token: a.token, Host: a.o.Host, PID: a.o.PID,
		Restart: a.restart, Nodes: a.nodes, Started: a.started, Heartbeat: now,
	}
}

// makePlaces creates the directories that roles write to and removes what an
// earlier start may have left there: a stale status file ends a server at once,
// a stale address sends the client to a server that is gone.
func (v *supervisor) makePlaces() error {
	if err := v.files.MkdirAll(v.run.Output()); err != nil {
		return err
	}
	var stale []string
	if v.drain != "" {
		stale = append(stale, v.drain)
	}
	for _, spec := range v.specs {
		if f := spec.Role.Ready.AddressFile; f != "" {
			stale = append(stale, v.outputFile(f))
		}
		if f := spec.Role.Done; f != "" {
			stale = append(stale, v.outputFile(f))
		}
		if err := v.files.MkdirAll(v.run.RoleDir(spec.Role.Name)); err != nil {
			return err
		}
	}
	for _, f := range stale {
		if err := v.files.Remove(f); err != nil {
			return err
		}
	}
	return nil
}
