package trendpages

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is not measured is not well: the headline says so, and its colour.
func TestHeadline(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		open, unproven, silent, retired, cases int
		want, tone                             string
	}{
		{cases: 3, want: "No regression is open", tone: "good"},
		{cases: 3, retired: 1, want: "No regression is open", tone: "good"},
		{cases: 3, open: 1, want: "1 case with an open regression", tone: "bad"},
		{cases: 3, silent: 1, want: "No regression is open; 1 case due and not measured", tone: "doubt"},
		{cases: 3, open: 2, silent: 2, want: "2 cases with open regressions; 2 cases due and not measured", tone: "bad"},
		{cases: 3, unproven: 1, want: "No regression is open; 1 case without a verdict", tone: "doubt"},
		{cases: 3, open: 1, unproven: 2, want: "1 case with an open regression; 2 cases without a verdict", tone: "bad"},
		{cases: 3, retired: 3, want: "No regression is open; no case was measured for 60 days", tone: "doubt"},
	} {
		v := overview{Unproven: make([]unprovenView, tt.unproven), Silent: make([]silentView, tt.silent), Retired: tt.retired, Cases: tt.cases}
		v.headline(tt.open)
		require.Equal(t, tt.want, v.Headline)
		require.Equal(t, tt.tone, v.Tone)
	}
}
