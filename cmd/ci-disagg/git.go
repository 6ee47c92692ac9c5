package main

import (
	"github.com/ci-disagg/ci-disagg/internal/checkout"
	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// place finds the commit's place in the history of its branch: as given, else what
// the checkout here says. No checkout, no git, a commit that is not in it: not known.
func (o buildFlags) place(h host, b *rundir.Build) error {
	at, err := cmdline.Time("--commit-time", o.commitAt)
	if err != nil {
		return exit.ByUser(err)
	}
	if !at.IsZero() {
		b.CommitTime = &at
		return nil
	}
	if wd, err := h.getwd(); err == nil && b.Commit != "" && rundir.IsCommit(b.Commit) {
		if when, depth := (checkout.Dir{Path: wd, Env: h.environ()}).Place(b.Commit); !when.IsZero() {
			b.CommitTime, b.Depth = &when, depth
		}
	}
	return nil
}

// commitsBetween are the commits behind good up to bad in a line each, as the checkout
// here has them, the newest first; none without one.
func commitsBetween(h host, good, bad string) []string {
	wd, err := h.getwd()
	if err != nil || !rundir.IsCommit(good) || !rundir.IsCommit(bad) {
		return nil
	}
	return checkout.Dir{Path: wd, Env: h.environ()}.Between(good, bad)
}
