package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestTagOf(t *testing.T) {
	t.Parallel()
	run := rundir.Run{ID: "jenkins-x-1", Created: time.Unix(1, 0)}
	name := Name(run, strings.Repeat("long", 50), 2, 3)
	require.LessOrEqual(t, len(name), 120)
	tag, ok := TagOf(name)
	require.True(t, ok)
	require.Equal(t, OwnerTag(run), tag)
	require.NotEqual(t, name, Name(run, strings.Repeat("long", 50), 2, 3), "unique")
	for _, other := range []string{"", "cid-", "cid-x", "cid-0123456789AB-x", "cid-0123456789ab", "my-0123456789ab-x", "cid-0123456789abx-y"} {
		_, ok := TagOf(other)
		require.False(t, ok, other)
	}
}

func TestRunDirOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, rundir.Dir("/r"), RunDirOf("/r/cases/c/rep-0/attempt-1/job.sh"))
	for _, other := range []string{"", "job.sh", "/job.sh", "/x/job.sh", "/r/cases/c/rep-0/attempt-1/other.sh", "/r/c/rep-0/attempt-1/job.sh"} {
		require.Empty(t, RunDirOf(other), other)
	}
}
