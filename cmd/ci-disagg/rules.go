package main

import (
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/rules"
)

// governed is the config under rules that are not its own.
func governed(h host, c config, o rules.Flags, b buildFlags) (config, error) {
	wd, err := h.getwd()
	if err != nil {
		return c, err
	}
	by := configfile.Caller{WorkDir: wd, Getenv: h.getenv, Environ: h.environ(), Read: h.readFile}
	return c.Governed(by, o, configfile.Build{Mode: b.mode, MergeBase: b.mergeBase, Branch: b.branch})
}

// tellRules says before a run begins by what it will be judged.
func tellRules(h host, c config) {
	for _, w := range c.Said().Warnings() {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: %s\n", w)
	}
}
