package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
)

// strictHelp makes 'help VERB' refuse what is no verb, as the verb itself would be.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic(err) // it has just been made
	}
	show := help.Run
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		found, rest, err := cmdline.Find(root, args)
		if err == nil {
			err = cmdline.NoArgs(found, rest)
		}
		if err != nil {
			return exit.ByUser(errors.New(cmdline.Usage(root, err)))
		}
		show(cmd, args)
		return nil
	}
}

// helpWidth is how wide help is: what most terminals and docs/cli.md show without a break.
const helpWidth = "118"

// narrowHelp wraps the texts of flags.
func narrowHelp(root *cobra.Command) {
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped "+helpWidth))
}
