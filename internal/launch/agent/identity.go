package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// identify finds out which job this is and gives the attempt its token: what
// marks files of this very attempt in a directory that may have seen others.
func (a *agent) identify() {
	env := a.o.Env
	a.jobID = proc.Getenv(env, "SLURM_JOB_ID")
	if a.backend() == BackendLocal {
		a.jobID = strconv.Itoa(a.o.PID)
	}
	a.restart, _ = strconv.Atoi(proc.Getenv(env, "SLURM_RESTART_COUNT")) // absent = never restarted
	if a.backend() == BackendLocal {
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
		return BackendLocal
	}
	return BackendSlurm
}

func (a *agent) pickStarter(ctx context.Context) error {
	switch a.backend() {
	case BackendLocal:
		var argv []string
		if a.o.GuardArgv != nil {
			argv = a.o.GuardArgv(a.mark)
		}
		g, err := startGuard(ctx, argv, proc.WithoutJenkins(a.o.Env))
		if err != nil {
			return err
		}
		a.starter = newLocal(a.dir, a.plan, a.o.Env, a.jobID, a.mark, g)
		return nil
	case BackendSlurm:
		if a.jobID == "" {
			return errors.New("SLURM_JOB_ID is not set: the agent of the slurm backend runs inside a job")
		}
		a.starter = newSlurm(a.dir, a.plan, a.o.Env, a.jobID, a.o.Now)
		return nil
	default:
		return fmt.Errorf("backend %q: use slurm or local", a.o.Backend)
	}
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
func (a *agent) makePlaces() error {
	out := a.dir.Output()
	if err := os.MkdirAll(out, rundir.DirMode); err != nil {
		return err
	}
	var stale []string
	if a.drain != "" {
		stale = append(stale, a.drain)
	}
	for _, spec := range a.specs {
		if f := spec.role.Ready.AddressFile; f != "" {
			stale = append(stale, filepath.Join(out, a.expand(f)))
		}
		if f := a.plan.DoneNames[spec.role.Name]; f != "" {
			stale = append(stale, filepath.Join(out, a.expand(f)))
		}
		if err := os.MkdirAll(a.dir.RoleDir(spec.role.Name), rundir.DirMode); err != nil {
			return err
		}
	}
	for _, f := range stale {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
