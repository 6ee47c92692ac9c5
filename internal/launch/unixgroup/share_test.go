package unixgroup

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// shared is a directory of a run that is shared with a group of this process.
func shared(t *testing.T) (dir string, group Group) {
	t.Helper()
	top := t.TempDir()
	require.NoError(t, os.Chmod(top, 0o711))
	dir = filepath.Join(top, "runs", "7")
	group, err := Find(t.Context(), strconv.Itoa(os.Getegid()), os.Environ())
	require.NoError(t, err)
	doubt, err := group.Make(dir)
	require.NoError(t, err)
	if doubt != nil { // a directory above the test's own may be closed
		require.ErrorContains(t, doubt, "is closed")
		require.NotContains(t, doubt.Error(), top+" is closed")
	}
	return dir, group
}

// What is closed already is said before anything is made there.
func TestAClosedDirectoryIsSaid(t *testing.T) {
	t.Parallel()
	group, err := Find(t.Context(), strconv.Itoa(os.Getegid()), os.Environ())
	require.NoError(t, err)
	runs := filepath.Join(t.TempDir(), "runs")
	require.NoError(t, os.Mkdir(runs, 0o700))
	require.ErrorContains(t, group.Reaches(filepath.Join(runs, "missing", "too")), runs+" is closed")
	require.ErrorContains(t, group.Reaches(runs), runs+" is closed")
	doubt, err := group.Make(filepath.Join(runs, "7"))
	require.NoError(t, err)
	require.ErrorContains(t, doubt, runs+" is closed")
	require.NoError(t, Group{}.Reaches(runs))
	require.NoError(t, os.Chmod(runs, 0o710))
	if err := group.Reaches(runs); err != nil { // a directory above the test's own may be closed
		require.NotContains(t, err.Error(), runs)
	}
}

// Everything that is written below a run directory that is shared is readable by the group, and by nobody else.
func TestAGroupReadsTheWholeRun(t *testing.T) {
	t.Parallel()
	dir, group := shared(t)
	require.True(t, rundir.Dir(dir).Shared())
	attempt := rundir.Dir(dir).CaseDir("c").Attempt(0, 1)
	require.NoError(t, rundir.WriteJSON(rundir.Dir(dir).RunFile(), 1))
	require.NoError(t, rundir.WriteFile(attempt.Script(), nil, rundir.ExecMode))
	tree, err := attempt.Tree()
	require.NoError(t, err)
	defer func() { require.NoError(t, tree.Close()) }()
	require.NoError(t, tree.WriteJSON(attempt.AgentFile(), 1))
	require.NoError(t, tree.MkdirAll(attempt.Run(0).Output()))
	f, err := tree.Append(attempt.Run(0).RoleLog("server"))
	require.NoError(t, err)
	require.NoError(t, f.Close())

	seen := 0
	require.NoError(t, filepath.WalkDir(filepath.Dir(dir), func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		want := fs.FileMode(0o640)
		switch {
		case e.IsDir():
			want = fs.ModeDir | fs.ModeSetgid | 0o750
		case path == attempt.Script():
			want = 0o750
		}
		require.Equal(t, want, info.Mode(), path)
		seen++
		return nil
	}))
	require.Equal(t, 14, seen)
	require.Equal(t, os.Getegid(), group.ID)
}

// Without a group a run stays its user's alone, also in a directory that others share.
func TestNobodyElseReadsAnotherRun(t *testing.T) {
	t.Parallel()
	dir, _ := shared(t)
	private := filepath.Join(filepath.Dir(dir), "8")
	doubt, err := Group{}.Make(private)
	require.NoError(t, err)
	require.NoError(t, doubt)
	require.False(t, rundir.Dir(private).Shared())
	require.NoError(t, rundir.WriteJSON(rundir.Dir(private).CaseDir("c").PlanFile(), 1))
	for name, want := range map[string]fs.FileMode{"": 0o700, "cases": 0o700, "cases/c": 0o700, "cases/c/plan.json": 0o600} {
		info, err := os.Stat(filepath.Join(private, name))
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), name)
	}
}

func TestAGroupThatCannotBe(t *testing.T) {
	t.Parallel()
	_, err := Find(t.Context(), "no-such-group", os.Environ())
	require.EqualError(t, err, `group: this machine knows no group "no-such-group"`)
	_, err = Find(t.Context(), "--help", os.Environ())
	require.Error(t, err)
	if os.Geteuid() != 0 {
		_, err = Find(t.Context(), "0", os.Environ())
		require.ErrorContains(t, err, "no member")
	}
	top := t.TempDir()
	require.NoError(t, os.Chmod(top, 0o700))
	doubt, err := Group{"perf", os.Getegid()}.Make(filepath.Join(top, "runs"))
	require.NoError(t, err)
	require.Error(t, doubt)
	require.True(t, strings.Contains(doubt.Error(), top+" is closed"), doubt)
}
