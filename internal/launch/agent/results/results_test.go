package results

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	skippedCase = `<testcase classname="perf.test" name="test_e2e[x]" time="0.0"><skipped type="pytest.skip" message="no such GPU">a.py:1: no such GPU</skipped></testcase>`
	xfailed     = `<testcase name="x"><skipped type="pytest.xfail" message=""/></testcase>`
	passedCase  = `<testcase name="y" time="1.0"/>`
	failedCase  = `<testcase name="z"><skipped/><failure message="no">no</failure></testcase>`
)

func suites(cases ...string) string {
	return `<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">` + strings.Join(cases, "") + `</testsuite></testsuites>`
}

func TestOnlySkipped(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files []string
		want  bool
	}{
		{name: "no file"},
		{name: "skipped", files: []string{suites(skippedCase)}, want: true},
		{name: "a suite is the root", files: []string{`<testsuite>` + xfailed + `</testsuite>`}, want: true},
		{name: "every task of a worker", files: []string{suites(skippedCase), suites(skippedCase)}, want: true},
		{name: "one task of a worker tested", files: []string{suites(skippedCase), suites(passedCase)}},
		{name: "one of two tests passed", files: []string{suites(skippedCase, passedCase)}},
		{name: "skipped, and failed all the same", files: []string{suites(failedCase)}},
		{name: "no tests", files: []string{suites()}},
		{name: "cut off", files: []string{strings.TrimSuffix(suites(skippedCase), "</testsuites>")}},
		{name: "no XML", files: []string{"skipped"}},
		{name: "empty", files: []string{""}},
		{name: "too long to be that of a skipped test", files: []string{suites(skippedCase, strings.Repeat(" ", most))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := rundir.AttemptDir(t.TempDir())
			files, err := dir.Tree()
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, files.Close()) })
			role := dir.Run(0).RoleDir("GEN_0")
			require.NoError(t, os.MkdirAll(role, 0o750))
			for i, text := range tt.files {
				require.NoError(t, os.WriteFile(filepath.Join(role, "results."+string(rune('0'+i))+".xml"), []byte(text), 0o600))
			}
			require.Equal(t, tt.want, OnlySkipped(files, dir.Run(0), "GEN_0"))
		})
	}
}

func TestALinkIsNoResult(t *testing.T) {
	t.Parallel()
	dir := rundir.AttemptDir(t.TempDir())
	files, err := dir.Tree()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	role := dir.Run(0).RoleDir("GEN_0")
	require.NoError(t, os.MkdirAll(role, 0o750))
	elsewhere := filepath.Join(t.TempDir(), "skipped.xml")
	require.NoError(t, os.WriteFile(elsewhere, []byte(suites(skippedCase)), 0o600))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(role, "results.0.xml")))
	require.False(t, OnlySkipped(files, dir.Run(0), "GEN_0"))
}
