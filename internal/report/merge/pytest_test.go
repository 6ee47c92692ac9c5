package merge

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// TestRealPytest reads what a real pytest writes in the cases that are easy to
// get wrong: a call and a teardown that both fail are one test, terminal colours
// are spelled out, properties stand in the case, a session that ends itself
// leaves a green file without the rest.
func TestRealPytest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "test_it.py", strings.ReplaceAll(`
import pytest

@pytest.fixture
def broken():
    yield
    raise RuntimeError("teardown broke")

def test_both(broken):
    print("\x1b[31mred\x1b[0m")
    assert 1 == 2

def test_teardown_only(broken):
    pass

@pytest.mark.parametrize("p", ["a/b::c", "<&>"])
def test_param(p, record_property):
    record_property("nodeid", "x")

@pytest.mark.xfail
def test_xfail():
    assert 0

@pytest.mark.skip(reason="later")
def test_skip():
    pass
`, "\t", "    "))
	write(t, dir, "exits/test_exit.py", "import pytest\n\ndef test_a():\n    pass\n\ndef test_b():\n    pytest.exit('enough', returncode=9)\n\ndef test_c():\n    pass\n")
	run := func(want int, args ...string) {
		need.Programs(t, "python3-pytest", "/usr/bin/python3")
		cmd := exec.Command("/usr/bin/python3", append([]string{"-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "junit_logging=all"}, args...)...)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		require.Equal(t, want, cmd.ProcessState.ExitCode(), "install python3-pytest\n%s", out)
	}
	run(1, "--junit-xml=a.xml", "test_it.py")
	sum, out := mergeFiles(t, Options{}, false, filepath.Join(dir, "a.xml"))
	require.Equal(t, 1, sum.Folded, "call and teardown")
	require.Equal(t, junit.Counts{Tests: 6, Errors: 2, Skipped: 2}, sum.Counts)
	both := find(t, out, "pytest", "test_both")
	require.Contains(t, both.Results[0].Message, "failed on teardown")
	require.Contains(t, both.Results[0].Text, "assert 1 == 2")
	require.Contains(t, both.SystemOut[0], "red")
	require.NotContains(t, contents(t, out), "x1B")
	require.Equal(t, []junit.Property{{Name: "nodeid", Value: "x"}}, find(t, out, "pytest", "test_param[a/b::c]").Properties)
	require.NotNil(t, find(t, out, "pytest", "test_param[<&>]"))

	run(9, "--junit-xml=b.xml", "exits")
	sum, out = mergeFiles(t, Options{}, false, filepath.Join(dir, "b.xml"))
	require.Equal(t, junit.Counts{Tests: 2, Errors: 1}, sum.Counts, "without an exit code the nameless case is all that tells")
	require.Equal(t, junit.Errored, find(t, out, "pytest", interrupted).Status())

	run(9, "--junit-xml=c.xml", "-o", "junit_suite_name=perf sanity", "exits")
	sum, out = mergeFiles(t, Options{}, false, filepath.Join(dir, "c.xml"))
	require.Equal(t, junit.Counts{Tests: 2, Errors: 1}, sum.Counts)
	require.Equal(t, junit.Errored, find(t, out, "perf sanity", interrupted).Status(), "whatever the suite is called")
}
