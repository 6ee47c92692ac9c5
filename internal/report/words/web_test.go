package words

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is written of a file and its line is read again, whatever its name; another command is none of it.
func TestLookedReadsWhatLookWrote(t *testing.T) {
	t.Parallel()
	const pages = "https://ci/job/7/artifact/copy/"
	for file, line := range map[string]int{"cases/x/slurm.out": 12, "a +3 b/output.log": 7, "report/summary.md": 0} {
		address, at, ok := Looked(pages, Look(pages, file, line))
		require.True(t, ok)
		require.Equal(t, OnWeb(pages, file), address)
		require.Equal(t, FromLine(line) != "", at != "")
	}
	for _, other := range []string{"", "less +3 /r/x.log", "# perf.store in c.yaml: names where the history is kept"} {
		_, _, ok := Looked(pages, other)
		require.False(t, ok, other)
	}
	_, _, ok := Looked("", "# perf.store in c.yaml: x")
	require.False(t, ok)
}
