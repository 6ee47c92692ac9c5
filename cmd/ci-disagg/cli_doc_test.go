package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var updateCLI = flag.Bool("update-cli", false, "rewrite docs/cli.md from the binary's own help")

// TestCLIReference keeps docs/cli.md and the binary's help the same.
func TestCLIReference(t *testing.T) {
	t.Parallel()
	const path = "../../docs/cli.md"
	want := cliReference(t)
	if *updateCLI {
		require.NoError(t, rundir.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "run: go test ./cmd/ci-disagg -run TestCLIReference -update-cli")
}

// cliReference is the help of every verb, in help's own order.
func cliReference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Command line\n\nWhat `ci-disagg help VERB` prints, verb by verb. A test keeps this page and the binary the same.\n\n" +
		"`source <(ci-disagg completion bash)` lets bash complete verbs, flags, their words, run ids, cases, metrics, clusters of\n" +
		"the config and file names (it needs the package bash-completion); `completion zsh` and `completion fish` do the same\n" +
		"there. `ci-disagg man -o DIR` writes the same help as manual pages.\n")
	root := newRoot(newHost())
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		writeHelp(t, &b, cmd)
		for _, sub := range cmd.Commands() {
			if cmd != root {
				writeHelp(t, &b, sub)
			}
		}
	}
	return b.String()
}

// writeHelp appends what the program prints for 'help VERB'.
func writeHelp(t *testing.T, b *strings.Builder, cmd *cobra.Command) {
	t.Helper()
	if cmd.Hidden || cmd.Name() == "help" {
		return
	}
	var help bytes.Buffer
	h := newHost()
	h.stdout = &help
	require.Equal(t, exit.Passed, run(t.Context(), h, append([]string{"help"}, strings.Fields(cmd.CommandPath())[1:]...)))
	fmt.Fprintf(b, "\n## `%s`\n\n```\n%s```\n", cmd.CommandPath(), strings.TrimLeft(help.String(), "\n"))
}
