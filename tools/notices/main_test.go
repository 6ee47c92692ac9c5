package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNotices(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"a@v1/LICENSE": "licence of a\n", "a@v1/NOTICE.txt": "notice of a", "a@v1/license.go": "package a", "a@v1/fonts/x/OFL.txt": "licence of a font",
		"a@v1/other/LICENSE": "not linked", "b@v2/COPYING": "licence of b", "c@v3/README": "none",
	} {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	line := func(module, version, pkg string) string {
		dir := filepath.Join(root, module+"@"+version)
		return strings.Join([]string{"example.org/" + module, version, dir, filepath.Join(dir, pkg)}, "\t") + "\n"
	}
	var out bytes.Buffer
	require.NoError(t, run(strings.NewReader(line("b", "v2", "")+line("a", "v1", "fonts/x")+line("a", "v1", "")), &out))
	rule := strings.Repeat("=", 80)
	require.Equal(t, "ci-disagg contains the following software, each under its own licence.\n"+
		"\n"+rule+"\nexample.org/a v1\n\n-- LICENSE\n\nlicence of a\n\n-- NOTICE.txt\n\nnotice of a\n\n-- OFL.txt\n\nlicence of a font\n"+
		"\n"+rule+"\nexample.org/b v2\n\n-- COPYING\n\nlicence of b\n", out.String())

	for name, tc := range map[string]struct{ in, want string }{
		"no licence":       {line("c", "v3", ""), "example.org/c v3 has no licence file"},
		"no packages":      {"", "no packages"},
		"not four fields":  {"example.org/a\tv1\n", "is not module, version"},
		"outside its root": {strings.Join([]string{"m", "v1", root + "/a@v1", root + "/b@v2"}, "\t") + "\n", "is not below"},
	} {
		out.Reset()
		require.ErrorContains(t, run(strings.NewReader(tc.in), &out), tc.want, name)
		require.Zero(t, out.Len(), name)
	}
}
