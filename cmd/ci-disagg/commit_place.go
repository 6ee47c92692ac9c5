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

// maxCommits bounds the commits that a regression is said to have come with.
const maxCommits = 50

// commitsBetween are the commits behind good up to bad in a line each, as the checkout
// here has them, the newest first; none without one.
func commitsBetween(h host, good, bad string) []string {
	if !isCommit(good) || !isCommit(bad) {
		return nil
	}
	text := gitText(h, "log", "--format=%h %s", "--max-count="+strconv.Itoa(maxCommits), good+".."+bad, "--")
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// git is the first line of what git answers in the current directory, "" if it
// does not.
func git(h host, args ...string) string {
	line, _, _ := strings.Cut(gitText(h, args...), "\n")
	return strings.TrimSpace(line)
}

// gitText is what git answers in the current directory, "" if it does not.
func gitText(h host, args ...string) string {
	wd, err := h.getwd()
	if err != nil {
		return ""
	}
	res, err := proc.Run(context.Background(), proc.Command{Argv: append([]string{"git"}, args...), Dir: wd, Env: h.environ(), Timeout: gitTimeout})
	if err != nil {
		return ""
	}
	return string(res.Stdout)
}
