package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
)

func TestExpandArgs(t *testing.T) {
	t.Parallel()
	const awkward = "a b'\"; touch x `y` $(z)\n--wait"
	tests := []struct {
		name string
		file string
		args []string // FILE stands for the file
		want []string
		err  string
	}{
		{
			name: "every kind of value",
			file: `{"flags": {"testList": ["a.txt", "b c.txt"], "max-jobs": 4, "quiet": true, "STAGE": "", "waives": [], "cluster": null}, "args": ["x", "--y"]}`,
			args: []string{"run", "--args-file", "FILE"},
			want: []string{"run", "--stage=", "--max-jobs=4", "--quiet=true", "--test-list=a.txt", "--test-list=b c.txt", "--", "x", "--y"},
		},
		{
			name: "a value is one argument whatever it holds", file: `{"flags": {"stage": "a b'\"; touch x ` + "`y`" + ` $(z)\n--wait"}}`,
			args: []string{"run", "--args-file=FILE"}, want: []string{"run", "--stage=" + awkward},
		},
		{
			name: "the command line stands over the file and keeps its place", file: `{"flags": {"stage": "a"}, "args": ["z"]}`,
			args: []string{"run", "-q", "--args-file", "FILE", "--stage=b", "y"}, want: []string{"run", "-q", "--stage=a", "--stage=b", "y", "--", "z"},
		},
		{
			name: "behind -- it is an argument", args: []string{"run", "--", "--args-file", "FILE"},
			want: []string{"run", "--", "--args-file", "FILE"},
		},
		{name: "no file", args: []string{"run", "--args-file"}, err: "--args-file needs a file"},
		{name: "absent", args: []string{"run", "--args-file", "none"}, err: "none: no such file"},
		{name: "unknown flag", file: `{"flags": {"testLists": "a"}}`, err: `unknown flag "testLists"; did you mean "test-list"?`},
		{name: "not of this verb", file: `{"flags": {"save": true}}`, err: `unknown flag "save"`},
		{name: "itself", file: `{"flags": {"argsFile": "a"}}`, err: `unknown flag "argsFile"`},
		{name: "twice", file: `{"flags": {"runId": "a", "run-id": "b"}}`, err: `"run-id" and "runId" are the same flag`},
		{name: "list for one", file: `{"flags": {"stage": ["a", "b"]}}`, err: `flag "stage" takes one value, not 2`},
		{name: "object", file: `{"flags": {"stage": {}}}`, err: `flag "stage": not a text`},
		{name: "nested", file: `{"flags": {"testList": [["a"]]}}`, err: `flag "testList": a list holds texts`},
		{name: "null in a list", file: `{"flags": {"testList": [null]}}`, err: `flag "testList": a list holds texts`},
		{name: "unknown key", file: `{"flag": {}}`, err: `unknown field "flag"`},
		{name: "two values", file: `{} {}`, err: "more than one JSON value"},
		{name: "not JSON", file: `--stage a`, err: "invalid character"},
		{name: "too long", file: strings.Repeat(" ", 1<<20) + "{}", err: "more than 1048576 bytes"},
		{name: "unknown verb", file: `{}`, args: []string{"rum", "--args-file", "FILE"}, err: `unknown command "rum"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "args.json")
			require.NoError(t, os.WriteFile(file, []byte(tt.file), 0o600))
			args := tt.args
			if args == nil {
				args = []string{"run", "--args-file", "FILE"}
			}
			var given []string
			for _, a := range args {
				if tt.file != "" {
					a = strings.ReplaceAll(a, "FILE", file)
				}
				given = append(given, a)
			}
			got, err := expandArgs(newRoot(newHost()), os.ReadFile, given)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				var end *exit.Error
				require.ErrorAs(t, err, &end)
				require.Equal(t, exit.Usage, end.Code)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

// TestArgsFileReachesTheVerb: what the file says is what the verb sees.
func TestArgsFileReachesTheVerb(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "args.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"flags": {"config": "none such.yaml"}, "args": ["t"]}`), 0o600))
	h := newHost()
	var out, stderr bytes.Buffer
	h.stdout, h.stderr = &out, &stderr
	require.Equal(t, exit.Usage, run(context.Background(), h, []string{"run", "--args-file", file}))
	require.Contains(t, stderr.String(), "none such.yaml")
}
