package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// usageText is what is said about a command line that cobra refused: what is
// wrong with it, which flag was probably meant, how the verb is called.
func usageText(cmd *cobra.Command, err error) string {
	text := strings.TrimSpace(err.Error())
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		text = "unknown flag " + strconv.Quote("-"+unknown.GetSpecifiedShortnames())
		if name := unknown.GetSpecifiedName(); unknown.GetSpecifiedShortnames() == "" {
			text = unknownOf("flag", "--", name, flagsOf(cmd))
		}
	case errors.As(err, &invalid): // its own text ends with Go's words for it
		f := invalid.GetFlag()
		text = fmt.Sprintf("--%s %q: expects %s", f.Name, invalid.GetValue(), kindOf(f.Value.Type()))
	}
	if !cmd.HasSubCommands() {
		text += "\nusage: " + cmd.UseLine()
	}
	return text + "\nhelp:  ci-disagg help" + strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name())
}

// kindOf is a flag's type in words.
func kindOf(typ string) string {
	switch typ {
	case "int":
		return "a whole number"
	case "ints", "intSlice":
		return "whole numbers with commas between them"
	case "float", "float64":
		return "a number"
	case "duration":
		return "a duration such as 90s or 2h"
	case "bool":
		return "true or false"
	default:
		return "a " + typ
	}
}

// flagsOf lists the names of the flags that a verb takes.
func flagsOf(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// noArgs refuses arguments. Of a verb that has verbs of its own it says which
// one was probably meant.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !cmd.HasSubCommands():
		return fmt.Errorf("%s takes no arguments, and %q is one", cmd.Name(), args[0])
	}
	var verbs []string
	for _, c := range cmd.Commands() {
		verbs = append(verbs, c.Name())
	}
	return errors.New(unknownOf("command", "", args[0], verbs))
}

// unknownOf says that there is no such flag or command, and which one was probably
// meant, as strictyaml says it of a key.
func unknownOf(what, dashes, name string, known []string) string {
	text := fmt.Sprintf("unknown %s %q", what, dashes+name)
	if near := strictyaml.Nearest(name, known); near != "" {
		text += fmt.Sprintf("; did you mean %q?", dashes+near)
	}
	return text
}

// find is the verb that a command line names, and what follows it.
func find(root *cobra.Command, args []string) (*cobra.Command, []string, error) {
	cmd, rest, err := root.Find(args)
	if err != nil { // cobra words it in a way of its own
		at := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
		err = noArgs(root, args[max(0, at):])
	}
	return cmd, rest, err
}

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
		found, rest, err := find(root, args)
		if err == nil {
			err = noArgs(found, rest)
		}
		if err != nil {
			return usageErr(errors.New(usageText(root, err)))
		}
		show(cmd, args)
		return nil
	}
}
