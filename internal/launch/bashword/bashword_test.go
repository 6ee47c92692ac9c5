package bashword_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/launch/bashword"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		word, prefix, suffix string
		literal              bool
	}{
		{word: `plain`, prefix: "plain", suffix: "plain", literal: true},
		{word: `a\ b"c\"d\e"'f\g'`, prefix: `a bc"d\ef\g`, suffix: `a bc"d\ef\g`, literal: true},
		{word: `--x="$HOME"/y`, prefix: "--x=", suffix: "/y"},
		{word: `"a${B}c"`, prefix: "a", suffix: "c"},
		{word: `$'a\n'b`, prefix: "", suffix: "b"},
		{word: `$(date)`, prefix: "", suffix: ""},
	} {
		t.Run(tt.word, func(t *testing.T) {
			t.Parallel()
			f, err := syntax.NewParser().Parse(strings.NewReader(tt.word), "")
			require.NoError(t, err)
			w := f.Stmts[0].Cmd.(*syntax.CallExpr).Args[0]
			value, literal := bashword.Literal(w)
			require.Equal(t, tt.prefix, value)
			require.Equal(t, tt.literal, literal)
			require.Equal(t, tt.suffix, bashword.Suffix(w))
		})
	}
}

func TestShellText(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"bash -c 'a b'":             "a b",
		"srun -n1 /bin/sh -lc text": "text",
		"bash -x -c text arg":       "text",
		"bash --norc -c text":       "text",
		"dash -c text":              "text",
		"eval text":                 "text",
		"bash script.sh -c text":    "",
		"echo -c text":              "",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			f, err := syntax.NewParser().Parse(strings.NewReader(command), "")
			require.NoError(t, err)
			got := ""
			if again := bashword.ParsedAgain(f.Stmts[0].Cmd.(*syntax.CallExpr).Args); len(again) > 0 {
				got, _ = bashword.Literal(again[0])
			}
			require.Equal(t, want, got)
		})
	}
}
