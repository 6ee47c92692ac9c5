package cmdline

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fileLimit bounds that file in bytes.
const fileLimit = 1 << 20

// file is the text of an --args-file: what a caller passes on without ever
// putting it on a command line, where a shell would read it.
//
//	{"flags": {"testList": ["nightly.txt"], "cluster": "gb200", "maxJobs": 4, "quiet": true}, "args": ["test id"]}
type file struct {
	// Flags are the verb's flags, as --test-list is called: testList, test-list
	// or TEST_LIST. A list is for flags that may be repeated. null and an empty
	// list are as if the key was not there.
	Flags map[string]any `json:"flags"`
	Args  []string       `json:"args"` // what follows the flags: test ids, a run directory
}

// ReadFile reads the text of such a file for a verb: its flags as --name=value, in the order of their names, and what
// follows them. own is the flag that named the file, which it cannot hold itself.
func ReadFile(cmd *cobra.Command, data []byte, own string) (flags, rest []string, err error) {
	if len(data) > fileLimit {
		return nil, nil, fmt.Errorf("more than %d bytes", fileLimit)
	}
	var in file
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, nil, fmt.Errorf("not the JSON object that --help shows: %w", err)
	}
	if dec.More() {
		return nil, nil, errors.New("more than one JSON value")
	}
	flags, err = in.commandLine(cmd, own)
	return flags, in.Args, err
}

// commandLine is the file's flags as --name=value, in the order of their names.
func (in file) commandLine(cmd *cobra.Command, own string) ([]string, error) {
	known := map[string]*pflag.Flag{}
	learn := func(f *pflag.Flag) {
		if f.Name != own && f.Name != "help" {
			known[foldFlag(f.Name)] = f
		}
	}
	cmd.LocalFlags().VisitAll(learn)
	cmd.InheritedFlags().VisitAll(learn)
	var out []string
	var errs []error
	taken := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(in.Flags)) {
		values, err := flagTexts(in.Flags[key])
		f := known[foldFlag(key)]
		switch {
		case f == nil:
			err = errors.New(unknown("flag", "", key, flagNames(known)))
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
	for _, key := range slices.Sorted(maps.Keys(known)) {
		names = append(names, known[key].Name)
	}
	return names
}
