package main

import (
	"errors"
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

// governed is the config under rules that are not its own.
func governed(h host, c config, o prpolicy.Flags, b buildFlags) (config, error) {
	wd, err := h.getwd()
	if err != nil {
		return c, err
	}
	by := configfile.Caller{WorkDir: wd, Getenv: h.getenv, Environ: h.environ(), Read: h.readFile}
	return c.Governed(by, o, configfile.Build{Mode: b.mode, MergeBase: b.mergeBase, Branch: b.branch})
}

// ruled is the config of a path, under the rules that hold for a build.
func ruled(h host, path string, o prpolicy.Flags, b buildFlags) (config, error) {
	cfg, err := loadConfig(h, path)
	if err != nil {
		return cfg, err
	}
	return governed(h, cfg, o, b)
}

// tellRules says before a run begins by what it will be judged.
func tellRules(h host, c config) {
	for _, w := range c.Said().Warnings() {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: %s\n", w)
	}
}

// errOnlyKept is why a pull request's run that goes on has no rules but those in its directory.
var errOnlyKept = errors.New("no config is here by which its branch's rules could be found, and its jobs can change those kept with the run: give --config")

// keptConfig is the config that a run directory holds, for who is not told another one.
func keptConfig(h host, dir rundir.Dir) (config, error) {
	now, err := resumeOptions{}.rulesNow(h)
	if err != nil {
		return config{}, err
	}
	cfg, err := keptUnder(h, dir, now, own(h, "", prpolicy.Flags{}, ""))
	return cfg, errors.Join(err, cfg.RequireTrustedStore(h.getenv))
}

// rulesNow are the rules of a run that goes on, found as run finds them; nil = those that are kept with it.
func (o resumeOptions) rulesNow(h host) (*prpolicy.Rules, error) {
	stranger := trust.Here(h.getenv).Stranger()
	if !stranger && o.rules.From == "" {
		return nil, nil //nolint:nilnil // there are none
	}
	if !rundir.IsCommit(o.mergeBase) {
		return nil, exit.ByUser(fmt.Errorf("--merge-base %q is not a commit id of 7 or more digits", o.mergeBase))
	}
	cfg, err := loadConfig(h, o.config)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Path != "" || o.rules.From != "":
		cfg, err = governed(h, cfg, o.rules, buildFlags{mergeBase: o.mergeBase})
		return cfg.Rules, err
	case o.rules.Required:
		return nil, exit.ByUser(errOnlyKept)
	default: // another config's absence at the merge base says nothing of the run's
		return nil, nil //nolint:nilnil // said where it is known whether the run has a config
	}
}

// keptUnder is the config that a run directory holds under the rules that hold now, since the jobs can write what is
// kept.
func keptUnder(h host, dir rundir.Dir, now *prpolicy.Rules, own func() (config, error)) (config, error) {
	cfg, err := configfile.Kept(dir, own)
	if err != nil {
		return cfg, err
	}
	if now == nil && cfg.Path != "" && trust.Here(h.getenv).Stranger() {
		missed := prpolicy.Missed(errOnlyKept)
		now = &missed
	}
	switch {
	case now == nil || now.Same(cfg.Rules):
		return cfg, nil
	case now.Missing != "" && cfg.Rules != nil: // the kept ones are stricter than none, and not to be relied on
		kept := *cfg.Rules
		kept.Missing = now.Missing
		cfg.Rules = &kept
		return cfg, nil
	default:
		err = cfg.Under(now)
		return cfg, err
	}
}
