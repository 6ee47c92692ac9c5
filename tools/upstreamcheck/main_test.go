package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPointsAreComplete(t *testing.T) {
	sources, err := points()
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, s := range sources {
		require.Regexp(t, `^[0-9a-f]{8}$`, s.Read, s.File)
		require.NotEmpty(t, s.Points, s.File)
		for _, p := range s.Points {
			require.False(t, seen[p.ID], "%s stands twice", p.ID)
			seen[p.ID] = true
			require.NotEmpty(t, p.Fact, p.ID)
			require.NotEmpty(t, p.Here, p.ID)
			_, err := regexp.Compile(p.Pattern)
			require.NoError(t, err, p.ID)
		}
	}
}

// checkout writes a file in which the given points hold.
func checkout(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

func TestCheckTellsWhatMoved(t *testing.T) {
	sources := []source{
		{File: "a.sh", Read: "00000000", Points: []point{
			{ID: "there", Fact: "x is exported", Pattern: `export x=`, Here: "y"},
			{ID: "gone", Fact: "z is exported", Pattern: `export z=`, Here: "the plan"},
			{ID: "no-wait", Fact: "it waits for nobody", Pattern: `(?m)^\s*wait\b`, Absent: true, Here: "blame"},
			{ID: "no-echo", Fact: "it prints nothing", Pattern: `echo`, Absent: true, Here: "blame"},
		}},
		{File: "b.py", Read: "00000000", Points: []point{{ID: "lost", Fact: "f", Pattern: "f", Here: "h"}}},
	}
	dir := checkout(t, map[string]string{"a.sh": "export x=1\necho # wait\n"})
	var out bytes.Buffer
	bad, err := check(&out, dir, sources)
	require.NoError(t, err)
	require.Equal(t, 3, bad)
	text := out.String()
	for _, want := range []string{"holds    there", "MOVED    gone", "depends on it: the plan", "holds    no-wait", "MOVED    no-echo", "NO FILE  lost", "2 of 5 points hold"} {
		require.Contains(t, text, want)
	}
}

func TestExitCodes(t *testing.T) {
	var out, errs bytes.Buffer
	require.Equal(t, 2, run(nil, &out, &errs))
	require.Equal(t, 2, run([]string{filepath.Join(t.TempDir(), "none")}, &out, &errs))
	require.Equal(t, 1, run([]string{t.TempDir()}, &out, &errs), "an empty directory is no checkout")
	require.Equal(t, 0, run([]string{"-markdown"}, &out, &errs))
}

// docs/upstream.md holds the table as it is printed.
func TestDocs(t *testing.T) {
	sources, err := points()
	require.NoError(t, err)
	var table bytes.Buffer
	printMarkdown(&table, sources)
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "upstream.md"))
	require.NoError(t, err)
	require.True(t, strings.Contains(string(doc), strings.TrimSpace(table.String())),
		"docs/upstream.md is out of date: go run ./tools/upstreamcheck -markdown")
}
