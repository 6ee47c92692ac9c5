package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/configfile"
)

func newSchemaCmd(h host) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON schema of ci-disagg.yaml, for editors",
		Long: `schema prints a JSON schema (draft 2020-12) of ci-disagg.yaml. Editors complete and check the file with it, and
show what each key means, if its first line names the schema:

  # yaml-language-server: $schema=ci-disagg.schema.json

What a schema cannot say (keys that contradict each other, names that must exist) 'ci-disagg plan' does.`,
		Example: "  ci-disagg schema > ci-disagg.schema.json",
		Args:    cmdline.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := configfile.Schema()
			fmt.Fprintf(h.stdout, "%s\n", text)
			return err
		},
	}
}
