package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
)

// A pull request's job can change nothing that main is judged against, on either store.
func TestAPullRequestCannotChangeHistory(t *testing.T) {
	t.Parallel()
	verbs := [][]string{
		{"judge", "--save", "--case", "c", "x"},
		{"judge", "--save", "--mode", "pr", "--case", "c", "x"},
		{"report", "--save", "x"},
		{"run", "--mode", "nightly", "x"},
		{"baseline", "add", "--case", "c", "--reason", "r", "x"},
		{"baseline", "accept", "--case", "c", "--reason", "r"},
		{"baseline", "pin", "--case", "c", "--reason", "r", "x"},
		{"baseline", "import", "--reason", "r", "-"},
		{"baseline", "split", "--case", "c", "--reason", "r"},
		{"baseline", "replay", "--case", "c", "--reason", "r"},
		{"baseline", "prune", "--reason", "r"},
	}
	ask := func(t *testing.T, env map[string]string, args ...string) (int, string) {
		t.Helper()
		var out bytes.Buffer
		h := newHost()
		dir := t.TempDir()
		h.stdout, h.stderr, h.stdin = &out, &out, strings.NewReader("")
		h.getwd = func() (string, error) { return dir, nil }
		h.getenv = func(name string) string { return env[name] }
		h.environ = func() []string { return nil }
		return run(context.Background(), h, args), out.String()
	}
	for _, store := range []string{"dir:" + filepath.Join(t.TempDir(), "store"), "postgres://ci:secret@localhost:1/perf"} {
		for _, v := range verbs {
			name := strings.Join(v, " ")
			code, said := ask(t, map[string]string{"CHANGE_ID": "77", "CI_DISAGG_STORE": store}, v...)
			require.Equal(t, exit.Usage, code, name)
			require.Contains(t, said, "is refused in a pull request (CHANGE_ID=77)", name)

			for _, change := range []string{"77", ""} {
				code, said = ask(t, map[string]string{"CHANGE_ID": change, "CI_DISAGG_TRUSTED": "never", "CI_DISAGG_STORE": store}, append(v, "--trusted")...)
				require.Equal(t, exit.Usage, code, name)
				require.Contains(t, said, "also with --trusted: the controller has set CI_DISAGG_TRUSTED=never", name)
			}
			_, said = ask(t, map[string]string{"CHANGE_ID": "77", "CI_DISAGG_STORE": store}, append(v, "--trusted")...)
			require.NotContains(t, said, "is refused", name)
			_, said = ask(t, map[string]string{"CI_DISAGG_STORE": store}, v...)
			require.NotContains(t, said, "is refused", name)
		}
	}
}

// A pull request's checkout may hold a link in the place of any file that is read: what it leads to outside is shown by
// no message, and nothing waits for it.
func TestAPullRequestsLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	const secret = "hunter2topsecret"
	base := t.TempDir()
	repo, outside := filepath.Join(base, "repo"), filepath.Join(base, "netrc")
	put(t, outside, "machine "+secret+"\nlogin: "+secret+": me\n")
	put(t, filepath.Join(repo, ".git", "HEAD"), "ref: refs/heads/main\n")
	put(t, filepath.Join(repo, "good.yaml"), "backend: local\nworkload: {dir: "+repo+", disagg_configs: dis, agg_configs: dis}\nperf: {off: true}\n")
	const own = "backend: local\nclusters: {here: {gpus: none}}\nbudgets: {ready: 5m, benchmark: 5m, job: 10m}\n" +
		"pipelines: {quick: {roles: [{name: work, kind: task, command: 'true', bench: [{reader: redis-benchmark, files: bench.csv}]}]}}\n"
	put(t, filepath.Join(repo, "own.yaml"), own)
	put(t, filepath.Join(repo, "pinned.yaml"), own+"perf: {pins: pins.yaml, store: 'dir:"+filepath.Join(base, "store")+"'}\n")
	put(t, filepath.Join(repo, "calls.sh"), "run_cache_transceiver_precheck\n")
	for name, to := range map[string]string{
		"list.txt": outside, "draft.sh": outside, "slurm_ct_precheck_gate.sh": outside, "pins.yaml": outside, "cfg.yaml": outside, "dis/a.yaml": outside, "zero.txt": "/dev/zero", "zero.yaml": "/dev/zero", "dis/zero.yaml": "/dev/zero",
	} {
		path := filepath.Join(repo, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.Symlink(to, path))
	}
	for _, args := range [][]string{
		{"--test-list", "list.txt"},
		{"--test-list", "zero.txt"},
		{"--waives", "list.txt", "disagg_upload-e2e-a"},
		{"-c", "cfg.yaml", "disagg_upload-e2e-a"},
		{"-c", "zero.yaml", "disagg_upload-e2e-a"},
		{"-c", "own.yaml", "--draft", "draft.sh", "quick"},
		{"-c", "own.yaml", "--draft", "calls.sh", "quick"},
		{"-c", "pinned.yaml", "quick"},
		{"disagg_upload-e2e-a"},
		{"disagg_upload-e2e-zero"},
	} {
		if args[0] != "-c" {
			args = append([]string{"-c", "good.yaml"}, args...)
		}
		for i, a := range args {
			if strings.HasSuffix(a, ".txt") || strings.HasSuffix(a, ".sh") || strings.HasSuffix(a, ".yaml") {
				args[i] = filepath.Join(repo, a)
			}
		}
		for _, verb := range []string{"plan", "run"} {
			var out bytes.Buffer
			h := newHost()
			h.stdout, h.stderr, h.stdin = &out, &out, strings.NewReader("")
			h.getwd = func() (string, error) { return repo, nil }
			h.getenv = func(name string) string { return map[string]string{"CHANGE_ID": "7", "HOME": base}[name] }
			h.environ = func() []string { return nil }
			require.Equal(t, exit.Usage, run(context.Background(), h, append([]string{verb}, args...)), "%s %s: %s", verb, args, out.String())
			require.NotContains(t, out.String(), secret)
			require.Contains(t, out.String(), "leads out of the checkout", "%s %s", verb, args)
		}
	}
}
