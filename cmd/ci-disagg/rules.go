package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rules"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

// governed is the config under rules that are not its own: those that --policy names, or in a pull request those of where
// it left its branch.
func (c config) governed(h host, o rules.Flags, b buildFlags) (governed config, err error) {
	pr := trust.Here(h.getenv).Stranger() || cmp.Or(b.mode, string(c.Perf.Policy.Mode)) == baseline.ModePR
	if pr {
		defer func() { governed.restrict(h) }()
	}
	if !pr && o.From == "" {
		return c, nil
	}
	wd, err := h.getwd()
	if err != nil {
		return c, err
	}
	r, err := rules.Asked{
		Flags: o, Config: cmp.Or(c.path, filepath.Join(wd, defaultConfig)), MergeBase: b.mergeBase,
		Target: cmp.Or(b.branch, h.getenv("CHANGE_TARGET")), Env: h.environ(),
		ReadFile: func(path string) ([]byte, error) {
			if path, err = absPath(h, path); err != nil {
				return nil, err
			}
			return h.readFile(path)
		},
	}.Find()
	if err == nil {
		err = c.under(&r)
	}
	switch {
	case err == nil:
	case o.From != "" || o.Required:
		return c, usageErr(fmt.Errorf("the rules that this run is to be judged by cannot be had: %w", err))
	case c.path != "": // else it has no rules of its own
		r = rules.Missed(err)
		c.rules = &r
	}
	return c, nil
}

// restrict has jobs see a few of the caller's variables only, where no export of their cluster says which.
func (c *config) restrict(h host) {
	c.passed, _ = script.PullRequestExport(h.environ())
	clusters := maps.Clone(c.Clusters)
	for name, p := range clusters {
		p.Passed = c.passed
		clusters[name] = p
	}
	c.Clusters = clusters
}

// exported says for plan which variables jobs lack in a pull request, where no export of their cluster names any.
func exported(h host, prof script.Profile) []pipeline.Setting {
	_, dropped := script.PullRequestExport(h.environ())
	if len(prof.ExportEnv) > 0 || len(dropped) == 0 {
		return nil
	}
	return []pipeline.Setting{{Key: "export, in pull requests", From: "default", Value: "without " + strings.Join(dropped, " ")}}
}

// under puts the rules over those of the config.
func (c *config) under(r *rules.Rules) error {
	if r.Text == "" {
		c.rules = r
		return nil
	}
	base, err := parseConfig(r.From, []byte(r.Text))
	if err != nil {
		return err
	}
	if err := r.TakePins(base.Perf.Pins); err != nil {
		return err
	}
	c.rules, c.changes = r, rules.Take(&c.fileConfig, base.fileConfig)
	return nil
}

// said are the rules for the report, nil where they are just the config's own.
func (c config) said() *report.Rules {
	if c.rules == nil {
		return nil
	}
	out := report.Rules{From: c.rules.From, Missing: c.rules.Missing}
	for _, change := range c.changes {
		out.Changes = append(out.Changes, change.String())
	}
	return &out
}

// tellRules says before a run begins by what it will be judged.
func (c config) tellRules(h host) {
	for _, w := range c.said().Warnings() {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: %s\n", w)
	}
}

// rulesCopy holds the rules that a run was made under, in its directory.
const rulesCopy = "rules.json"

// keptRules puts the config of a run directory under the rules that it was made under.
func (c *config) keptRules(tree *rundir.Tree) error {
	data, err := tree.ReadFile(filepath.Join(string(c.keptIn), rulesCopy), keptLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var r rules.Rules
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return fmt.Errorf("the rules that the run was made under: %w", err)
	}
	return c.under(&r)
}
