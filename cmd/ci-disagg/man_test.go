package main

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/cmdline/manual"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// unformatted is the text of a page without roff's marks.
func unformatted(page []byte) string {
	return regexp.MustCompile(`\\f[BIR]`).ReplaceAllString(strings.NewReplacer(`\-`, "-", `\&`, "", `\e`, `\`).Replace(string(page)), "")
}

// TestEveryVerbHasAManualPage with what help says of it: its words and all of its flags.
func TestEveryVerbHasAManualPage(t *testing.T) {
	t.Parallel()
	root := newRoot(newHost())
	pages := map[string]string{}
	for _, p := range manual.Pages(root, "v1") {
		pages[p.Name] = unformatted(p.Text)
	}
	for _, name := range []string{"ci-disagg.1", "ci-disagg-run.1", "ci-disagg-baseline-show.1", "ci-disagg-man.1", "ci-disagg-completion-bash.1"} {
		require.Contains(t, pages, name)
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			visit(c)
		}
		page, ok := pages[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"]
		if !ok {
			require.True(t, cmd.Hidden || cmd.Name() == "help" || cmd.Parent().Hidden, cmd.CommandPath())
			return
		}
		require.Contains(t, page, cmd.Short)
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			require.Contains(t, page, strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "        "), cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			require.Equal(t, !f.Hidden, strings.Contains(page, "--"+f.Name), "%s --%s", cmd.CommandPath(), f.Name)
		})
	}
	visit(root)
}

// TestManualPagesAreSound: groff, which man calls, has nothing to say about them.
func TestManualPagesAreSound(t *testing.T) {
	need.Programs(t, "groff-base", "groff")
	t.Parallel()
	var all bytes.Buffer
	for _, p := range manual.Pages(newRoot(newHost()), "v1") {
		all.Write(p.Text)
	}
	c := exec.CommandContext(t.Context(), "groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z")
	c.Stdin = &all
	said, err := c.CombinedOutput()
	require.NoError(t, err)
	require.Empty(t, string(said))
}
