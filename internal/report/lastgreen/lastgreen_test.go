package lastgreen

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/checkout"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// repo is a checkout with a commit per subject; they are returned in order.
func repo(t *testing.T, subjects ...string) (dir string, env, commits []string) {
	t.Helper()
	dir = t.TempDir()
	env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b"}
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	for _, s := range subjects {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte(s), 0o600))
		git("add", "file")
		git("commit", "-qm", s)
		commits = append(commits, git("rev-parse", "HEAD"))
	}
	git("checkout", "-q", "--orphan", "elsewhere")
	git("commit", "-qm", "elsewhere")
	commits = append(commits, git("rev-parse", "HEAD"))
	git("checkout", "-q", "main")
	return dir, env, commits
}

// The newest nightly run in which none of the cases was worse is what a change is compared with, as far as what it
// recorded can be used, and is still there.
func TestLastGreen(t *testing.T) {
	t.Parallel()
	dir, env, commits := repo(t, "one", "two", "three")
	dirty, _, others := repo(t, "changed")
	require.NoError(t, os.WriteFile(filepath.Join(dirty, "file"), []byte("more"), 0o600))
	night := func(n int, edit func(*baseline.Record)) baseline.Record {
		r := baseline.Record{
			Kind: baseline.KindRun, Case: "a", Time: time.Date(2026, 11, n, 3, 0, 0, 0, time.UTC), Run: "nightly-" + string(rune('0'+n)), Source: baseline.SourceOwn,
			Build: rundir.Build{Mode: baseline.ModeNightly, Commit: commits[n-1], Branch: "main"}, Valid: true, Verdict: verdict.Pass, Container: "img:" + string(rune('0'+n)),
			Measurements: []baseline.Measurement{{Metric: "ttft_median_ms", Unit: "ms", Values: []float64{10}}},
		}
		if edit != nil {
			edit(&r)
		}
		return r
	}
	red := func(r *baseline.Record) { r.Verdict = verdict.Regression }
	answers := func(r *baseline.Record) {
		r.Verdict, r.Measurements[0].Metric, r.Measurements[0].Unit = "", "accuracy_gsm8k", "%"
	}
	of := func(id string) func(*baseline.Record) { return func(r *baseline.Record) { r.Case = id } }
	for _, tt := range []struct {
		name   string
		nights []baseline.Record
		query  Query
		only   bool // the commit
		want   rundir.Recorded
		why    string // in part
	}{
		{name: "the newest", nights: []baseline.Record{night(1, nil), night(2, nil)}, want: rundir.Recorded{Commit: commits[1], Image: "img:2", From: "run nightly-2 of 2026-11-02, the last green nightly of main"}},
		{name: "the one before a red one", nights: []baseline.Record{night(1, nil), night(2, red)}, want: rundir.Recorded{Commit: commits[0], Image: "img:1", From: "run nightly-1 of 2026-11-01, the last green nightly of main"}},
		{
			name:   "red in the other case",
			nights: []baseline.Record{night(1, nil), night(1, of("b")), night(2, nil), night(2, func(r *baseline.Record) { of("b")(r); red(r) })},
			want:   rundir.Recorded{Commit: commits[0], Image: "img:1", From: "run nightly-1 of 2026-11-01, the last green nightly of main"},
		},
		{
			name: "before the merge base, which is said", query: Query{Build: rundir.Build{MergeBase: commits[1]}},
			nights: []baseline.Record{night(1, nil), night(2, red), night(3, nil)},
			want: rundir.Recorded{
				Commit: commits[0], Image: "img:1", From: "run nightly-1 of 2026-11-01, the last green nightly of main",
				Doubt: "base is " + commits[0][:10] + ", of run nightly-1 of 2026-11-01, the last green nightly of main, and not the merge base " + commits[1][:10] + ": what came between them is part of the comparison",
			},
		},
		{
			name: "a checkout", nights: []baseline.Record{night(3, func(r *baseline.Record) { r.Checkout = dir })},
			want: rundir.Recorded{Commit: commits[2], Image: "img:3", Source: dir, From: "run nightly-3 of 2026-11-03, the last green nightly of main"},
		},
		{
			name: "any build can be made", only: true, nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Checkout, r.Container = "gone", "$(x)" })},
			want: rundir.Recorded{Commit: commits[0], From: "run nightly-1 of 2026-11-01, the last green nightly of main"},
		},
		{
			name:   "the other case crashed",
			nights: []baseline.Record{night(1, nil), night(1, of("b")), night(2, nil), night(2, func(r *baseline.Record) { of("b")(r); r.Valid, r.Problems = false, []string{"x"} }), night(3, nil)},
			want:   rundir.Recorded{Commit: commits[0], Image: "img:1", From: "run nightly-1 of 2026-11-01, the last green nightly of main"},
		},
		{name: "never all measured", nights: []baseline.Record{night(1, of("b")), night(2, nil)}, why: "nightly-2 of 2026-11-02, has no valid measurement of b, and of those before"},
		{name: "none", why: "the store knows no nightly run of main that measured these cases"},
		{name: "of another branch", query: Query{Build: rundir.Build{Branch: "origin/next"}}, nights: []baseline.Record{night(1, nil)}, why: "no nightly run of next"},
		{name: "all red", nights: []baseline.Record{night(1, red), night(2, red)}, why: "the newest nightly run of main, nightly-2 of 2026-11-02, is not green, and of those before it none is one, either"},
		{
			name: "answers that decide nothing", nights: []baseline.Record{night(1, nil), night(1, func(r *baseline.Record) { of("b")(r); answers(r) })},
			want: rundir.Recorded{Commit: commits[0], Image: "img:1", From: "run nightly-1 of 2026-11-01, the last green nightly of main"},
		},
		{name: "nothing but answers that decide nothing", nights: []baseline.Record{night(1, answers)}, why: "is not green"},
		{name: "speed that decides nothing", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Verdict = "" }), night(1, of("b"))}, why: "is not green"},
		{name: "collecting", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Verdict = verdict.Collecting })}, why: "is not green"},
		{name: "open", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Measurements[0].Open = true })}, why: "is not green"},
		{name: "no commit", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Build.Commit = "" })}, why: "names no commit"},
		{name: "a commit for the shell", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Build.Commit = "$(touch x)" })}, why: "names no commit"},
		{name: "of another history", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Build.Commit = commits[3] })}, why: "which the change does not come from"},
		{name: "several images", nights: []baseline.Record{night(1, nil), night(1, func(r *baseline.Record) { of("b")(r); r.Container = "other" })}, why: "was of several builds"},
		{name: "of a store of before", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Container = "" })}, why: "recorded neither an image nor a checkout"},
		{name: "an image for the shell", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Container = "img;touch x" })}, why: "another name than images have"},
		{name: "an image that is a flag", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Container = "--container-mounts=/:/h" })}, why: "another name than images have"},
		{name: "an image of 1001 characters", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Container = strings.Repeat("i", 1001) })}, why: "another name than images have"},
		{
			name: "an image of 1000 characters", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Container = strings.Repeat("i", 1000) })},
			want: rundir.Recorded{Commit: commits[0], Image: strings.Repeat("i", 1000), From: "run nightly-1 of 2026-11-01, the last green nightly of main"},
		},
		{name: "an image of two lines", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Container = "a\n#SBATCH -x" })}, why: "another name than images have"},
		{name: "a checkout that has moved on", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Checkout = dir })}, why: "which is at " + commits[2][:10] + " now"},
		{name: "a checkout with changes", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Checkout, r.Build.Commit = dirty, others[0] })}, why: "which has changes now"},
		{name: "a checkout that is gone", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Checkout = "/nowhere/at/all" })}, why: "which git cannot read here"},
		{name: "a checkout that is no path", nights: []baseline.Record{night(1, func(r *baseline.Record) { r.Checkout = "/a/../b" })}, why: "a checkout that is no path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := "dir:" + t.TempDir() + "/store"
			store, err := baseline.Open(t.Context(), url, true)
			require.NoError(t, err)
			for i := range tt.nights {
				r := tt.nights[i].Normal()
				r.ID = r.NewID()
				_, err = store.Save(t.Context(), r)
				require.NoError(t, err)
			}
			require.NoError(t, store.Close())
			q := tt.query
			q.Store, q.Here = url, checkout.Dir{Path: dir, Env: env, Timeout: time.Minute}
			got := q.Find([]rundir.Plan{{Case: rundir.Case{ID: "a"}}, {Case: rundir.Case{ID: "b"}}, {Case: rundir.Case{ID: "c", SkipReason: "waived"}}}, tt.only)
			if tt.why != "" {
				require.Empty(t, got.Commit)
				require.Contains(t, got.Why, tt.why)
				return
			}
			if q.Build.MergeBase == "" {
				require.Contains(t, got.Doubt, "the merge base is not known")
				got.Doubt = ""
			}
			require.Equal(t, tt.want, got)
		})
	}
	require.Equal(t, "there is no store to find it in (perf.store)", Query{}.Find(nil, false).Why)
	require.Contains(t, Query{Store: "dir:/nowhere/at/all"}.Find(nil, false).Why, "/nowhere/at/all")
}
