package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// mistake is a row of testdata/mistakes/table.yaml.
type mistake struct {
	Was   string   `yaml:"was"`
	Is    string   `yaml:"is"`
	List  string   `yaml:"list"`
	Args  []string `yaml:"args"`
	Code  int      `yaml:"code"`
	Place string   `yaml:"place"`
	Key   string   `yaml:"key"`
	Mend  string   `yaml:"mend"`
}

// mistakePlace is a directory with the sound config, a run and a store.
func mistakePlace(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ci-disagg.yaml"), []byte(config), 0o600))
	require.NoError(t, rundir.WriteJSON(rundir.Dir(filepath.Join(dir, "runs", "nightly-41")).RunFile(), rundir.Run{Schema: 1, ID: "nightly-41"}))
	store, err := baseline.Open(t.Context(), "dir:"+filepath.Join(dir, "baselines"), true)
	require.NoError(t, err)
	_, err = store.Save(t.Context(), baseline.Record{
		Kind: baseline.KindRun, Case: "redis[concurrency=8]", Time: time.Now(), Run: "nightly-41", Valid: true, Source: baseline.SourceOwn,
		Build:        rundir.Build{Mode: baseline.ModeNightly, Branch: baseline.DefaultBranch},
		Measurements: []baseline.Measurement{{Metric: "request_throughput", Unit: "req/s", Values: []float64{1}}},
	}.Normal())
	require.NoError(t, err)
	return dir
}

// answer is what a command line is answered with.
func answer(t *testing.T, dir string, args []string) (code int, text string) {
	t.Helper()
	h := newHost()
	var out bytes.Buffer
	h.stdout, h.stderr = &out, &out
	h.getwd = func() (string, error) { return dir, nil }
	h.getenv = func(string) string { return "" }
	return run(t.Context(), h, args), out.String()
}

// TestMistakesAreAnswered at once, with the place, the key and the mend.
func TestMistakesAreAnswered(t *testing.T) {
	t.Parallel()
	const folder = "../../testdata/mistakes"
	sound, err := os.ReadFile(filepath.Join(folder, "ci-disagg.yaml"))
	require.NoError(t, err)
	table, err := os.ReadFile(filepath.Join(folder, "table.yaml"))
	require.NoError(t, err)
	var file struct {
		Mistakes []mistake `yaml:"mistakes"`
	}
	require.NoError(t, strictyaml.Decode("table.yaml", append([]byte("mistakes:\n"), table...), &file))
	require.GreaterOrEqual(t, len(file.Mistakes), 50)
	code, text := answer(t, mistakePlace(t, string(sound)), []string{"plan"})
	require.Equal(t, exit.Passed, code, text)

	for _, m := range file.Mistakes {
		t.Run(strings.Join(append([]string{m.Is}, m.Args...), " "), func(t *testing.T) {
			t.Parallel()
			config := string(sound)
			if m.Was != "" {
				require.Equal(t, 1, strings.Count(config, m.Was), "what is replaced stands there once")
				config = strings.Replace(config, m.Was, m.Is, 1)
			}
			dir := mistakePlace(t, config)
			if m.List != "" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "tests.txt"), []byte(m.List), 0o600))
			}
			args, want := m.Args, m.Code
			if args == nil {
				args = []string{"plan"}
			}
			if want == 0 {
				want = exit.Usage
			}
			code, text := answer(t, dir, args)
			require.Equal(t, want, code, text)
			for _, part := range []string{m.Place, m.Key, m.Mend} {
				require.Contains(t, text, part)
			}
			require.NotContains(t, text, "goroutine")
		})
	}
}
