package configfile

import (
	"io/fs"
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
		{"a: 1.10\n", "a: 1.1\n", "a"},
		{"a: yes\nb: ~\n", "a: true\nb: ~\n", "a"},
		{"a: 1\n", "", "its first line"},
		{"", "", ""},
	} {
		a, b := Config{Raw: []byte(tt.a)}, Config{Raw: []byte(tt.b)}
		require.Equal(t, tt.want, a.FirstOther(b), "%s against %s", tt.a, tt.b)
	}
}

func TestATextOfAnotherWorkspace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, from, to, workspace, want string }{
		{"/ws/a/x /ws/a", "/ws/a/ci/c.yaml", "/ws/b/ci/c.yaml", "/ws/b", "/ws/b/x /ws/b"},
		{"/ws/a/ci/x /ws/a", "/ws/a/ci/c.yaml", "/ws/b/ci/c.yaml", "/ws/b/ci", "/ws/b/ci/x /ws/a"},
		{"/ws/a@2/x /ws/ab /ws/a.old", "/ws/a/c.yaml", "/ws/b/c.yaml", "/ws/b", "/ws/a@2/x /ws/ab /ws/a.old"},
		{"/lustre/ws/a/x $HOME/ws/a", "/ws/a/c.yaml", "/ws/b/c.yaml", "/ws/b", "/lustre/ws/a/x $HOME/ws/a"},
		{"/ws/a:/ws/a:-I/ws/a=/ws/a dir:///ws/a", "/ws/a/c.yaml", "/ws/b/c.yaml", "/ws/b", "/ws/b:/ws/b:-I/ws/b=/ws/b dir:///ws/b"},
		{"/scratch/m /scratch/j/ws", "/scratch/j/ws/c.yaml", "/data/j/ws/c.yaml", "/data/j/ws", "/scratch/m /data/j/ws"},
		{"/dev/shm/tmp/w /tmp", "/dev/shm/tmp/w/c.yaml", "/tmp/w/c.yaml", "/", "/tmp/w /tmp"},
		{"/tmp/w /tmp", "/tmp/w/c.yaml", "/dev/shm/tmp/w/c.yaml", "/dev/shm/tmp/w", "/dev/shm/tmp/w /tmp"},
		{"/ws/j /ws/j@tmp/x /ws/j@2", "/ws/j@tmp/c.yaml", "/ws/j@2@tmp/c.yaml", "/ws/j@2@tmp", "/ws/j@2 /ws/j@2@tmp/x /ws/j@2"},
		{"/c/d", "/ci/c.yaml", "/ws/ci/c.yaml", "/ws", "/c/d"},
		{"/ws/a", "/ws/a/c.yaml", "/ws/a/c.yaml", "/ws/a", "/ws/a"},
	} {
		require.Equal(t, tt.want, Workspace{tt.workspace, tt.workspace}.moves(tt.from, tt.to)[0].text(tt.text), "%+v", tt)
	}
}

func TestAConfigOfAnotherWorkspace(t *testing.T) {
	t.Parallel()
	m := move{"/ws/a", "/ws/b"}
	for _, tt := range []struct{ kept, now, want string }{
		{"x: /ws/a/1\ny: /ws/a/2 # c\n", "x: /ws/a/1\ny: 3\n", "x: /ws/a/1\ny: /ws/b/2 # c\n"},
		{"x: {/ws/a: /ws/a}\n", "x: {/ws/b: /ws/a}\n", "x: {/ws/b: /ws/a}\n"},
		{"x: [/ws/a, /ws/a]\n", "x: [/ws/a]\n", "x: [/ws/a, /ws/b]\n"},
		{"x: &x {y: /ws/a}\nz: *x\n", "x: {y: /ws/b}\nz: {y: /ws/b}\n", "x: &x {y: /ws/b}\nz: *x\n"},
		{"a: yes\nb: 1.10\nc: 2027-01-31\nd: \"no\"\ne: /ws/a\n", "", "a: yes\nb: 1.10\nc: 2027-01-31\nd: \"no\"\ne: /ws/b\n"},
		{"x:   /ws/c\n", "x: /ws/b\n", "x:   /ws/c\n"},
		{"x: [/ws/a\n", "x: /ws/b\n", "x: [/ws/a\n"},
	} {
		require.Equal(t, tt.want, string(m.config([]byte(tt.kept), []byte(tt.now))), tt.kept)
	}
	dir := rundir.Dir(t.TempDir())
	_, err := KeptAt(dir, Config{Path: "/ws/b/c.yaml"}, Workspace{"/ws/b", "/ws/b"})
	require.ErrorIs(t, err, fs.ErrNotExist)
	for name, text := range map[string]string{Copy: "runs_dir: /ws/a/runs\n", Origin: "/ws/a/c.yaml\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(string(dir), name), []byte(text), 0o600))
	}
	c, err := KeptAt(dir, Config{Path: "/ws/b/c.yaml"}, Workspace{"/ws/b", "/ws/b"})
	require.NoError(t, err)
	require.Equal(t, "/ws/b/runs", c.Config.RunsDir)
	c, err = KeptAt(dir, Config{Path: "/ws/b/c.yaml", Raw: c.Raw}, Workspace{"/ws/b", "/ws/b"})
	require.NoError(t, err)
	require.Equal(t, "/ws/b/runs", c.Config.RunsDir)
	c, err = KeptAt(dir, Config{Path: "/ws/b/c.yaml", Raw: []byte("runs_dir: /ws/b/runs\n")}, Workspace{"/ws", "/ws"})
	require.NoError(t, err)
	require.Equal(t, "/ws/a/c.yaml", c.Path, "of the same workspace: it has not moved")
	require.Equal(t, "/ws/a/runs", c.Config.RunsDir)
	require.NoError(t, os.WriteFile(filepath.Join(string(dir), Origin), []byte("/real/a/c.yaml\n"), 0o600))
	c, err = KeptAt(dir, Config{Path: "/real/b/c.yaml", Raw: []byte("runs_dir: /ws/b/runs\n")}, Workspace{"/real/b", "/ws/b"})
	require.NoError(t, err)
	require.Equal(t, "/ws/b/runs", c.Config.RunsDir, "as a link names it")
}

func TestWorkspaceOfAConfig(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(top, "repo", ".git"), 0o700))
	c := Config{Path: filepath.Join(top, "repo", "ci", "c.yaml")}
	for workspace, want := range map[string]string{
		"":                         filepath.Join(top, "repo"),
		top:                        top,
		"/":                        filepath.Join(top, "repo"),
		filepath.Join(top, "re"):   filepath.Join(top, "repo"),
		filepath.Join(top, "repo"): filepath.Join(top, "repo"),
	} {
		require.Equal(t, Workspace{want, want}, c.Workspace(func(string) string { return workspace }), workspace)
	}
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(top, link))
	require.Equal(t, Workspace{top, link}, c.Workspace(func(string) string { return link }))
	c.Path = "/ws/j@tmp/x/c.yaml"
	require.Equal(t, Workspace{"/ws/j@tmp", "/ws/j@tmp"}, c.Workspace(func(string) string { return "/ws/j" }))
	require.Equal(t, Workspace{"/ws/j@tmp/x", "/ws/j@tmp/x"}, c.Workspace(func(string) string { return "" }))
}
