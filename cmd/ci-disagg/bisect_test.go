package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/bisect"
)

// What a failing builds.make prints goes into reports: a secret of the workload, or of a variable that is named like
// one, stands in none, also not its second half, at the place where the text is cut.
func TestWhatMakeSaysIsMasked(t *testing.T) {
	t.Parallel()
	const secret, other = "squeamish-ossifrage", "correct-horse-battery"
	const config = `
clusters: {here: {gpus: none}}
pipelines: {quick: {roles: [{name: work, kind: task, command: "$CI_DISAGG_SOURCE/bench", bench: [{reader: redis-benchmark, files: bench.csv}]}]}}
budgets: {ready: 5m, benchmark: 5m, job: 10m}
workload: {secrets: [{name: WORD}]}
builds:
  make: 'echo "before $WORD after" >&2; echo "{commit}: no rule for $API_TOKEN" >&2; exit 3'
  head: {source: "builds/{commit}"}
`
	for _, tt := range []struct {
		name, of, word, want, wantNot string
	}{
		{name: "masked", of: "quick", word: secret, want: "no rule for"},
		{name: "at the cut", of: "quick", word: strings.Repeat(secret, 14), want: "no rule for"},
		{name: "secrets are not known", of: "nowhere", word: secret, want: "left out", wantNot: "no rule"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ci-disagg.yaml"), []byte(config), 0o600))
			env := []string{"PATH=" + os.Getenv("PATH"), "WORD=" + tt.word, "API_TOKEN=" + other}
			h := newHost()
			h.getwd = func() (string, error) { return dir, nil }
			h.environ = func() []string { return env }
			h.getenv = func(name string) string {
				for _, e := range env {
					if v, ok := strings.CutPrefix(e, name+"="); ok {
						return v
					}
				}
				return ""
			}
			cfg, err := loadConfig(h, "")
			require.NoError(t, err)
			var o suiteFlags
			o.Backend = "local"
			code, failed := o.pairOf(t.Context(), h, cfg, filepath.Join(dir, "s"), []string{tt.of, "aaaaaaa", "bbbbbbb"})
			require.Equal(t, exit.Infra, code)
			require.Contains(t, failed, "builds.make of aaaaaaa: bash: exit 3")
			require.Contains(t, failed, tt.want)
			for _, s := range []string{secret, secret[len(secret)-8:], other} {
				require.NotContains(t, failed, s)
			}
			if tt.wantNot != "" {
				require.NotContains(t, failed, tt.wantNot)
			}
		})
	}
}

// The same config asks the same, another command in it something else.
func TestWhatABisectAsks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHost()
	h.getwd = func() (string, error) { return dir, nil }
	h.environ, h.getenv = func() []string { return nil }, func(string) string { return "" }
	asks := func(command string) bisect.Question {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "ci-disagg.yaml"), []byte(`
clusters: {here: {gpus: none}}
pipelines: {quick: {roles: [{name: work, kind: task, command: `+command+`, bench: [{reader: mine, files: bench.csv}]}]}}
perf: {readers: [{name: mine, files: "*.csv", format: csv, metrics: [{metric: request_throughput, at: rps}]}]}
budgets: {ready: 5m, benchmark: 5m, job: 10m}
builds: {head: {source: "builds/{commit}"}}
`), 0o600))
		cfg, err := loadConfig(h, "")
		require.NoError(t, err)
		var o suiteFlags
		o.Backend = "local"
		s, err := o.pair(h, cfg, []string{"quick", "aaaaaaa", "bbbbbbb"})
		require.NoError(t, err)
		return bisect.Asks(s.Plans[0], "local", "", cfg.Perf)
	}
	first := asks("$CI_DISAGG_SOURCE/bench")
	require.Equal(t, first, asks("$CI_DISAGG_SOURCE/bench"))
	require.NotEqual(t, first, asks("$CI_DISAGG_SOURCE/other"))
}
