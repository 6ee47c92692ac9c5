// Package target is where the jobs of a run go: a cluster of the config, here or behind a login node, or this machine.
//
// In: the cluster's profile, the backend, the environment, a team's own draft. Out: the host and the client of Slurm
// that a run is driven with, the files of its jobs, and, before anything is written, the proof that jobs can be made
// and submitted there. Errors carry the exit code of package exit.
package target

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Options say which target is meant.
type Options struct {
	Cluster string // its name in the config; "" = there is none
	Profile script.Profile
	Backend string // rundir.BackendSlurm or rundir.BackendLocal
	Self    string // the path of this binary
	Environ []string
	Getenv  func(string) string
	Now     func() time.Time
	Log     *slog.Logger
	// Doc and Config are the config that the profile is from, and its path.
	Doc    strictyaml.Document
	Config string
}

// Target is where jobs go.
type Target struct {
	Options
	Host      host.Host
	Slurm     *slurm.Client // nil with the local backend
	Binary    submit.Binary
	Draft     []byte
	DraftName string // where Draft came from
}

// New connects to nothing yet; Close ends what later calls connect to.
func New(o Options) (*Target, error) {
	t := &Target{Options: o, Binary: submit.Binary{Path: o.Self, Dir: o.Profile.AgentDir}, Host: host.NewHere(o.Environ)}
	if o.Backend == rundir.BackendLocal {
		return t, nil
	}
	if o.Profile.Login != "" {
		ssh, err := host.NewSSH(host.SSHConfig{Dest: o.Profile.Login, Env: o.Environ, Shared: o.Profile.AgentDir == ""})
		if err != nil {
			return nil, exit.ByUser(err)
		}
		t.Host = ssh
	}
	t.Slurm = slurm.New(t.Host, slurm.Options{Log: o.Log})
	return t, nil
}

// Close ends the connection to the login node. One that will not close says nothing
// about the run.
func (t *Target) Close() { _ = t.Host.Close() }

// Access is how the jobs of runs are reached.
func (t *Target) Access() runs.Access {
	return runs.Access{Host: t.Host, Slurm: t.Slurm, Environ: t.Environ, Now: t.Now, Log: t.Log}
}

// CheckConf refuses a SLURM_CONF that names nothing: Slurm's commands would look for
// the cluster elsewhere, each for a minute.
func (t *Target) CheckConf() error {
	conf := t.Getenv("SLURM_CONF")
	if conf == "" || t.Slurm == nil || t.Profile.Login != "" {
		return nil
	}
	if _, err := os.Stat(conf); err != nil {
		return exit.ByUser(fmt.Errorf("SLURM_CONF: %w: set it to the cluster's slurm.conf, or unset it", err))
	}
	return nil
}

// UseDraft reads a team's own launch draft; name is what people call it. A draft starts no agent.
func (t *Target) UseDraft(read func(string) ([]byte, error), path, name string) error {
	draft, err := pipeline.ReadDraft(read, path)
	if err != nil {
		return exit.ByUser(fmt.Errorf("--draft: %w", err))
	}
	t.Draft, t.DraftName = draft, name
	return nil
}

// draftLimit bounds a draft that is kept, in bytes.
const draftLimit = 16 << 20

// UseKeptDraft reads the draft that a run directory keeps, if it does, and nothing that a job has put in its place.
func (t *Target) UseKeptDraft(dir rundir.Dir, name string) error {
	tree, err := dir.Tree()
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }() // only read from
	draft := filepath.Join(string(dir), name)
	if _, err := tree.Lstat(draft); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return t.UseDraft(func(path string) ([]byte, error) { return tree.ReadFile(path, draftLimit) }, draft, draft)
}

// FindAgent says which ci-disagg runs as agent: the one of the profile for the
// nodes' architecture, else this one.
func (t *Target) FindAgent() error {
	if t.Backend == rundir.BackendLocal || len(t.Draft) > 0 {
		return nil
	}
	named, err := t.Profile.AgentFor(runtime.GOARCH)
	if err != nil {
		return exit.ByUser(fmt.Errorf("%s: clusters.%s.%w", t.Doc.At("clusters."+t.Cluster+".arch"), t.Cluster, err))
	}
	if named != "" {
		t.Binary.Path = named
		if !filepath.IsAbs(named) && t.Config != "" {
			t.Binary.Path = filepath.Join(filepath.Dir(t.Config), named)
		}
	}
	return nil
}

// Render makes the files of one attempt.
func (t *Target) Render(in submit.Input) ([]rundir.File, error) {
	return script.Render(in.Plan, t.Profile, script.Attempt{
		Dir: string(in.Attempt), JobName: in.Name, Owner: in.Owner, Exclude: in.Exclude,
		AgentPath: in.Agent, Draft: t.Draft, DraftName: t.DraftName,
	})
}

// example makes the files of an attempt that nobody submits.
func (t *Target) example(p rundir.Plan, dir rundir.AttemptDir, name string) ([]rundir.File, error) {
	return t.Render(submit.Input{Plan: p, Attempt: dir, Name: name, Owner: "OWNER", Agent: t.Binary.Path})
}

// first makes the files of the case's first attempt below dir.
func (t *Target) first(dir rundir.Dir, p rundir.Plan) (rundir.AttemptDir, []rundir.File, error) {
	attempt := dir.CaseDir(p.Case.Slug).Attempt(0, 1)
	files, err := t.example(p, attempt, "ci-disagg-RUN")
	return attempt, files, exit.ByUser(err)
}

// secretsAreThere names every secret that is to come from this environment and
// is not in it, before anything is submitted.
func (t *Target) secretsAreThere(plans []rundir.Plan) error {
	var errs []error
	told := map[string]bool{}
	for _, p := range plans {
		for _, sec := range p.Secrets {
			if sec.From == "" || told[sec.Name] || t.Getenv(sec.From) != "" {
				continue
			}
			told[sec.Name] = true
			errs = append(errs, fmt.Errorf("workload.secrets: %s: the variable %s is not set here; withCredentials of Jenkins sets it", sec.Name, sec.From))
		}
	}
	return exit.ByUser(errors.Join(errs...))
}
