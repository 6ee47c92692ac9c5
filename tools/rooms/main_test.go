package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func module(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"a/a.go": `package a

import "example.org/m/b"

type Thing struct{ x, y, Z int }

func (t *Thing) Do(a, b bool) int {
	if a && b {
		return t.x
	}
	return b.Limit
}
`,
		"a/a_test.go":          "package a\n\nfunc helper() {}\n",
		"b/b.go":               "package b\n\nimport \"fmt\"\n\nconst Limit, low = 1, 2\n\nfunc f() { fmt.Println() }\n",
		"b/testdata/ignore.go": "not Go",
	} {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	packages, err := measure(module(t))
	require.NoError(t, err)
	require.Len(t, packages, 2)
	a, b := packages[0], packages[1]
	require.Equal(t, &pkg{
		dir: "a", lines: 12, tests: 3, lengths: []int{6}, cognitive: 2, cyclomatic: 3, exported: 2,
		files: map[string]int{"a/a.go": 12, "a/a_test.go": 3}, methods: map[string]int{"Thing": 1}, fields: map[string]int{"Thing": 3},
		in: map[string]bool{}, out: map[string]bool{"example.org/m/b": true},
	}, a)
	require.Equal(t, map[string]bool{"a": true}, b.in)
	require.Empty(t, b.out)
	require.Equal(t, 1, b.exported)
	var out bytes.Buffer
	require.NoError(t, run(module(t), false, &out))
	require.Contains(t, out.String(), " total\n")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	packages, err := measure(module(t))
	require.NoError(t, err)
	packages[0].methods["Thing"] = maxMethods + 1
	packages[1].fields["Small"] = maxFields
	packages[1].lines = maxPackage + 1
	var out bytes.Buffer
	err = hold(packages, nil, &out)
	require.EqualError(t, err, "lines of package b: 3001, the limit is 3000\nmethods of a.Thing: 36, the limit is 35")
	require.Zero(t, out.Len())
	require.NoError(t, hold(packages, map[string]int{"methods of a.Thing": 36, "lines of package b": 3001}, &out))
	require.Equal(t, 2, strings.Count(out.String(), "rooms: still to shrink: "), "what is let through is said")
	err = hold(packages, map[string]int{"methods of a.Thing": 36, "lines of package b": 3001, "fields of b.Small": 21}, &out)
	require.ErrorContains(t, err, "fields of b.Small is within its limit: take it off the list")
	packages[1].lines++
	err = hold(packages, map[string]int{"methods of a.Thing": 36, "lines of package b": 3001}, &out)
	require.EqualError(t, err, "lines of package b has grown to 3002: it was to shrink from 3001 to 3000")
}

// A comment is read as text: no line of it is wider than one.
func TestComments(t *testing.T) {
	t.Parallel()
	root := module(t)
	path := filepath.Join(root, "b", "b.go")
	wide := "// " + strings.Repeat("ä", maxColumns-3)
	text := "package b\n\n" + wide + "\nconst Limit = 1\n\nfunc f() {\n\t" + wide + "\n}\n\n//go:generate " + wide + "\nvar s = \"" + wide + "\"\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	packages, err := measure(root)
	require.NoError(t, err)
	require.EqualError(t, hold(packages, nil, &bytes.Buffer{}), "b/b.go:7: a comment of more than 120 columns")
}

// A room with a limit of its own is held to that one, also when it is larger than a package may be.
func TestRooms(t *testing.T) {
	t.Parallel()
	for _, l := range limits() {
		p := &pkg{dir: l.name, lines: l.lines}
		require.NoError(t, hold([]*pkg{p}, nil, &bytes.Buffer{}), l.name)
		p.lines++
		require.ErrorContains(t, hold([]*pkg{p}, nil, &bytes.Buffer{}), fmt.Sprintf("lines of room %s: %d, the limit is %d", l.name, p.lines, l.lines))
	}
}
