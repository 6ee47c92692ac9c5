package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/docs"
	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
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
			text, err := configSchema()
			fmt.Fprintf(h.stdout, "%s\n", text)
			return err
		},
	}
}

// configSchema is the schema of the whole file, with the words of docs/config.md.
func configSchema() ([]byte, error) {
	words := docs.ConfigKeys()
	s := strictyaml.Schema(reflect.TypeFor[fileConfig](), func(path string) string { return words[path] })
	s["title"] = defaultConfig
	return json.MarshalIndent(s, "", "  ")
}
