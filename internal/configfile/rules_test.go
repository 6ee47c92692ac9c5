package configfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
)

// A config that is empty where the rules are has the defaults hold; only where none can be had the run's own hold.
func TestUnderAnEmptyConfig(t *testing.T) {
	t.Parallel()
	own := func() configfile.Config {
		c, err := configfile.Parse("own.yaml", []byte("perf:\n  functional_only: true\n  threshold: 0.5\n"))
		require.NoError(t, err)
		return c
	}
	empty, err := configfile.Parse("empty.yaml", []byte("{}\n"))
	require.NoError(t, err)

	c := own()
	require.NoError(t, c.Under(&prpolicy.Rules{From: "base"}))
	require.Equal(t, empty.Perf, c.Perf)
	require.Contains(t, c.Said().Changes, "perf.functional_only: the default, not true")

	c = own()
	require.NoError(t, c.Under(&prpolicy.Rules{From: "base", Missing: "too shallow"}))
	require.True(t, c.Perf.Policy.FunctionalOnly)
}
