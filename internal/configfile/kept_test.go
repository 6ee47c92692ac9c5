package configfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What a run's jobs can write is no shell text of a driver that takes it up.
func TestBelieve(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	kept := func() Config {
		c := Config{Path: filepath.Join(elsewhere, "ci-disagg.yaml"), KeptIn: rundir.Dir(dir)}
		c.Perf.Reference, c.AB.Confirm, c.Builds.Make = "x@1234567", true, "planted"
		return c
	}
	c := kept()
	require.True(t, c.UseTrustedCommands(nil))
	require.Empty(t, c.Perf.Reference)
	require.False(t, c.AB.Confirm)

	c = kept()
	require.True(t, c.UseTrustedCommands(&Config{Path: filepath.Join(dir, "ci-disagg.yaml")}), "the kept one was named")

	c = kept()
	require.False(t, c.UseTrustedCommands(&Config{Path: filepath.Join(elsewhere, "mine.yaml")}))
	require.Empty(t, c.Builds.Make)

	c = kept()
	c.KeptIn = ""
	require.False(t, c.UseTrustedCommands(nil))
	require.Equal(t, "planted", c.Builds.Make)
}

// A config that was kept with a run by an older version can be read, also where it has a key without an effect by now.
func TestKeptByAnOlderVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, Copy), []byte("report: {strict_xsd: true, no_caps: true}\n"), 0o600))
	c, err := Kept(rundir.Dir(dir), nil)
	require.NoError(t, err)
	require.True(t, c.Report.NoCaps)
}
