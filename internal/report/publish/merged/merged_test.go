package merged

import (
	"html"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMarkdownText: a page shows what the file says, character by character.
func TestMarkdownText(t *testing.T) {
	t.Parallel()
	const said = "suite \"s\" isn't <b>&amp;</b> #1 | [x](y) `z` a_b @all"
	escaped := markdownText(said)
	require.Equal(t, said, html.UnescapeString(escaped))
	require.NotContains(t, escaped, "&&")
	require.NotContains(t, escaped, "|")
}
