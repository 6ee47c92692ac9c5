package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
)

// argsFlag names the file that stands for further arguments.
const argsFlag = "args-file"

func addArgsFlag(f *pflag.FlagSet) {
	f.String(argsFlag, "", `JSON file of further flags and arguments: {"flags": {"testList": ["a.txt"], "quiet": true}, "args": ["…"]}`)
}

// expandArgs replaces every --args-file of a command line by what the file says. Each value stays one argument,
// whatever it contains. Flags that follow on the command line stand over those of the file.
func expandArgs(root *cobra.Command, readFile func(string) ([]byte, error), args []string) ([]string, error) {
	var front, back []string
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		if args[i] == "--" {
			return joinArgs(front, args[i+1:], back), nil
		}
		if name != "--"+argsFlag {
			front = append(front, args[i])
			continue
		}
		if !given {
			if i++; i == len(args) {
				return nil, exit.ByUser(fmt.Errorf("--%s needs a file", argsFlag))
			}
			value = args[i]
		}
		cmd, _, err := cmdline.Find(root, args)
		if err != nil {
			return nil, exit.ByUser(err)
		}
		data, err := readFile(value)
		var flags, rest []string
		if err == nil {
			flags, rest, err = cmdline.ReadFile(cmd, data, argsFlag)
		}
		if err != nil {
			return nil, exit.ByUser(fmt.Errorf("--%s %s: %w", argsFlag, value, err))
		}
		front, back = append(front, flags...), append(back, rest...)
	}
	return joinArgs(front, nil, back), nil
}

// joinArgs puts arguments behind "--", so that none is taken for a flag.
func joinArgs(front, literal, back []string) []string {
	if rest := append(slices.Clone(literal), back...); len(rest) > 0 {
		return append(append(front, "--"), rest...)
	}
	return front
}
