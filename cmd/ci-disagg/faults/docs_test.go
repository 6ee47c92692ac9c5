package faults_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the table in docs/faults.md")

// The table in docs/faults.md is the one that the matrix asserts, row by row. The values of a run that passes are
// these.
func TestTableInDocs(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| what happens | outcome | exit | root | `make e2e` |\n|---|---|---|---|---|\n")
	seeds := 0
	for _, f := range matrix() {
		if strings.Contains(f.name, ", seed ") {
			if seeds++; seeds > 1 {
				continue
			}
			f.name = "SIGKILL of the driver at random moments, twice, then `run` or `resume` (16 seeds)"
		}
		if strings.HasSuffix(f.name, " (local)") {
			continue
		}
		root := strings.Join(append([]string{f.root}, f.more...), ", ")
		if f.root == "" {
			root = "–"
		}
		quick := ""
		switch {
		case f.quick:
			quick = "yes"
		case quickLocally(f.name):
			quick = "local"
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s |\n", f.name, f.outcome, f.exit, root, quick)
	}
	const begin, end = "<!-- rows -->\n", "<!-- end of rows -->\n"
	file := filepath.Join(root, "docs/faults.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "docs/faults.md has no %s", begin)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok, "docs/faults.md has no %s", end)
	want := head + begin + b.String() + end + tail
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644)) //nolint:gosec // documentation
		return
	}
	require.Equal(t, want, string(text), "go test ./cmd/ci-disagg/faults -run TestTableInDocs -update")
}

func quickLocally(name string) bool {
	for _, f := range local() {
		if f.quick && f.name == name+" (local)" {
			return true
		}
	}
	return false
}
