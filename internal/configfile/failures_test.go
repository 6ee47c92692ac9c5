package configfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
)

// The built-in failure classes are compiled once: that took more than a tenth of each report. A config's own stand
// before them, and are no one else's.
func TestFailuresAreCompiledOnce(t *testing.T) { //nolint:paralleltest // allocations of other tests would be counted
	plain := configfile.Config{}
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if _, err := plain.Failures(); err != nil {
			panic(err)
		}
	}))
	own, err := configfile.Parse("own.yaml", []byte("classes: [{name: ours, class: infra, pattern: the quota of the team is spent}]\n"))
	require.NoError(t, err)
	for _, tt := range []struct {
		config configfile.Config
		want   string
	}{{own, "ours"}, {plain, ""}} {
		classes, err := tt.config.Failures()
		require.NoError(t, err)
		rule, _ := classes.Match("the quota of the team is spent")
		require.Equal(t, tt.want, rule.Name)
		_, found := classes.Match("GPU has fallen off the bus")
		require.True(t, found)
	}
}
