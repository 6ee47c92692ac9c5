package main

import (
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
)

// defaultConfig is read when --config is not given; it may be absent then.
const defaultConfig = configfile.DefaultFile

// config is a loaded ci-disagg.yaml.
type config = configfile.Config

// own gives the caller's config for what a kept one is not believed in; in a pull request under its branch's rules.
func own(h host, path string, o prpolicy.Flags, mergeBase string) func() (config, error) {
	return func() (config, error) { return ruled(h, path, o, buildFlags{mergeBase: mergeBase}) }
}

// addConfigFlag registers the flag by which every verb finds a config.
func addConfigFlag(f *pflag.FlagSet, path *string, what string) {
	f.StringVarP(path, "config", "c", "", what+" (default "+defaultConfig+" here, if it exists)")
}

// addClusterFlag registers the flag that picks a cluster of it.
func addClusterFlag(f *pflag.FlagSet, cluster *string) {
	f.StringVar(cluster, "cluster", "", "cluster of the config's clusters: section")
}

// loadConfig reads the file at path. An empty path means the default file, which need not exist; a named one must.
func loadConfig(h host, path string) (config, error) {
	wd, err := h.getwd()
	if err != nil {
		return config{}, err
	}
	return configfile.Load(h.readFile, wd, path)
}

// runsDir is where the config has run directories made.
func runsDir(h host, c config) (string, error) { return c.RunsDir(h.getenv) }
