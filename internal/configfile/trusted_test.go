package configfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Where the driver goes, and what it takes there, is nothing that a run's directory alone can say.
func TestVouch(t *testing.T) {
	t.Parallel()
	run, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(rundir.Dir(run).RunFile(), []byte("{}"), 0o600))
	write := func(dir string) string {
		path := filepath.Join(dir, DefaultFile)
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
		return path
	}
	prof := script.Profile{Login: "me@login", AgentDir: "/there", Agent: map[string]string{"arm64": "bin/arm"}}
	mine, deep := Config{Path: write(elsewhere)}, Config{Path: write(filepath.Join(run, "cases", "x", "output"))}
	mine.Clusters = map[string]script.Profile{"c": prof}
	deep.Clusters = mine.Clusters
	other := mine
	other.Clusters = map[string]script.Profile{"c": {Login: prof.Login, AgentDir: "/elsewhere"}, "d": prof}
	for name, tc := range map[string]struct {
		own     func() (Config, error)
		env     string
		login   bool
		agent   bool
		backend string
	}{
		"nobody's":            {},
		"the caller's":        {own: func() (Config, error) { return mine, nil }, login: true, agent: true},
		"other directory":     {own: func() (Config, error) { return other, nil }},
		"found in a run":      {own: func() (Config, error) { return deep, nil }},
		"unreadable":          {own: func() (Config, error) { return mine, errors.New("broken") }},
		"by the environment":  {env: "a@b me@login:/there", login: true},
		"by another one":      {env: "me@login me@login:/", login: false},
		"nothing of it bears": {backend: rundir.BackendLocal, login: true, agent: true},
	} {
		kept := Config{Path: mine.Path, KeptIn: rundir.Dir(run), Own: tc.own}
		require.Equal(t, tc.login, kept.RequireTrustedLogin("c", tc.backend, prof, func(string) string { return tc.env }) == nil, name)
		require.Equal(t, tc.agent, kept.RequireTrustedAgent("c", tc.backend, prof) == nil, name)
	}
	kept := Config{KeptIn: rundir.Dir(run)}
	require.NoError(t, kept.RequireTrustedLogin("c", "", script.Profile{}, os.Getenv), "no login node")
	var refused *exit.Error
	require.ErrorAs(t, kept.RequireTrustedLogin("c", "", prof, func(string) string { return "" }), &refused)
	require.Equal(t, exit.Usage, refused.Code)
	require.NoError(t, Config{}.RequireTrustedLogin("c", "", prof, os.Getenv), "it is the caller's own")
	require.Equal(t, []string{"A=b", LoginVar + "=x", LoginVar + "=me@login:/there x"}, WithTrustedLogin([]string{"A=b", LoginVar + "=x"}, prof))
}

// A password that is for whatever host is named goes to none that only a run's directory names.
func TestVouchStore(t *testing.T) {
	t.Parallel()
	const store = "postgres://ci@db/perf"
	kept := Config{KeptIn: rundir.Dir(t.TempDir())}
	kept.Perf.Store = store
	mine := Config{Path: filepath.Join(t.TempDir(), DefaultFile)}
	require.NoError(t, os.WriteFile(mine.Path, []byte("{}"), 0o600))
	env := func(vars map[string]string) func(string) string {
		return func(name string) string { return vars[name] }
	}
	password := env(map[string]string{"PGPASSWORD": "x"})
	kept.Own = func() (Config, error) { return mine, nil }
	require.ErrorContains(t, kept.RequireTrustedStore(password), "no config of yours")
	require.NoError(t, kept.RequireTrustedStore(env(nil)), "there is no password to be shown")
	require.NoError(t, kept.RequireTrustedStore(env(map[string]string{"PGPASSWORD": "x", "CI_DISAGG_STORE": store})))
	mine.Perf.Store = store
	require.NoError(t, kept.RequireTrustedStore(password))
	kept.Perf.Store = "dir:/store"
	kept.Own = nil
	require.NoError(t, kept.RequireTrustedStore(password))
}
