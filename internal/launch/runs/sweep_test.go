package runs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunDirOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, "/r", runDirOf("/r/cases/c/rep-0/attempt-1/job.sh"))
	for _, other := range []string{"", "job.sh", "/job.sh", "/x/job.sh", "/r/cases/c/rep-0/attempt-1/other.sh", "/r/c/rep-0/attempt-1/job.sh"} {
		require.Empty(t, runDirOf(other), other)
	}
}
