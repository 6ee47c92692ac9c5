package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// textFiles calls visit with the path, below the root of the repository, and the text
// of every file with one of the extensions.
func textFiles(t *testing.T, below string, exts []string, visit func(name, text string)) {
	t.Helper()
	const root = "../.."
	err := filepath.WalkDir(filepath.Join(root, below), func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "bin", "dist"}, d.Name()):
			return filepath.SkipDir
		case !d.Type().IsRegular() || !slices.Contains(exts, filepath.Ext(file)):
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		visit(filepath.ToSlash(name), string(data))
		return err
	})
	require.NoError(t, err)
}

// comments is what the file tells its readers: a Go file's comments, and all of a script.
func comments(t *testing.T, name, text string) string {
	t.Helper()
	if filepath.Ext(name) != ".go" {
		return text
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	var out strings.Builder
	for _, group := range file.Comments {
		for _, c := range group.List {
			out.WriteString(c.Text + "\n")
		}
	}
	return out.String()
}

// anchors are the fragments by which the headings of a page can be reached.
func anchors(page string) []string {
	var out []string
	fenced := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if title := strings.TrimLeft(line, "#"); !fenced && title != line && strings.HasPrefix(title, " ") {
			title = strings.ToLower(strings.TrimSpace(title))
			title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(title, "")
			out = append(out, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return out
}

// pages maps each Markdown page of the repository to its anchors.
func pages(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	textFiles(t, ".", []string{".md"}, func(name, text string) { out[name] = anchors(text) })
	require.Contains(t, out["docs/verdict.md"], "three-rules")
	return out
}

// deadReference reports whether a page, or its part behind #, does not exist.
func deadReference(known map[string][]string, ref string) bool {
	page, anchor, _ := strings.Cut(ref, "#")
	there, ok := known[page]
	return !ok || anchor != "" && !slices.Contains(there, anchor)
}

// badReferences are the citations of a text that nobody can follow: of pages and headings
// that do not exist, of sections of a paper, and of notes that were never part of the
// repository.
func badReferences(known map[string][]string, text string) []string {
	notes := regexp.MustCompile(`§|\bperf-verdict\b|\bpaired-ab\b|\b(?:real|seed)-behaviour\b|\b[a-z]+-facts\b`)
	bad := notes.FindAllString(text, -1)
	for _, ref := range regexp.MustCompile(`\bdocs/[\w./-]+\.md\b(?:#[\w-]+)?`).FindAllString(text, -1) {
		if deadReference(known, ref) {
			bad = append(bad, ref)
		}
	}
	written := []string{"summary.md", "comment.md"} // by our programs
	for _, ref := range regexp.MustCompile(`[\w./-]*\w\.md\b`).FindAllString(text, -1) {
		base := path.Base(ref)
		if slices.Contains(written, base) {
			continue
		}
		there := false
		for page := range known {
			there = there || path.Base(page) == base
		}
		if !there {
			bad = append(bad, ref)
		}
	}
	return bad
}

// TestCommentsCiteWhatIsThere resolves every page, and every heading of one, that a
// comment refers to, and finds comments that cite papers outside of the repository.
func TestCommentsCiteWhatIsThere(t *testing.T) {
	t.Parallel()
	known := pages(t)
	checked := 0
	textFiles(t, ".", []string{".go", ".sh", ".groovy", ".py", ""}, func(name, text string) {
		if filepath.Ext(name) == "" && !strings.HasPrefix(text, "#!") {
			return // no script
		}
		checked++
		for _, bad := range badReferences(known, comments(t, name, text)) {
			t.Errorf("%s cites %q, which is not in this repository: say the fact itself, or refer to a heading of docs/facts", name, bad)
		}
	})
	require.Greater(t, checked, 500)
}

// TestBadReferencesAreFound holds the test above against what it has to find.
func TestBadReferencesAreFound(t *testing.T) {
	t.Parallel()
	known := map[string][]string{"docs/facts/x.md": {"one-fact"}}
	for text, want := range map[string][]string{
		"see docs/facts/x.md#one-fact, and docs/facts/x.md.": nil,
		"summary.md is written":                              nil,
		"see docs/facts/x.md#no-fact":                        {"docs/facts/x.md#no-fact"},
		"see docs/y.md":                                      {"docs/y.md", "docs/y.md"},
		"as design.md says":                                  {"design.md"},
		"perf-verdict §6, upstream-facts":                    {"perf-verdict", "§", "upstream-facts"},
	} {
		require.Equal(t, want, badReferences(known, text), text)
	}
	require.Equal(t, []string{"a-b-c_d", "00-x"}, anchors("# A b: `c_d`\n```\n# no\n```\n## 0:0 x\n"))
}

// TestLinksOfPagesResolve follows the relative links of the documentation.
func TestLinksOfPagesResolve(t *testing.T) {
	t.Parallel()
	known := pages(t)
	link := regexp.MustCompile(`\]\(([^()\s]+)\)`)
	follow := func(name, text string) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue // a web address
			}
			to := path.Join(path.Dir(name), target)
			if target == "" {
				to = name
			}
			_, err := os.Stat(filepath.Join("../..", to))
			require.NoError(t, err, "%s links to %s", name, m[1])
			if anchor != "" {
				require.False(t, deadReference(known, to+"#"+anchor), "%s links to %s", name, m[1])
			}
		}
	}
	textFiles(t, "docs", []string{".md"}, follow)
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"} {
		data, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		follow(name, string(data))
	}
}

// TestFactsHaveSourceAndUser keeps docs/facts a list of what code relies on: each fact
// names its source and who uses it, and the users exist.
func TestFactsHaveSourceAndUser(t *testing.T) {
	t.Parallel()
	user := regexp.MustCompile("`((?:internal|cmd|jenkins|tools|testdata)/[^`]+)`")
	textFiles(t, "docs/facts", []string{".md"}, func(name, text string) {
		facts := strings.Split(text, "\n## ")[1:]
		for _, fact := range facts {
			title, body, _ := strings.Cut(fact, "\n")
			body = strings.Join(strings.Fields(body), " ")
			require.Contains(t, body, "Source: ", "%s: %s", name, title)
			_, users, ok := strings.Cut(body, "Used by ")
			require.True(t, ok && user.MatchString(users), "%s: %s names no user", name, title)
		}
		for _, m := range user.FindAllStringSubmatch(text, -1) {
			_, err := os.Stat(filepath.Join("../..", m[1]))
			require.NoError(t, err, name)
		}
		for line := range strings.Lines(text) {
			require.LessOrEqual(t, len([]rune(strings.TrimSpace(line))), 120, "%s: %s", name, line)
		}
	})
}
