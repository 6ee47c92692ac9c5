// Package cmdline words what is wrong with a command line, and reads further arguments from a file: what a caller
// passes on without ever putting it where a shell would read it.
package cmdline

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Usage is what is said about a command line that cobra refused: what is
// wrong with it, which flag was probably meant, how the verb is called.
func Usage(cmd *cobra.Command, err error) string {
	text := strings.TrimSpace(err.Error())
	var absent *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &absent):
		dashes, name := "--", absent.GetSpecifiedName()
		if short := absent.GetSpecifiedShortnames(); short != "" {
			dashes, name = "-", short
		}
		text = unknown("flag", dashes, name, flagsOf(cmd))
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

// NoArgs refuses arguments. Of a verb that has verbs of its own it says which
// one was probably meant.
func NoArgs(cmd *cobra.Command, args []string) error {
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
	return errors.New(unknown("command", "", args[0], verbs))
}

// unknown says that there is no such flag or command, and which one was probably
// meant, as strictyaml says it of a key.
func unknown(what, dashes, name string, known []string) string {
	text := fmt.Sprintf("unknown %s %q", what, dashes+name)
	if near := strictyaml.Nearest(name, known); near != "" {
		if dashes != "" {
			near = "--" + near
		}
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}

// Find is the verb that a command line names, and what follows it.
func Find(root *cobra.Command, args []string) (*cobra.Command, []string, error) {
	cmd, rest, err := root.Find(args)
	if err != nil { // cobra words it in a way of its own
		at := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
		err = NoArgs(root, args[max(0, at):])
	}
	return cmd, rest, err
}
