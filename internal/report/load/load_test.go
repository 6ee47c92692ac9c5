package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const doc = `<testsuites><testsuite name="pytest" tests="1" hostname="n1"><testcase classname="c" name="t" time="1"/></testsuite></testsuites>`

// What is wrong with a result file is part of what is loaded; nothing of it is lost
// without a word, and nothing waits for ever.
func TestResultFiles(t *testing.T) {
	t.Parallel()
	started := time.Now().Add(-time.Minute)
	for name, tt := range map[string]struct {
		text    string
		prepare func(t *testing.T, path string)
		problem string
		cases   int
	}{
		"well-formed": {text: doc, cases: 1},
		"truncated":   {text: doc[:len(doc)-20], problem: "results.0.xml truncated at byte", cases: 1},
		"empty":       {problem: "results.0.xml is empty"},
		"a page":      {text: "<html><body>502</body></html>", problem: "results.0.xml is not JUnit XML"},
		"stale": {text: doc, problem: "results.0.xml is stale: last written", prepare: func(t *testing.T, path string) {
			require.NoError(t, os.Chtimes(path, started.Add(-time.Hour), started.Add(-time.Hour)))
		}},
		"a directory": {problem: "results.0.xml cannot be read: it is a directory", prepare: func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		}},
		"a pipe": {problem: "results.0.xml cannot be read: it is a FIFO", prepare: func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, unix.Mkfifo(path, 0o600))
		}},
		"a link": {problem: "results.0.xml cannot be read: it is a symbolic link", prepare: func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Symlink("/etc/passwd", path))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := Loader{Dir: rundir.Dir(t.TempDir())}
			path := string(l.Dir) + "/results.0.xml"
			writeText(t, path, tt.text)
			if tt.prepare != nil {
				tt.prepare(t, path)
			}
			f := l.resultFile(place{tree: openTree(t, l.Dir), kept: new(kept)}, path, &started)
			require.Len(t, f.Cases, tt.cases)
			if tt.problem == "" {
				require.Nil(t, f.Problem)
				return
			}
			require.NotNil(t, f.Problem)
			require.Contains(t, f.Problem.Message, tt.problem)
		})
	}
}

// A file may hold more than is worth keeping: what is left out is said.
func TestResultFilesAreBounded(t *testing.T) {
	t.Parallel()
	l := Loader{Dir: rundir.Dir(t.TempDir())}
	path := string(l.Dir) + "/results.0.xml"
	long := strings.Repeat("x", maxText+1000)
	writeText(t, path, `<testsuite name="s"><testcase name="t"><system-out>`+long+`</system-out></testcase></testsuite>`)
	at := place{tree: openTree(t, l.Dir), kept: new(kept)}
	f := l.resultFile(at, path, nil)
	require.LessOrEqual(t, len(f.Cases[0].SystemOut[0]), maxText)
	require.Contains(t, f.Cases[0].SystemOut[0], "bytes cut; all of it: results.0.xml")
	at.kept.whole = true
	require.Equal(t, long, l.resultFile(at, path, nil).Cases[0].SystemOut[0])

	writeText(t, path, `<testsuite name="s">`+strings.Repeat(`<testcase name="t"/>`, maxCases+1)+`</testsuite>`)
	f = l.resultFile(at, path, nil)
	require.Len(t, f.Cases, maxCases)
	require.Contains(t, f.Problem.Message, fmt.Sprintf("more than %d test cases", maxCases))

	writeText(t, path, `<testsuites>`+strings.Repeat(`<testsuite/>`, maxCases+1)+`</testsuites>`)
	f = l.resultFile(at, path, nil)
	require.Len(t, f.Suites, maxCases)
	require.Contains(t, f.Problem.Message, fmt.Sprintf("more than %d test cases, or suites", maxCases))
}

// So many files as a role may leave are bounded together.
func TestAnAttemptIsBounded(t *testing.T) {
	t.Parallel()
	l := Loader{Dir: rundir.Dir(t.TempDir())}
	path := string(l.Dir) + "/results.0.xml"
	writeText(t, path, `<testsuite name="s"><testcase name="t"><system-out>`+strings.Repeat("x", 2*lessText)+`</system-out></testcase></testsuite>`)
	for name, full := range map[string]kept{"cases": {parts: maxParts - 1}, "text": {text: mostText}} {
		at := place{tree: openTree(t, l.Dir), kept: &full}
		f := l.resultFile(at, path, nil)
		require.Contains(t, f.Problem.Message, "in all files of the attempt", name)
	}
	f := l.resultFile(place{tree: openTree(t, l.Dir), kept: &kept{text: allText + 1}}, path, nil)
	require.Nil(t, f.Problem)
	require.LessOrEqual(t, len(f.Cases[0].SystemOut[0]), lessText)
}

func openTree(t *testing.T, dir rundir.Dir) *rundir.Tree {
	t.Helper()
	tree, err := dir.Tree()
	require.NoError(t, err)
	t.Cleanup(func() { _ = tree.Close() })
	return tree
}

// What a role puts in the place of its files or of its directory is named and never followed.
func TestReplacedPlaces(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.MkdirAll(secret, 0o700))
	writeText(t, secret+"/results.0.xml", doc)
	writeText(t, secret+"/output.log", "the secret\n")
	for name, replace := range map[string]func(t *testing.T, run rundir.RunDir){
		"the role's directory": func(t *testing.T, run rundir.RunDir) {
			require.NoError(t, os.MkdirAll(filepath.Dir(run.RoleDir("GEN_0")), 0o700))
			require.NoError(t, os.Symlink(secret, run.RoleDir("GEN_0")))
		},
		"its files": func(t *testing.T, run rundir.RunDir) {
			require.NoError(t, os.MkdirAll(run.RoleDir("GEN_0"), 0o700))
			require.NoError(t, os.Symlink(secret+"/results.0.xml", run.RoleDir("GEN_0")+"/results.0.xml"))
			require.NoError(t, os.Symlink(secret+"/output.log", run.RoleLog("GEN_0")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := Loader{Dir: rundir.Dir(t.TempDir())}
			attempt := l.Dir.CaseDir("c").Attempt(0, 1)
			run := attempt.Run(0)
			replace(t, run)
			got := l.role(rundir.Plan{}, place{openTree(t, l.Dir), attempt, run, new(kept)}, nil, rundir.RolePlan{Name: "GEN_0", JUnit: true})
			require.Len(t, got.Results, 1)
			require.Empty(t, got.Results[0].Cases)
			require.NotNil(t, got.Results[0].Problem)
			require.Contains(t, got.Results[0].Problem.Message, "it is a symbolic link")
			require.Empty(t, got.Tail)
			require.Zero(t, got.LogBytes)
		})
	}
}
