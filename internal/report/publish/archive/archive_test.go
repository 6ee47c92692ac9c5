package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// fakeRun is a run directory with a report and three logs, and the report's document.
func fakeRun(t *testing.T, result string) (rundir.Dir, report.Report, string) {
	t.Helper()
	dir := t.TempDir()
	long := strings.Repeat("h", headSize) + strings.Repeat("m", 1000) + strings.Repeat("t", tailSize)
	put(t, dir+"/report/junit.xml", "<testsuites/>")
	put(t, dir+"/report/charts/a.svg", "<svg/>")
	put(t, dir+"/cases/c/a/short.log", "short")
	put(t, dir+"/cases/c/a/long.log", long)
	put(t, dir+"/secret", "not linked")
	require.NoError(t, os.Symlink("/etc/hostname", dir+"/cases/c/a/link.log"))
	links := []report.Link{
		{Path: "cases/c/a/short.log"},
		{Path: "cases/c/a/short.log"},
		{Path: "cases/c/a/long.log"},
		{Path: "cases/c/a/gone.log"},
		{Path: "../outside"},
		{Path: "/etc/hostname"},
		{Path: "cases/c"},
		{Path: "cases/c/a/link.log"},
	}
	return rundir.Dir(dir), report.Report{
		Tool: "v1", RunID: "id", Decision: report.Decision{Result: result, ExitCode: 4}, Headline: "so it went",
		Cases: []report.CaseReport{{Attempts: []report.AttemptReport{{Artifacts: links}}}},
	}, long
}

func TestCopyReport(t *testing.T) {
	t.Parallel()
	from, d, _ := fakeRun(t, "regression")
	to := filepath.Join(t.TempDir(), "workspace", "copy")
	require.NoError(t, Copy(to, from, d, nil))
	require.Equal(t, "<testsuites/>", content(t, to+"/report/junit.xml"))
	require.Equal(t, "<svg/>", content(t, to+"/report/charts/a.svg"))
	require.Equal(t, "short", content(t, to+"/cases/c/a/short.log"))
	cut := content(t, to+"/cases/c/a/long.log")
	note := fmt.Sprintf("\n[… 1000 bytes cut here; the whole file is %s/cases/c/a/long.log …]\n", from)
	require.Equal(t, strings.Repeat("h", headSize)+note+strings.Repeat("t", tailSize), cut)
	var res Result
	require.NoError(t, rundir.ReadJSON(to+"/result.json", &res))
	require.Equal(t, Result{
		Schema: 1, Tool: "v1", RunID: "id", RunDir: string(from), ExitCode: 4, Result: "regression", Word: "REGRESSION",
		Headline: "so it went", JUnit: "report/junit.xml", Summary: "report/summary.md", Index: "report/index.html",
	}, res)
	entries, err := os.ReadDir(filepath.Dir(to))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is written beside the copy")
	require.NoFileExists(t, to+"/secret")
	require.NoFileExists(t, to+"/cases/c/a/link.log", "no link is followed out of the run directory")
}

// TestCopyOfAnInterruptedRun: Jenkins gives an aborted process seconds, so only tails are copied.
func TestCopyOfAnInterruptedRun(t *testing.T) {
	t.Parallel()
	from, d, _ := fakeRun(t, "interrupted")
	to := t.TempDir()
	require.NoError(t, Copy(to, from, d, nil))
	cut := content(t, to+"/cases/c/a/long.log")
	require.True(t, strings.HasSuffix(cut, " …]\n"+strings.Repeat("t", shortSize)))
	require.Less(t, len(cut), shortSize+1000)
	require.Equal(t, "short", content(t, to+"/cases/c/a/short.log"))
}

// A run that made no report leaves a result, unless there is one: a link that a job has put in its place is none.
func TestFailedLeavesAResult(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	put(t, elsewhere, `{"exit_code": 0}`)
	file := filepath.Join(dir, ResultFile)
	require.NoError(t, os.Symlink(elsewhere, file))
	require.NoError(t, Failed(dir, "v1", 3, errors.New("no node")))
	require.Contains(t, content(t, file), `"exit_code": 3`)
	require.NotContains(t, content(t, elsewhere), "no node")
	require.NoError(t, Failed(dir, "v1", 3, errors.New("later")))
	require.Contains(t, content(t, file), "no node", "the first one stays")
	fresh := filepath.Join(dir, "fresh")
	require.NoError(t, Failed(fresh, "v1", 2, errors.New("no config")))
	require.Contains(t, content(t, filepath.Join(fresh, ResultFile)), "no config")
}

// endings is what says in a copy how the run ended.
func endings(t *testing.T, to string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range []string{ResultFile, "report/junit.xml", "report/verdict.json", "report/summary.md", "report/index.html"} {
		if data, err := os.ReadFile(filepath.Join(to, name)); err == nil {
			out[name] = string(data)
		}
	}
	return out
}

// What is left of a copy that failed says nothing of how the run ended, be it of now or of before; Tell says it.
func TestACopyThatFailsSaysNothing(t *testing.T) {
	t.Parallel()
	from, d, _ := fakeRun(t, "passed")
	for _, name := range ends() {
		put(t, filepath.Join(from.Report(), name), "passed")
	}
	d.ExitCode = 0
	to := t.TempDir()
	require.NoError(t, Copy(to, from, d, nil))
	require.Len(t, endings(t, to), 5)

	require.NoError(t, os.Remove(to+"/cases/c/a/long.log"))
	put(t, to+"/cases/c/a/long.log/full", "in the way, as no room is")
	require.Error(t, Copy(to, from, d, nil))
	require.Empty(t, endings(t, to))
	require.FileExists(t, to+"/report/charts/a.svg")

	for _, name := range ends() {
		put(t, filepath.Join(from.Report(), name), "infra")
	}
	require.NoError(t, os.Remove(from.Report()+"/summary.md"), "which could not be written")
	d.ExitCode = 3
	require.NoError(t, Tell(to, from, d, nil))
	told := endings(t, to)
	require.Contains(t, told[ResultFile], `"exit_code": 3`)
	delete(told, ResultFile)
	require.Equal(t, map[string]string{"report/junit.xml": "infra", "report/verdict.json": "infra", "report/index.html": "infra"}, told)

	require.NoError(t, os.Truncate(from.Report()+"/verdict.json", maxPage+1))
	require.ErrorContains(t, Tell(to, from, d, nil), "too large")
	require.Empty(t, endings(t, to))
	require.NoError(t, Failed(to, "v1", 3, errors.New("no copy")))
	require.Contains(t, endings(t, to)[ResultFile], `"exit_code": 3`)
}

// A report that was copied before the run was over does not say how it ended.
func TestFailedTakesAnEarlierEndAway(t *testing.T) {
	t.Parallel()
	from, d, _ := fakeRun(t, "passed")
	d.ExitCode = 0
	to := t.TempDir()
	require.NoError(t, Copy(to, from, d, nil))
	require.NoError(t, Failed(to, "v1", 3, errors.New("the plan is gone")))
	told := endings(t, to)
	require.Len(t, told, 1)
	require.Contains(t, told[ResultFile], `"exit_code": 3`)
}

// What stands in the place of the copied report is taken away, and not followed.
func TestALinkInThePlaceOfTheCopy(t *testing.T) {
	t.Parallel()
	from, d, _ := fakeRun(t, "passed")
	to, outside := t.TempDir(), t.TempDir()
	put(t, outside+"/junit.xml", "mine")
	require.NoError(t, os.Symlink(outside, to+"/report"))
	require.NoError(t, Copy(to, from, d, nil))
	require.Equal(t, "mine", content(t, outside+"/junit.xml"))
	require.Equal(t, "<testsuites/>", content(t, to+"/report/junit.xml"))
}

// A linked file that cannot be read, as one of root's that a container left, says so itself: the rest is copied.
func TestALogThatCannotBeRead(t *testing.T) {
	t.Parallel()
	from, d, _ := fakeRun(t, "regression")
	log := filepath.Join(string(from), "cases/c/a/short.log")
	require.NoError(t, os.Chmod(log, 0))
	if _, err := os.ReadFile(log); err == nil { // it is root's who asks
		const mortal = "CI_DISAGG_TEST_MORTAL"
		require.Empty(t, os.Getenv(mortal))
		again := exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-dac_override,-dac_read_search", os.Args[0], "-test.run=^"+t.Name()+"$")
		again.Env = append(os.Environ(), mortal+"=1")
		out, err := again.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	to := t.TempDir()
	require.NoError(t, Copy(to, from, d, nil))
	require.Regexp(t, `^\n\[… cannot be read: .*short\.log: permission denied …\]\n$`, content(t, to+"/cases/c/a/short.log"))
	require.FileExists(t, to+"/cases/c/a/long.log")
	require.FileExists(t, to+"/result.json")
}

// What fails while it is read is there as far as it was read.
func TestALogThatEndsEarly(t *testing.T) {
	t.Parallel()
	data, err := io.ReadAll(&lasting{r: io.MultiReader(strings.NewReader("so far"), iotest.ErrReader(errors.New("stale file handle")))})
	require.NoError(t, err)
	require.Equal(t, "so far\n[… cannot be read: stale file handle …]\n", string(data))
}
