package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// argsFlag names the file that stands for further arguments.
const argsFlag = "args-file"

// argsLimit bounds that file in bytes.
const argsLimit = 1 << 20

// argsFile is the text of an --args-file: what a caller passes on without ever
// putting it on a command line, where a shell would read it.
//
//	{"flags": {"testList": ["nightly.txt"], "cluster": "gb200", "maxJobs": 4, "quiet": true}, "args": ["test id"]}
type argsFile struct {
	// Flags are the verb's flags, as --test-list is called: testList, test-list
	// or TEST_LIST. A list is for flags that may be repeated. null and an empty
	// list are as if the key was not there.
	Flags map[string]any `json:"flags"`
	Args  []string       `json:"args"` // what follows the flags: test ids, a run directory
}

func addArgsFlag(f *pflag.FlagSet) {
	f.String(argsFlag, "", `JSON file of further flags and arguments: {"flags": {"testList": ["a.txt"], "quiet": true}, "args": ["…"]}`)
}

// expandArgs replaces every --args-file of a command line by what the file says.
// Each value stays one argument, whatever it contains. Flags that follow on the
// command line stand over those of the file.
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
				return nil, usageErr(fmt.Errorf("--%s needs a file", argsFlag))
			}
			value = args[i]
		}
		cmd, _, err := find(root, args)
		if err != nil {
			return nil, usageErr(err)
		}
		flags, rest, err := readArgs(cmd, readFile, value)
		if err != nil {
			return nil, usageErr(fmt.Errorf("--%s %s: %w", argsFlag, value, err))
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

func readArgs(cmd *cobra.Command, readFile func(string) ([]byte, error), path string) (flags, rest []string, err error) {
	data, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	if len(data) > argsLimit {
		return nil, nil, fmt.Errorf("more than %d bytes", argsLimit)
	}
	var in argsFile
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, nil, fmt.Errorf("not the JSON object that --help shows: %w", err)
	}
	if dec.More() {
		return nil, nil, errors.New("more than one JSON value")
	}
	flags, err = in.commandLine(cmd)
	return flags, in.Args, err
}

// commandLine is the file's flags as --name=value, in the order of their names.
func (in argsFile) commandLine(cmd *cobra.Command) ([]string, error) {
	known := map[string]*pflag.Flag{}
	learn := func(f *pflag.Flag) {
		if f.Name != argsFlag && f.Name != "help" {
			known[foldFlag(f.Name)] = f
		}
	}
	cmd.LocalFlags().VisitAll(learn)
	cmd.InheritedFlags().VisitAll(learn)
	var out []string
	var errs []error
	taken := map[string]string{}
	for _, key := range sortedKeys(in.Flags) {
		values, err := flagTexts(in.Flags[key])
		f := known[foldFlag(key)]
		switch {
		case f == nil:
			err = errors.New(unknownOf("flag", "", key, flagNames(known)))
		case err != nil:
			err = fmt.Errorf("flag %q: %w", key, err)
		case taken[f.Name] != "":
			err = fmt.Errorf("%q and %q are the same flag", taken[f.Name], key)
		case len(values) > 1 && f.Value.Type() != "stringArray":
			err = fmt.Errorf("flag %q takes one value, not %d", key, len(values))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		taken[f.Name] = key
		for _, v := range values {
			out = append(out, "--"+f.Name+"="+v)
		}
	}
	return out, errors.Join(errs...)
}

// flagTexts is a JSON value as the texts that a command line would have.
func flagTexts(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case bool:
		return []string{fmt.Sprint(v)}, nil
	case json.Number:
		return []string{v.String()}, nil
	case []any:
		var out []string
		for _, e := range v {
			texts, err := flagTexts(e)
			if _, nested := e.([]any); nested || err != nil || len(texts) != 1 {
				return nil, errors.New("a list holds texts, numbers and true or false")
			}
			out = append(out, texts[0])
		}
		return out, nil
	default:
		return nil, errors.New("not a text, a number, true, false or a list of these")
	}
}

// foldFlag makes testList, test-list and TEST_LIST the same.
func foldFlag(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

func flagNames(known map[string]*pflag.Flag) []string {
	var names []string
	for _, key := range sortedKeys(known) {
		names = append(names, known[key].Name)
	}
	return names
}
