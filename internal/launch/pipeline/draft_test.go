package pipeline

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Under a draft the record says what cannot be known of the run.
func TestUnderDraft(t *testing.T) {
	t.Parallel()
	s := Suite{Cluster: "gb200", Plans: []rundir.Plan{{}}}
	s.UnderDraft("draft.sh")
	require.True(t, s.Plans[0].Draft)
	require.Contains(t, strings.Join(s.Plans[0].Warnings, "\n"), "under a draft servers are not watched")
}
