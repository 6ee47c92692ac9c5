package main

import (
	"bytes"
	"context"
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
