package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// gitTimeout bounds each question to git.
const gitTimeout = 10 * time.Second

// place finds the commit's place in the history of its branch: as given, else what
// the checkout here says. No checkout, no git, a commit that is not in it: not known.
func (o buildFlags) place(h host, b *rundir.Build) error {
	at, err := parseTime("--commit-time", o.commitAt)
	if err != nil {
		return usageErr(err)
	}
	if !at.IsZero() {
		b.CommitTime = &at
		return nil
	}
	if b.Commit == "" || !isCommit(b.Commit) {
		return nil
	}
	if sec, err := strconv.ParseInt(git(h, "show", "-s", "--format=%ct", b.Commit+"^{commit}"), 10, 64); err == nil {
		when := time.Unix(sec, 0).UTC()
		b.CommitTime = &when
	}
	// A shallow checkout ends somewhere: counting there says nothing.
	if b.CommitTime != nil && git(h, "rev-parse", "--is-shallow-repository") == "false" {
		b.Depth, _ = strconv.Atoi(git(h, "rev-list", "--count", "--first-parent", b.Commit))
	}
	return nil
}

// git is the first line of what git answers in the current directory, "" if it
// does not.
func git(h host, args ...string) string {
	wd, err := h.getwd()
	if err != nil {
		return ""
	}
	res, err := proc.Run(context.Background(), proc.Command{Argv: append([]string{"git"}, args...), Dir: wd, Env: h.environ(), Timeout: gitTimeout})
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(res.Stdout), "\n")
	return strings.TrimSpace(line)
}
