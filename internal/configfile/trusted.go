package configfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// LoginVar is the variable of the caller that names the login nodes it goes to, with the directory of ours there:
// user@host:/agent_dir, several apart by spaces.
const LoginVar = "CI_DISAGG_LOGIN"

// RequireTrustedLogin refuses a login node that nobody but the run directory names: jobs can write the config that is
// kept there, and the record that names the cluster, and the driver would go there with the controller's keys. name and
// prof are the cluster of the kept config.
func (c Config) RequireTrustedLogin(name, backend string, prof script.Profile, getenv func(string) string) error {
	if c.KeptIn == "" || prof.Login == "" || backend == rundir.BackendLocal {
		return nil
	}
	at := LoginAddress(prof)
	if slices.Contains(strings.Fields(getenv("CI_DISAGG_LOGIN")), at) {
		return nil
	}
	mine, err := c.own(name)
	if err == nil && mine.Login != "" && LoginAddress(mine) == at {
		return nil
	}
	yours := "no config of yours names it"
	switch {
	case err != nil:
		yours = "yours cannot be read (" + err.Error() + ")"
	case mine.Login != "":
		yours = "yours says " + LoginAddress(mine)
	}
	return exit.ByUser(fmt.Errorf("clusters.%s.login of the config that is kept with the run says %s, and %s: jobs can write what is kept, so nobody has been asked there; "+
		"give --config FILE that names the same login and agent_dir, or set %s=%s", name, at, yours, LoginVar, at))
}

// RequireTrustedAgent refuses a binary that nobody but the run directory names as the agent: it would be copied to
// where jobs are.
func (c Config) RequireTrustedAgent(name, backend string, prof script.Profile) error {
	if c.KeptIn == "" || len(prof.Agent) == 0 || backend == rundir.BackendLocal {
		return nil
	}
	mine, err := c.own(name)
	for arch, path := range prof.Agent {
		if err != nil || c.Beside(path) != mine.Agent[arch] {
			return exit.ByUser(errors.Join(err, fmt.Errorf("clusters.%s.agent.%s of the config that is kept with the run says %s, and no config of yours does: jobs can write what is kept; "+
				"give --config FILE that names it", name, arch, path)))
		}
	}
	return nil
}

// RequireTrustedStore refuses to show $PGPASSWORD, which is for whatever host is named, to a database that nobody but
// the run directory names.
func (c Config) RequireTrustedStore(getenv func(string) string) error {
	url := c.StoreURL()
	if c.KeptIn == "" || url == "" || strings.HasPrefix(url, dirScheme) || getenv("PGPASSWORD") == "" || getenv("CI_DISAGG_STORE") != "" {
		return nil
	}
	if c.Own != nil {
		if mine, err := c.Own(); err == nil && mine.StoreURL() == url && !inRun(mine.Path) {
			return nil
		}
	}
	return exit.ByUser(errors.New("perf.store of the config that is kept with the run names a database that no config of yours does: jobs can write what is kept, " +
		"and $PGPASSWORD is not for any host; set CI_DISAGG_STORE, or give --config FILE that names it"))
}

// LoginAddress is a login node as LoginVar names it.
func LoginAddress(p script.Profile) string {
	if p.AgentDir == "" {
		return p.Login
	}
	return p.Login + ":" + p.AgentDir
}

// WithTrustedLogin adds to an environment that this process goes to the login node of a profile: those that it starts
// may, too.
func WithTrustedLogin(env []string, p script.Profile) []string {
	if p.Login == "" {
		return env
	}
	all := []string{LoginAddress(p)}
	for _, v := range env {
		if was, ok := strings.CutPrefix(v, LoginVar+"="); ok {
			all = append(all, was)
		}
	}
	return append(slices.Clone(env), LoginVar+"="+strings.Join(all, " "))
}

// Beside is a path as the config means it: relative to where the config was read.
func (c Config) Beside(path string) string {
	if filepath.IsAbs(path) || c.Path == "" {
		return path
	}
	return filepath.Join(filepath.Dir(c.Path), path)
}

// own is the cluster as the caller's own config describes it, its agents by their whole paths. A config that lies in a
// run directory is nobody's own.
func (c Config) own(cluster string) (script.Profile, error) {
	if c.Own == nil {
		return script.Profile{}, nil
	}
	mine, err := c.Own()
	if err != nil || inRun(mine.Path) {
		return script.Profile{}, err
	}
	p := mine.Clusters[cluster]
	agents := map[string]string{}
	for arch, path := range p.Agent {
		agents[arch] = mine.Beside(path)
	}
	p.Agent = agents
	return p, nil
}

// inRun reports whether a file lies in a run directory, however deep. What cannot be looked at may.
func inRun(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	for err == nil && path != filepath.Dir(path) {
		path = filepath.Dir(path)
		if _, statErr := os.Lstat(rundir.Dir(path).RunFile()); statErr == nil || !errors.Is(statErr, fs.ErrNotExist) {
			return true
		}
	}
	return err != nil
}
