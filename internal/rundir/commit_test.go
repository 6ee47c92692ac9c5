package rundir

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSameCommit(t *testing.T) {
	const id = "0123abc0123456789012345678901234567890ab"
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"one id":               {id, id, true},
		"abbreviated":          {id, id[:7], true},
		"in capitals":          {id, "0123ABC01", true},
		"other":                {id, "0123abd", false},
		"fewer digits":         {id, id[:6], false},
		"fewer digits, the id": {"c1", "c1", true},
		"one unknown":          {id, "", false},
		"both unknown":         {"", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.same, SameCommit(c.a, c.b))
			require.Equal(t, c.same, SameCommit(c.b, c.a))
		})
	}
	require.False(t, IsCommit(id[:6]))
	require.True(t, IsCommit(id[:7]))
}
