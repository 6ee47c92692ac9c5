package report

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCasesAlikeAreOneWarning(t *testing.T) {
	t.Parallel()
	require.Empty(t, folded(nil))
	require.Equal(t, []string{"b: not verified"}, folded([]string{"b: not verified"}))
	require.Equal(t, []string{"3 cases like this: a: not verified"}, folded([]string{"b: not verified", "a: not verified", "c: not verified"}))
}
