package configfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestFirstOtherKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ a, b, want string }{
		{"a: 1\nb: [x, y]\n", "# made on a Monday\nb:\n- x\n- \"y\"\na: 1 # one\n", ""},
		{"a: {b.c: 1, d: 2}\n", "a: {b.c: 1, d: 3}\n", "a.d"},
		{"a: {b.c: 1, d: 2}\n", "a: {b.c: 2, d: 3}\n", `a["b.c"]`},
		{"a: [{b: 1}, {b: 2}]\n", "a: [{b: 1}, {b: 3}]\n", "a[1].b"},
		{"a: [1]\n", "a: [1, 2]\n", "a"},
		{"a: 1\n", "a: 1\nb: 2\n", "b"},
		{"x: &x {y: 1}\na: *x\nb: {<<: *x}\n", "x: {y: 1}\na: {y: 1}\nb: {y: 1}\n", ""},
		{"a: 1\n", "", "its first line"},
		{"", "", ""},
	} {
		a, b := Config{Raw: []byte(tt.a)}, Config{Raw: []byte(tt.b)}
		require.Equal(t, tt.want, a.FirstOther(b), "%s against %s", tt.a, tt.b)
	}
}

func TestAConfigOfAnotherWorkspace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, from, to, want string }{
		{"/ws/a/x /ws/a", "/ws/a/ci/c.yaml", "/ws/b/ci/c.yaml", "/ws/b/x /ws/b"},
		{"/ws/a@2/x /ws/ab /ws/a.old", "/ws/a/c.yaml", "/ws/b/c.yaml", "/ws/a@2/x /ws/ab /ws/a.old"},
		{"/ws/a: /x", "/ws/a/c.yaml", "/$1/c.yaml", "/$1: /x"},
		{"/c/d", "/ci/c.yaml", "/ws/ci/c.yaml", "/c/d"},
		{"/ws/a", "/ws/a/c.yaml", "/ws/a/c.yaml", "/ws/a"},
		{"/ws/a", "/ws/a/c.yaml", "", "/ws/a"},
	} {
		require.Equal(t, tt.want, moved(tt.text, tt.from, tt.to))
	}
	dir := rundir.Dir(t.TempDir())
	none, err := KeptAt(dir, Config{Path: "/ws/b/c.yaml"})
	require.NoError(t, err)
	require.Empty(t, none.Raw)
	for name, text := range map[string]string{Copy: "runs_dir: /ws/a/runs\n", Origin: "/ws/a/c.yaml\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(string(dir), name), []byte(text), 0o600))
	}
	c, err := KeptAt(dir, Config{Path: "/ws/b/c.yaml"})
	require.NoError(t, err)
	require.Equal(t, "/ws/b/runs", c.Config.RunsDir)
}
