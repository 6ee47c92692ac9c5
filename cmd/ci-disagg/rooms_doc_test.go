package main

import (
	"flag"
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var updateRooms = flag.Bool("update-rooms", false, "rewrite docs/rooms.md from the packages' own documentation")

// TestRoomsPage keeps docs/rooms.md and the first sentence of each package's
// documentation the same, and has every package say what it is for.
func TestRoomsPage(t *testing.T) {
	t.Parallel()
	const path = "../../docs/rooms.md"
	want := roomsPage(t)
	if *updateRooms {
		require.NoError(t, rundir.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "run: go test ./cmd/ci-disagg -run TestRoomsPage -update-rooms")
}

func roomsPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Rooms\n\nEvery package of the program, by the first sentence of its own documentation; `go doc` has the rest: what goes in\n" +
		"and what comes out. A test keeps this page and the packages the same.\n" +
		"How they hang together: [development.md](development.md).\n")
	for _, root := range []string{"cmd", "internal/launch", "internal/report", "internal"} {
		fmt.Fprintf(&b, "\n## %s\n\n", root)
		err := filepath.WalkDir("../../"+root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case !d.IsDir():
				return nil
			case d.Name() == "testdata", root == "internal" && (d.Name() == "launch" || d.Name() == "report"):
				return filepath.SkipDir
			}
			if says := synopsis(t, path); says != "" {
				b.WriteString(bullet(strings.TrimPrefix(path, "../../"), says))
			}
			return nil
		})
		require.NoError(t, err)
	}
	return b.String()
}

// synopsis is the first sentence of a package's documentation, "" where there is no
// package.
func synopsis(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		require.NoError(t, err)
		if f.Doc != nil {
			return new(doc.Package).Synopsis(f.Doc.Text())
		}
	}
	require.Empty(t, files, "%s: no file says what the package is for", dir)
	return ""
}

// bullet is one line of the list, folded.
func bullet(name, says string) string {
	const most = 118
	_, says, _ = strings.Cut(says, " ") // "Package"
	_, says, _ = strings.Cut(says, " ") // its name
	var b strings.Builder
	line := "- `" + name + "`"
	for word := range strings.FieldsSeq(says) {
		if len(line)+1+len(word) > most {
			b.WriteString(line + "\n")
			line = " "
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}
