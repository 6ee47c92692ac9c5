// Package pipeline turns a config into plans: one for each case of a suite, and what people are shown of them.
//
// In: the launching half of ci-disagg.yaml, the cases that a command line selects, environment and clock.
// Out: rundir.Plan values of a producer (generic: the pipelines of the config; trtllm: TensorRT-LLM's tests), with the
// profile of the cluster applied. Nothing behind the plan knows where it came from.
package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/launch/generic"
	"github.com/ci-disagg/ci-disagg/internal/launch/paired"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// DefaultFile is the config that is read where none is named.
const DefaultFile = "ci-disagg.yaml"

// Config is the part of ci-disagg.yaml that says what is launched, where and how. Each package owns its section.
type Config struct {
	Stage    string                    `yaml:"stage"`                                    // name in reports; --stage overrides it
	RunsDir  string                    `yaml:"runs_dir"`                                 // parent of run directories; must be shared with the nodes
	Group    string                    `yaml:"group" policy:"base"`                      // of people who may read run directories
	Backend  string                    `yaml:"backend" enum:"slurm,local" policy:"base"` // slurm (default) or local
	Cluster  string                    `yaml:"cluster"`                                  // of clusters:, when --cluster is not given
	Workload Workload                  `yaml:"workload"`
	Clusters map[string]script.Profile `yaml:"clusters"`
	Budgets  rundir.Budgets            `yaml:"budgets"`
	Jobs     Jobs                      `yaml:"jobs"`
	Retry    retry.Policy              `yaml:"retry"`
	Builds   paired.Builds             `yaml:"builds"` // the software that is compared
	AB       paired.Config             `yaml:"ab" policy:"base"`
	Collect  drive.Collect             `yaml:"collect"`
	Machine  Machine                   `yaml:"machine" policy:"base"`
	Classes  []blame.Rule              `yaml:"classes" policy:"base"` // failure classes before the built-in ones

	generic.Config `yaml:",inline"` // pipelines: and cases:
}

// Jobs bounds how many jobs a run has at once.
type Jobs struct {
	Max      int  `yaml:"max" bounds:"0,"` // 0 = no limit of the run's own
	FailFast bool `yaml:"fail_fast"`       // the first case that does not pass ends the others
	// Lifeline is after how long without a driver a job ends itself; 0 = never, nil =
	// the caller's default.
	Lifeline *rundir.Duration `yaml:"lifeline"`
}

// LifelineOr is the lifeline that a flag names, else the config's, else the default.
func (j Jobs) LifelineOr(flag, def time.Duration) rundir.Duration {
	switch {
	case flag > 0:
		return rundir.Duration(flag)
	case j.Lifeline != nil:
		return *j.Lifeline
	default:
		return rundir.Duration(def)
	}
}

// Default is the config of an empty file.
func Default() Config { return Config{Retry: retry.Default(), Machine: defaultMachine()} }

// Validate returns every problem of the config, at its place in doc.
func (c Config) Validate(doc strictyaml.Document) []error {
	errs := c.Config.Validate(doc)
	bad := func(path, format string, args ...any) { errs = append(errs, doc.Problem(path, format, args...)) }
	names := slices.Sorted(maps.Keys(c.Clusters))
	for _, name := range names {
		errs = append(errs, doc.Locate("", c.Clusters[name].Validate(name))...)
	}
	if c.Cluster != "" && !slices.Contains(names, c.Cluster) {
		bad("cluster", "%q is not one of clusters: %s%s", c.Cluster, strings.Join(names, ", "), strictyaml.DidYouMean(c.Cluster, names))
	}
	if c.Backend != "" && !backend(c.Backend) {
		bad("backend", "%q is not slurm or local%s", c.Backend, strictyaml.DidYouMean(c.Backend, rundir.Backends()))
	}
	if why := layoutProblem(c.Workload); why != "" {
		bad("workload.output_layout", "%s", why)
	}
	for _, n := range c.counts() {
		if n.value < 0 {
			bad(n.key, "%d is negative", n.value)
		}
	}
	errs = append(errs, c.AB.Validate(doc)...)
	errs = append(errs, c.validateSeeing(doc)...)
	if _, err := blame.Compile(c.Classes); err != nil {
		bad("classes", "%v", err)
	}
	return errs
}

// counted is a value that cannot be negative.
type counted struct {
	key   string
	value int64
}

func (c Config) counts() []counted {
	return []counted{
		{"collect.max_file", c.Collect.MaxFile},
		{"collect.max_files", int64(c.Collect.MaxFiles)},
		{"collect.max_total", c.Collect.MaxTotal},
		{"jobs.max", int64(c.Jobs.Max)},
		{"retry.budget", int64(c.Retry.Budget)},
		{"retry.max", int64(c.Retry.Max)},
	}
}

func backend(name string) bool { return slices.Contains(rundir.Backends(), name) }

// BackendOr is the backend that a flag names, else the config's, else Slurm.
func (c Config) BackendOr(flag string) (string, error) {
	if flag == "" {
		flag = c.Backend
	}
	switch {
	case flag == "":
		return rundir.BackendSlurm, nil
	case !backend(flag):
		return "", fmt.Errorf("--backend %q is not slurm or local%s", flag, strictyaml.DidYouMean(flag, rundir.Backends()))
	default:
		return flag, nil
	}
}

// Profile is the cluster's name and profile: the flag's, else the config's, else the only one there is. No clusters at
// all is the empty profile. file is the config's name, "" where there is none.
func (c Config) Profile(flag, file string) (string, script.Profile, error) {
	name := flag
	if name == "" {
		name = c.Cluster
	}
	names := slices.Sorted(maps.Keys(c.Clusters))
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if p, ok := c.Clusters[name]; ok {
		return name, p, nil
	}
	var err error
	switch {
	case name != "" && file == "":
		err = fmt.Errorf("--cluster %s: no %s is here that would describe it: name one with --config, or write clusters: {%s: {gpus_per_node: 4}} into it", name, DefaultFile, name)
	case name != "" && len(names) == 0:
		err = fmt.Errorf("--cluster %s: %s has no clusters: section: write clusters: {%s: {gpus_per_node: 4}} into it", name, file, name)
	case name != "":
		err = fmt.Errorf("--cluster %s: the config has no such cluster (it has: %s)%s", name, strings.Join(names, ", "), strictyaml.DidYouMean(name, names))
	case len(names) > 1:
		err = fmt.Errorf("which cluster? Give --cluster, or cluster: in the config (it has: %s)", strings.Join(names, ", "))
	}
	return "", script.Profile{}, err
}

// RunsIn is where run directories are made: the config's runs_dir, which is relative to dir, else a directory of the
// user's own. It is outside the Jenkins workspace, which is wiped and may not be shared with the nodes.
func (c Config) RunsIn(dir string, getenv func(string) string) (string, error) {
	if d := c.RunsDir; d != "" {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		return d, nil
	}
	if d := getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "ci-disagg", "runs"), nil
	}
	if d := getenv("HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, ".local", "state", "ci-disagg", "runs"), nil
	}
	return "", errors.New("where may run directories be? Give runs_dir in the config, or for one run --run-dir: $HOME is not set")
}

// classRules are the config's failure classes as a plan carries them.
func (c Config) classRules() []rundir.ClassRule {
	var out []rundir.ClassRule
	for _, r := range c.Classes {
		out = append(out, rundir.ClassRule{Name: r.Name, Class: string(r.Class), Kind: r.Kind, Pattern: r.Pattern, Why: r.Why, Node: r.Node, Weak: r.Weak})
	}
	return out
}
