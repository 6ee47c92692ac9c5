package asked

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestAnotherDraftOrStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	now, err := configfile.Parse("c.yaml", []byte("perf: {store: \"postgres://ours/db\"}\n"))
	require.NoError(t, err)
	now.Path = filepath.Join(dir, "c.yaml")
	write(configfile.Copy, string(now.Raw))
	run := rundir.Run{ID: "x"}
	ask := Run{Dir: rundir.Dir(dir), Config: now, Read: os.ReadFile, Getenv: os.Getenv}
	ask.Plan = func(c configfile.Config) (pipeline.Suite, rundir.Run, error) {
		require.Equal(t, "postgres://ours/db", c.Perf.Store, "a job's word for where a password goes")
		p := rundir.Plan{Case: rundir.Case{Slug: "a"}}
		return pipeline.Suite{Plans: []rundir.Plan{p}}, run, nil
	}
	require.NoError(t, ask.Is(run))
	ask.Draft = write("ours.sh", "one")
	require.ErrorContains(t, ask.Is(run), "was launched without --draft")
	write(configfile.Draft, "one")
	require.NoError(t, ask.Is(run))
	write("ours.sh", "two")
	require.ErrorContains(t, ask.Is(run), "was launched by another --draft than "+ask.Draft+" is now")
	write("slurm_ct_precheck_gate.sh", "run_cache_transceiver_precheck() { true; }\n")
	write("ours.sh", "run_cache_transceiver_precheck\n")
	kept, err := pipeline.ReadDraft(os.ReadFile, ask.Draft)
	require.NoError(t, err)
	write(configfile.Draft, string(kept))
	require.NoError(t, ask.Is(run), "of a draft that calls upstream's precheck, what was launched is kept")
	ask.Draft = ""
	require.ErrorContains(t, ask.Is(run), "was launched by a --draft")
	require.NoError(t, os.Remove(filepath.Join(dir, configfile.Draft)))
	write(configfile.Copy, "perf: {store: \"postgres://theirs/db\"}\n")
	require.ErrorContains(t, ask.Is(run), "differs in perf: it was made from ")
}
