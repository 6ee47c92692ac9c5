package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/session"
	"github.com/ci-disagg/ci-disagg/internal/rules"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// defaultConfig is read when --config is not given; it may be absent then.
const defaultConfig = pipeline.DefaultFile

// fileConfig is ci-disagg.yaml: each half owns its sections, this file only
// puts them together. docs/config.md describes every key.
type fileConfig struct {
	pipeline.Config `yaml:",inline"`
	Perf            session.Perf   `yaml:"perf"`
	Report          session.Output `yaml:"report"`
	SCM             session.SCM    `yaml:"scm"`
}

// config is a loaded file with what is needed to complain about it.
type config struct {
	fileConfig
	path   string // absolute; "" = there is no file
	doc    strictyaml.Document
	raw    []byte
	keptIn rundir.Dir // the run directory that it was found in, "" = it was not

	rules   *rules.Rules   // that are not its own; nil = there are none
	changes []rules.Change // what they changed
	passed  []string       // variables that a pull request's jobs see where no export says; nil = it is none
}

// addConfigFlag registers the flag by which every verb finds a config.
func addConfigFlag(f *pflag.FlagSet, path *string, what string) {
	f.StringVarP(path, "config", "c", "", what+" (default "+defaultConfig+" here, if it exists)")
}

// addClusterFlag registers the flag that picks a cluster of it.
func addClusterFlag(f *pflag.FlagSet, cluster *string) {
	f.StringVar(cluster, "cluster", "", "cluster of the config's clusters: section")
}

// loadConfig reads the file at path. An empty path means the default file,
// which need not exist; a named one must.
func loadConfig(h host, path string) (config, error) {
	wd, err := h.getwd()
	if err != nil {
		return config{}, err
	}
	named := path != ""
	if !named {
		path = defaultConfig
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(wd, path)
	}
	data, err := h.readFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return config{fileConfig: fileConfig{Config: pipeline.Default(), Perf: session.DefaultPerf()}}, nil
	}
	if err != nil {
		return config{}, usageErr(fmt.Errorf("config: %w", err))
	}
	c, err := parseConfig(shortPath(wd, path), data)
	c.path = path
	return c, usageErr(err)
}

// parseConfig decodes and checks the text of a config file.
func parseConfig(file string, data []byte) (config, error) {
	c := config{raw: data, fileConfig: fileConfig{Config: pipeline.Default(), Perf: session.DefaultPerf()}}
	doc, err := strictyaml.Read(file, data, &c.fileConfig)
	c.doc = doc
	if err != nil {
		return c, err
	}
	errs := append(c.Validate(doc), c.Perf.Validate(doc)...)
	errs = append(errs, c.Report.Validate(doc)...)
	rd := c.Perf.Reader(metric.Default())
	c.EachReader(func(path, reader string, requests bool) {
		if err := rd.Check(reader, requests); err != nil {
			errs = append(errs, doc.Problem(path, "%v", err))
		}
	})
	return c, errors.Join(append(errs, c.SCM.Validate(doc)...)...)
}

// metrics is the built-in table with the config's own metrics.
func (c config) metrics() (metric.Table, error) { return c.Perf.Metrics() }

// reader reads the outputs of benchmark clients.
func (c config) reader(metrics metric.Table) bench.Reader { return c.Perf.Reader(metrics) }

// profile is the cluster's profile and name.
func (c config) profile(flag string) (string, script.Profile, error) {
	name, prof, err := c.Profile(flag, c.doc.File)
	return name, prof, usageErr(err)
}

// runsDir is where the config has run directories made.
func runsDir(h host, c config) (string, error) {
	dir, err := c.RunsIn(filepath.Dir(c.path), h.getenv)
	return dir, usageErr(err)
}

// shortPath is path as a person in wd would write it.
func shortPath(wd, path string) string {
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
