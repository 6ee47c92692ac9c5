package rundir

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// everyPath is every file that is read of a run directory.
func everyPath(d Dir) []string {
	a := d.CaseDir("c").Attempt(0, 1)
	r := a.Run(0)
	return []string{
		d.RunFile(), d.LeaseFile(), d.CancelFile(), d.CaseDir("c").PlanFile(),
		a.Script(), a.PlanFile(), a.JobFile(), a.OutcomeFile(), a.AgentFile(), a.SlurmOut(),
		r.RecordFile(), r.RoleScript("GEN_0"), r.RoleStatus("GEN_0"), r.RoleLog("GEN_0"),
		filepath.Join(r.RoleDir("GEN_0"), "results.0.xml"), filepath.Join(r.RoleDir("GEN_0"), GPUNames+"node1.txt"),
		filepath.Join(r.Output(), "perf.json"), filepath.Join(r.Output(), "sub", "aiperf", "records.jsonl"),
	}
}

// plant puts a node of each kind in the place of a file.
func plant(t *testing.T, outside string) map[Node]func(path string) error {
	t.Helper()
	return map[Node]func(path string) error{
		NodeLink:      func(path string) error { return os.Symlink(outside, path) },
		NodeFIFO:      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		NodeDirectory: func(path string) error { return os.Mkdir(path, DirMode) },
		NodeSocket: func(path string) error {
			// The name of a socket is bounded to 108 bytes: bind a short one, and move it.
			short := filepath.Join(filepath.Dir(outside), "s")
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return errors.Join(l.Close(), os.Rename(short, path))
		},
	}
}

func secretOutside(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(`{"schema": 1, "id": "secret"}`), 0o600))
	return path
}

func newTree(t *testing.T) (Dir, *Tree) {
	t.Helper()
	d := Dir(t.TempDir())
	tree, err := d.Tree()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tree.Close()) })
	return d, tree
}

// reads are all ways in which a Tree reads a file.
func reads(t *Tree, d Dir) map[string]func(path string) error {
	return map[string]func(path string) error{
		"Open":     func(p string) error { _, err := t.Open(p); return err },
		"ReadFile": func(p string) error { _, err := t.ReadFile(p, 1<<20); return err },
		"ReadJSON": func(p string) error { return t.ReadJSON(p, new(Run)) },
		"record":   func(p string) error { return ReadJSON(p, new(Run)) },
		"ReadAt":   func(p string) error { _, err := t.ReadAt(p, 0, 100); return err },
		"Tail":     func(p string) error { _, _, err := t.Tail(p, 100); return err },
		"FS": func(p string) error {
			rel, err := filepath.Rel(string(d), p)
			if err != nil {
				return err
			}
			_, err = fs.ReadFile(t.FS(string(d)), filepath.ToSlash(rel))
			return err
		},
	}
}

func TestTreeOpensRegularFilesOnly(t *testing.T) {
	t.Parallel()
	d, tree := newTree(t)
	for node, put := range plant(t, secretOutside(t)) {
		for _, path := range everyPath(d) {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), DirMode))
			require.NoError(t, put(path), "%s at %s", node, path)
			for how, read := range reads(tree, d) {
				var wrong *NodeError
				begun := time.Now()
				require.ErrorAs(t, read(path), &wrong, "%s of %s at %s", how, node, path)
				require.Equal(t, NodeError{Path: path, Is: node, Want: NodeFile}, *wrong)
				require.Less(t, time.Since(begun), time.Minute)
			}
			_, err := tree.Append(path)
			var wrong *NodeError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, node, wrong.Is)
			require.False(t, tree.Has(path))
			require.NoError(t, os.Remove(path))
		}
	}
	require.Empty(t, tree.Opens(), "nothing was opened")
}

func TestTreeRefusesADevice(t *testing.T) {
	t.Parallel()
	tree, err := OpenTree("/dev")
	require.NoError(t, err)
	defer func() { _ = tree.Close() }()
	for how, read := range reads(tree, "/dev") {
		var wrong *NodeError
		require.ErrorAs(t, read("/dev/zero"), &wrong, how)
		require.Equal(t, NodeDevice, wrong.Is)
	}
}

// A link that leads to a directory, inside the tree or out of it, is no directory.
func TestTreeFollowsNoLinkOnTheWay(t *testing.T) {
	t.Parallel()
	d, tree := newTree(t)
	for _, path := range everyPath(d) {
		require.NoError(t, tree.WriteFile(path, []byte(`{"schema": 1}`), FileMode))
	}
	a := d.CaseDir("c").Attempt(0, 1)
	r := a.Run(0)
	for _, dir := range []string{r.RoleDir("GEN_0"), filepath.Dir(r.RoleDir("GEN_0")), r.Output(), string(r), string(a), string(d.CaseDir("c")), filepath.Join(string(d), "cases")} {
		moved := filepath.Join(string(d), "moved")
		require.NoError(t, os.Rename(dir, moved))
		for _, target := range []string{moved, t.TempDir()} {
			require.NoError(t, os.Symlink(target, dir))
			for _, path := range everyPath(d) {
				if !strings.HasPrefix(path, dir+"/") {
					continue
				}
				reading := reads(tree, d)
				delete(reading, "record") // it only looks at the file itself
				reading["List"] = func(p string) error { _, err := tree.List(filepath.Dir(p)); return err }
				reading["RoleResults"] = func(string) error { _, err := tree.Lstat(path); return err }
				reading["Append"] = func(p string) error { _, err := tree.Append(p); return err }
				reading["WriteFile"] = func(p string) error { return tree.WriteFile(p, nil, FileMode) }
				reading["Remove"] = tree.Remove
				reading["Alias"] = func(p string) error { return tree.Alias(d.RunFile(), p) }
				for how, read := range reading {
					var wrong *NodeError
					require.ErrorAs(t, read(path), &wrong, "%s of %s below the link %s", how, path, dir)
					require.Equal(t, NodeError{Path: dir, Is: NodeLink, Want: NodeDirectory}, *wrong)
				}
				require.False(t, tree.Has(path))
			}
			require.NoError(t, os.Remove(dir))
		}
		require.NoError(t, os.Rename(moved, dir))
	}
	for _, path := range everyPath(d) {
		data, err := tree.ReadFile(path, 1<<10)
		require.NoError(t, err)
		require.JSONEq(t, `{"schema": 1}`, string(data), "nothing was written through a link")
	}
}

func TestTreeBoundsWhatItReads(t *testing.T) {
	t.Parallel()
	d, tree := newTree(t)
	for _, path := range everyPath(d) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), DirMode))
		f, err := os.Create(path)
		require.NoError(t, err)
		require.NoError(t, errors.Join(f.Truncate(1<<40), f.Close()), "sparse")
		var big *SizeError
		_, err = tree.ReadFile(path, 1<<20)
		require.ErrorAs(t, err, &big)
		require.Equal(t, int64(1<<20), big.Limit)
		require.ErrorAs(t, tree.ReadJSON(path, new(Run)), &big)
		require.ErrorAs(t, ReadJSON(path, new(Run)), &big)
		data, cut, err := tree.Tail(path, 1<<10)
		require.NoError(t, err)
		require.True(t, cut)
		require.Len(t, data, 1<<10)
		data, err = tree.ReadAt(path, 1<<40-10, 1<<10)
		require.NoError(t, err)
		require.Len(t, data, 10)
		require.NoError(t, os.Remove(path))
	}
}

func TestTreeReadsAHardLinkAsTheFileThatItIs(t *testing.T) {
	t.Parallel()
	d, tree := newTree(t)
	r := d.CaseDir("c").Attempt(0, 1).Run(0)
	log, err := tree.Append(r.RoleLog("GEN_0"))
	require.NoError(t, err)
	alias := filepath.Join(r.Output(), "gen_server_0.log")
	require.NoError(t, tree.Alias(r.RoleLog("GEN_0"), alias))
	require.NoError(t, tree.Alias(r.RoleLog("GEN_0"), alias), "again")
	_, err = log.WriteString("a line\n")
	require.NoError(t, errors.Join(err, log.Close()))
	data, err := tree.ReadFile(alias, 100)
	require.NoError(t, err)
	require.Equal(t, "a line\n", string(data))
}

func TestTreeWritesReplaceALinkAndDoNotFollowIt(t *testing.T) {
	t.Parallel()
	d, tree := newTree(t)
	secret := secretOutside(t)
	writes := map[string]func(path string) error{
		"Tree.WriteFile": func(p string) error { return tree.WriteFile(p, []byte("new"), FileMode) },
		"WriteFile":      func(p string) error { return WriteFile(p, []byte("new"), FileMode) },
	}
	for how, write := range writes {
		for _, path := range everyPath(d) {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), DirMode))
			require.NoError(t, os.Symlink(secret, path))
			require.NoError(t, write(path), how)
			data, err := tree.ReadFile(path, 10)
			require.NoError(t, err)
			require.Equal(t, "new", string(data))
			require.NoError(t, tree.Remove(path))
			require.NoError(t, os.Symlink(secret, path))
			require.NoError(t, tree.Remove(path))
			require.NoError(t, tree.Remove(path), "none is no error")
		}
	}
	data, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Contains(t, string(data), "secret")
}

func TestWritesNameADirectoryInTheirPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run.json")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "full"), 0o700))
	err := WriteJSON(path, 1)
	var node *NodeError
	require.ErrorAs(t, err, &node)
	require.Equal(t, NodeError{Path: path, Is: NodeDirectory, Want: NodeFile}, *node)
	list, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, list, 1, "no temporary file is left")
}

func TestTreeListsWithoutFollowing(t *testing.T) {
	t.Parallel()
	d, tree := newTree(t)
	r := d.CaseDir("c").Attempt(0, 1).Run(0)
	none, err := tree.RoleResults(r, "GEN_0")
	require.NoError(t, err)
	require.Empty(t, none)
	for _, name := range []string{"results.1.xml", "results.0.xml", "output.log", "results.xml"} {
		require.NoError(t, tree.WriteFile(filepath.Join(r.RoleDir("GEN_0"), name), nil, FileMode))
	}
	require.NoError(t, os.Symlink("results.0.xml", filepath.Join(r.RoleDir("GEN_0"), "results.2.xml")))
	require.NoError(t, os.Symlink(string(d), filepath.Join(string(r), "loop")))
	files, err := tree.RoleResults(r, "GEN_0")
	require.NoError(t, err)
	require.Equal(t, []string{"results.0.xml", "results.1.xml", "results.2.xml"}, names(files))
	var walked []string
	require.NoError(t, fs.WalkDir(tree.FS(string(r)), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			walked = append(walked, path)
		}
		return err
	}))
	require.Equal(t, []string{"roles/GEN_0/output.log", "roles/GEN_0/results.0.xml", "roles/GEN_0/results.1.xml", "roles/GEN_0/results.xml"}, walked)
	_, err = tree.List(filepath.Join(string(d), ".."))
	require.ErrorContains(t, err, "is not below")
}

func names(paths []string) []string {
	var out []string
	for _, p := range paths {
		out = append(out, filepath.Base(p))
	}
	return out
}

func TestTreeCountsOpens(t *testing.T) {
	t.Parallel()
	d, tree := newTree(t)
	require.NoError(t, tree.WriteJSON(d.RunFile(), Run{Schema: Schema}))
	require.NoError(t, tree.ReadJSON(d.RunFile(), new(Run)))
	_, err := fs.ReadFile(tree.FS(string(d)), "run.json")
	require.NoError(t, err)
	require.ErrorIs(t, tree.ReadJSON(d.LeaseFile(), new(Lease)), fs.ErrNotExist)
	require.Equal(t, map[string]int{"run.json": 2}, tree.Opens())
}
