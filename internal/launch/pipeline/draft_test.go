package pipeline

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Under a draft the record says what cannot be known of the run, and which key has no effect.
func TestUnderDraft(t *testing.T) {
	t.Parallel()
	for _, ucx := range []string{"", "export UCX_TLS=rc"} {
		s := Suite{Cluster: "gb200", Plans: []rundir.Plan{{}}}
		s.UnderDraft("draft.sh", ucx)
		require.True(t, s.Plans[0].Draft)
		said := strings.Join(s.Plans[0].Warnings, "\n")
		require.Contains(t, said, "under a draft servers are not watched")
		require.Equal(t, ucx != "", strings.Contains(said, "clusters.gb200.ucx has no effect under a draft: set workload.ucx"))
	}
}
