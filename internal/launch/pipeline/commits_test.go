package pipeline

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/checkout"
	"github.com/ci-disagg/ci-disagg/internal/launch/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The checkouts say which commits are compared, and a base that head does not come from is said.
func TestLineage(t *testing.T) {
	t.Parallel()
	top, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	main := filepath.Join(top, "main")
	require.NoError(t, os.Mkdir(main, 0o755))
	git := func(dir string, args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	git(main, "init", "-q")
	commit := func(dir, text string) string {
		git(dir, "commit", "-q", "--allow-empty", "-m", text)
		return git(dir, "rev-parse", "HEAD")
	}
	old := commit(main, "old")
	left := commit(main, "left")
	change, before := filepath.Join(top, "change"), filepath.Join(top, "old")
	git(main, "worktree", "add", "-q", "-b", "change", change)
	git(main, "worktree", "add", "-q", "--detach", before, old)
	head := commit(change, "head")
	moved := commit(main, "moved on")
	for _, tt := range []struct{ name, base, given, merge, commit, apart string }{
		{"what head comes from", before, "", "", old, ""},
		{"a base that has moved on", main, "", "", moved, "and no ancestor of B, " + head[:10]},
		{"of a commit that is given", main, left, left, left, ""},
		{"a given one that has moved on", "/elsewhere", moved, left, moved, "no ancestor of B"},
		{"older than the merge base", before, "", left, old, "is of " + old[:10] + " and not of the merge base, " + left[:10]},
		{"nobody knows it", "/elsewhere", "", "", "", ""},
		{"a folder of a checkout", filepath.Join(before, "x"), "", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := Request{Here: checkout.Dir{Path: change, Env: os.Environ(), Timeout: time.Minute}}
			r.AB = paired.Flags{MergeBase: tt.merge}
			p := rundir.Plan{Pairs: &rundir.PairPlan{}, Builds: []rundir.BuildPlan{{Name: rundir.BaseBuild, Source: tt.base, Commit: tt.given}, {Name: rundir.HeadBuild, Source: change}}}
			r.lineage(&p)
			require.Equal(t, []string{tt.commit, head}, []string{p.Builds[0].Commit, p.Builds[1].Commit})
			if tt.apart == "" {
				require.Empty(t, p.Pairs.Apart)
				require.Empty(t, p.Warnings)
				return
			}
			require.Contains(t, p.Pairs.Apart, tt.apart)
			require.Equal(t, []string{p.Pairs.Apart}, p.Warnings)
		})
	}
}
