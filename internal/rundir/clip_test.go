package rundir_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestClip(t *testing.T) {
	t.Parallel()
	require.Equal(t, "short", rundir.Clip("short", 5))
	long := "/a/very/long/path/role.sh: " + strings.Repeat("x", 500) + ": command not found"
	for limit := range 200 {
		got := rundir.Clip(long, limit)
		require.LessOrEqual(t, len(got), max(limit, len("…")))
		require.True(t, utf8.ValidString(got))
	}
	got := rundir.Clip(long, 80)
	require.True(t, strings.HasPrefix(got, "/a/very/long/path/role.sh: "), got)
	require.True(t, strings.HasSuffix(got, ": command not found"), got)
	got = rundir.Clip(strings.Repeat("ä€", 100), 50)
	require.True(t, utf8.ValidString(got))
	require.NotContains(t, got, "\uFFFD", "a character is never cut in two")
	require.Equal(t, "a\uFFFDb", rundir.Clip("a\xffb", 10))
}
