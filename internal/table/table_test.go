package table_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/table"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	for colour, want := range map[bool]string{
		false: "NAME     VALUE  WORD\nä            1  pass\nb c   12.50 ms\n",
		true:  "NAME     VALUE  WORD\nä            1  \x1b[32mpass\x1b[0m\nb c   12.50 ms\n",
	} {
		tab := table.Table{Colour: colour}
		tab.Row(table.Cell{Text: "NAME"}, table.Cell{Text: "VALUE", Right: true}, table.Cell{Text: "WORD"})
		tab.Row(table.Cell{Text: "ä"}, table.Cell{Text: "1", Right: true}, table.Cell{Text: "pass", Paint: "32"})
		tab.Add("b\nc", "12.50 ms", "")
		var b strings.Builder
		require.NoError(t, tab.Write(&b))
		require.Equal(t, want, b.String())
	}
}
