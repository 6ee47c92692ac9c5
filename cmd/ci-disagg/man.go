package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/cmdline/manual"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func newManCmd(h host) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "man -o DIR",
		Short: "Write the manual pages of all verbs",
		Long: `man writes what help says of each verb as manual pages, below man1 of a directory:
where that directory is on $MANPATH, 'man ci-disagg-run' shows one.`,
		Example: `  ci-disagg man -o ~/.local/share/man && man ci-disagg-run`,
		Args:    cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return exit.ByUser(errors.New("where to? Give -o DIR"))
			}
			dir, err := absPath(h, out)
			if err != nil {
				return err
			}
			pages := manual.Pages(cmd.Root(), buildVersion())
			for _, p := range pages {
				if err := rundir.WriteFile(filepath.Join(dir, "man1", p.Name), p.Text, rundir.FileMode); err != nil {
					return exit.ByUser(err)
				}
			}
			fmt.Fprintf(h.stdout, "%d pages in %s\n", len(pages), filepath.Join(out, "man1"))
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "directory of man1 (required)")
	return cmd
}
