package configfile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

// Build is what a command line says of the build whose rules are asked for.
type Build struct {
	Mode      string
	MergeBase string
	Branch    string
}

// Caller is the process that asks for rules.
type Caller struct {
	WorkDir string
	Getenv  func(string) string
	Environ []string
	Read    ReadFunc
}

// Governed is the config under rules that are not its own: those that --policy names, or in a pull request those of
// where it left its branch.
func (c Config) Governed(by Caller, o prpolicy.Flags, b Build) (governed Config, err error) {
	pr := trust.Here(by.Getenv).Stranger() || cmp.Or(b.Mode, string(c.Perf.Policy.Mode)) == baseline.ModePR
	if pr {
		defer func() { governed.Restrict(by.Environ) }()
	}
	if !pr && o.From == "" {
		return c, nil
	}
	r, err := prpolicy.Asked{
		Flags: o, Config: cmp.Or(c.Path, filepath.Join(by.WorkDir, DefaultFile)), MergeBase: b.MergeBase,
		Target: cmp.Or(b.Branch, by.Getenv("CHANGE_TARGET")), Env: by.Environ,
		WorkDir: by.WorkDir, Stranger: pr,
		ReadFile: func(path string) ([]byte, error) { return by.Read(absPath(by.WorkDir, path)) },
	}.Find()
	if err == nil {
		if err = c.Under(&r); err != nil { // its own rules do not stand in for rules that are there
			err = fmt.Errorf("the rules that this run is to be judged by cannot be read: %w (a newer merge base may have others, --policy names them)", err)
			return c, exit.ByUser(err)
		}
	}
	switch {
	case err == nil:
	case o.From != "" || o.Required:
		return c, exit.ByUser(fmt.Errorf("the rules that this run is to be judged by cannot be had: %w", err))
	case c.Path != "": // else it has no rules of its own
		r = prpolicy.Missed(err)
		c.Rules = &r
	}
	return c, nil
}

// Restrict has jobs see a few of the caller's variables only, where no export of their cluster says which.
func (c *Config) Restrict(environ []string) {
	c.Passed, _ = script.PullRequestExport(environ)
	clusters := maps.Clone(c.Clusters)
	for name, p := range clusters {
		p.Passed = c.Passed
		clusters[name] = p
	}
	c.Clusters = clusters
}

// Exported says for plan which variables jobs lack in a pull request, where no export of their cluster names any.
func Exported(environ []string, prof script.Profile) []pipeline.Setting {
	_, dropped := script.PullRequestExport(environ)
	if len(prof.ExportEnv) > 0 || len(dropped) == 0 {
		return nil
	}
	return []pipeline.Setting{{Key: "export, in pull requests", From: "default", Value: "without " + strings.Join(dropped, " ")}}
}

// Under puts the rules over those of the config.
func (c *Config) Under(r *prpolicy.Rules) error {
	if r.Missing != "" {
		c.Rules = r
		return nil
	}
	base := Config{File: defaults()}
	if strings.TrimSpace(r.Text) != "" { // Parse refuses an empty file; as rules it loosens nothing
		var err error
		if base, err = Parse(r.From, []byte(r.Text)); err != nil {
			return err
		}
	}
	if err := r.TakePins(base.Perf.Pins); err != nil {
		return err
	}
	c.Rules, c.changes = r, prpolicy.Take(&c.File, base.File)
	return nil
}

// Said are the rules for the report, nil where they are just the config's own.
func (c Config) Said() *report.Rules {
	if c.Rules == nil {
		return nil
	}
	out := report.Rules{From: c.Rules.From, Missing: c.Rules.Missing}
	for _, change := range c.changes {
		out.Changes = append(out.Changes, change.String())
	}
	return &out
}

// keptRules puts the config of a run directory under the rules that it was made under.
func (c *Config) keptRules(tree *rundir.Tree) error {
	data, err := tree.ReadFile(filepath.Join(string(c.KeptIn), rulesCopy), keptLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var r prpolicy.Rules
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return fmt.Errorf("the rules that the run was made under: %w", err)
	}
	return c.Under(&r)
}
