package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/notify"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// repo is a clone with a commit of main and a pull request's on top, whose config and pins let everything pass.
type repo struct {
	dir, base, head string
	broken          string // a commit of main whose config cannot be read
}

func newRepo(t *testing.T) repo {
	t.Helper()
	r := repo{dir: t.TempDir()}
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Dir = r.dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	commit := func(files map[string]string) string {
		for name, text := range files {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(r.dir, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600))
		}
		git("add", ".")
		git("commit", "-qm", "x")
		return git("rev-parse", "HEAD")
	}
	git("init", "-q")
	r.base = commit(map[string]string{
		"ci/ci-disagg.yaml": "perf:\n  pins: pins.yaml\n  threshold: 0.05\n  define: [{name: speed, unit: x, better: higher, gate: true}]\n" +
			"report: {strict_xsd: true}\n", // which older versions had
		"ci/pins.yaml":  "schema: 1\ncases:\n  c:\n    speed: 100\n",
		"ci/out/m.json": `{"speed": 80, "p": "x"}`,
	})
	git("checkout", "-qb", "broken")
	r.broken = commit(map[string]string{"ci/ci-disagg.yaml": "perf: {treshold: 0.05}\n"})
	git("checkout", "-q", "main")
	git("checkout", "-qb", "change")
	r.head = commit(map[string]string{
		"ci/ci-disagg.yaml": "perf:\n  pins: pins.yaml\n  threshold: 0.5\n  functional_only: true\n  allow_no_baseline: true\n" +
			"  define: [{name: speed, unit: x, better: higher}]\n  readers: [{name: r, files: m.json, point: p, metrics: [{metric: speed, at: speed}]}]\n",
		"ci/pins.yaml": "schema: 1\ncases:\n  c:\n    speed: 50\n",
	})
	return r
}

// A pull request that loosens thresholds, pins and gates is judged by those of its merge base, and told so.
func TestAPullRequestIsJudgedByTheMergeBase(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	strict := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(strict, []byte("perf:\n  pins: p.yaml\n  define: [{name: speed, unit: x, better: higher, gate: true}]\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(strict), "p.yaml"), []byte("schema: 1\ncases: {c: {speed: 100}}\n"), 0o600))
	lax := []byte("perf: {functional_only: true}\n")
	release := filepath.Join(r.dir, "ci/release")
	require.NoError(t, os.WriteFile(release, lax, 0o600))
	wd, err := os.Getwd()
	require.NoError(t, err)
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		exit int
		says []string
	}{
		{name: "not a pull request", exit: exit.Passed},
		{
			name: "merge base", env: map[string]string{"CHANGE_ID": "7"}, args: []string{"--merge-base", r.base}, exit: exit.Regression,
			says: []string{
				"judged by ci-disagg.yaml at " + r.base[:12] + ", not by this change's own rules:", "perf.threshold: 0.05, not 0.5",
				"perf.functional_only: the default, not true", "perf.allow_no_baseline: the default, not true", "perf.define[speed].gate: true, not the default",
			},
		},
		{name: "by its target", env: map[string]string{"CHANGE_ID": "7", "CHANGE_TARGET": "main"}, exit: exit.Regression},
		{name: "by its mode", args: []string{"--mode", "pr", "--merge-base", r.base}, exit: exit.Regression},
		{name: "untrusted job", env: map[string]string{"CI_DISAGG_TRUSTED": "never", "CHANGE_TARGET": "main"}, exit: exit.Regression},
		{
			name: "unknown", env: map[string]string{"CHANGE_ID": "7"}, exit: exit.Passed,
			says: []string{"judged by the pull request's own rules, which its author can loosen: it is not known where the pull request left its branch: give --merge-base; --policy names others"},
		},
		{
			name: "not fetched", env: map[string]string{"CHANGE_ID": "7", "CHANGE_TARGET": "release"}, exit: exit.Passed,
			says: []string{"git knows no commit that the checkout shares with release"},
		},
		{
			name: "unreadable", env: map[string]string{"CHANGE_ID": "7"}, args: []string{"--merge-base", r.broken}, exit: exit.Usage,
			says: []string{
				"the rules that this run is to be judged by cannot be read: ", "perf.treshold: unknown key",
				"a newer merge base may have others, --policy names them",
			},
		},
		{
			name: "required", env: map[string]string{"CHANGE_ID": "7"}, args: []string{"--require-policy"}, exit: exit.Usage,
			says: []string{"the rules that this run is to be judged by cannot be had: it is not known where the pull request left its branch: give --merge-base"},
		},
		{name: "named branch", args: []string{"--policy", "main"}, exit: exit.Regression},
		{name: "named file", env: map[string]string{"CHANGE_ID": "7"}, args: []string{"--policy", strict}, exit: exit.Regression, says: []string{"judged by " + strict + ", not"}},
		{name: "named nothing", args: []string{"--policy", "nowhere"}, exit: exit.Usage, says: []string{"--policy nowhere is neither a file", "nor a commit or branch of a checkout in " + filepath.Join(r.dir, "ci")}},
		{
			name: "named file of the checkout", env: map[string]string{"CHANGE_ID": "7"}, args: []string{"--policy", release}, exit: exit.Usage,
			says: []string{"--policy " + release + " is no commit or branch that git knows, but a file in " + r.dir + ", which the pull request can write"},
		},
		{name: "an option", args: []string{"--policy=--upload-pack=x"}, exit: exit.Usage, says: []string{"is neither a file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			h := newHost()
			h.stdout, h.stderr = &out, &out
			h.getenv = func(name string) string { return tt.env[name] }
			h.readFile = func(path string) ([]byte, error) {
				if path == filepath.Join(wd, "main") { // a change has added it
					return lax, nil
				}
				return os.ReadFile(path)
			}
			args := append([]string{"judge", "-c", filepath.Join(r.dir, "ci/ci-disagg.yaml"), "--case", "c", filepath.Join(r.dir, "ci/out")}, tt.args...)
			require.Equal(t, tt.exit, run(context.Background(), h, args), out.String())
			for _, text := range tt.says {
				require.Contains(t, strings.Join(strings.Fields(out.String()), " "), text)
			}
		})
	}
}

// A run that goes on in a pull request is judged by the merge base, whatever its jobs have made of what is kept.
func TestResumeInAPullRequestAsksForItsRules(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	h, elsewhere := newHost(), t.TempDir()
	env := map[string]string{"CHANGE_ID": "7", "CHANGE_TARGET": "main"}
	h.getenv = func(name string) string { return env[name] }
	h.getwd = func() (string, error) { return elsewhere, nil }
	dir := t.TempDir()
	keep := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	keep(configfile.Copy, "perf: {threshold: 0.5, functional_only: true}\n")
	o := resumeOptions{config: filepath.Join(r.dir, "ci/ci-disagg.yaml")}

	now, err := o.rulesNow(h)
	require.NoError(t, err)
	for _, forged := range []string{"", `{"from": "ci-disagg.yaml", "text": "perf: {functional_only: true}"}`} {
		if forged != "" {
			keep("rules.json", forged)
		}
		cfg, err := keptUnder(h, rundir.Dir(dir), now, nil)
		require.NoError(t, err)
		require.False(t, cfg.Perf.Policy.FunctionalOnly)
		require.Contains(t, cfg.Rules.Text, "threshold: 0.05")
		require.Contains(t, cfg.Rules.Pins, "speed: 100")
	}

	// Nor does report, with a config or with what is kept.
	given, err := reportOptions{config: o.config}.judgedBy(h, rundir.Dir(dir))
	require.NoError(t, err)
	require.Contains(t, given.Rules.Text, "threshold: 0.05")
	kept, err := reportOptions{}.judgedBy(h, rundir.Dir(dir))
	require.NoError(t, err)
	require.Contains(t, strings.Join(kept.Said().Warnings(), ""), "its jobs can change those kept with the run: give --config")

	o.config = "" // none where the process is: it is said that the kept ones are used
	now, err = o.rulesNow(h)
	require.NoError(t, err)
	cfg, err := keptUnder(h, rundir.Dir(dir), now, nil)
	require.NoError(t, err)
	require.Contains(t, strings.Join(cfg.Said().Warnings(), ""), "its jobs can change those kept with the run: give --config")
	o.rules.Required = true
	_, err = o.rulesNow(h)
	require.ErrorIs(t, err, errOnlyKept)

	env["CHANGE_ID"], o.rules.Required = "", false
	now, err = o.rulesNow(h)
	require.NoError(t, err)
	require.Nil(t, now)
}

// Where people are told is not for jobs to know.
func TestJobsDoNotSeeTheHook(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"A=1", "HOOKS=2"}, withoutHook([]string{"A=1", "HOOK=https://x/secret", "HOOKS=2"}, notify.Config{URLEnv: "HOOK"}))
}
