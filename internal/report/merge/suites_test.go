package merge

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

func TestSameSuiteName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nested := `<testsuites><testsuite name="A"><testsuite name="x"><testcase classname="c" name="t"/></testsuite></testsuite>` +
		`<testsuite name="B"><testsuite name="x"><testcase classname="c" name="t"/></testsuite></testsuite></testsuites>`
	sum, _ := mergeFiles(t, Options{}, false, write(t, dir, "n.xml", nested))
	require.Equal(t, []SuiteResult{{"A.x", junit.Counts{Tests: 1}}, {"B.x", junit.Counts{Tests: 1}}}, sum.Suites)

	sum, out := mergeFiles(t, Options{}, false,
		write(t, dir, "1.xml", `<testsuite name="s" hostname="h1" file="f" timestamp="2026-01-01T00:00:00Z" time="10"><testcase classname="c" name="a"/></testsuite>`),
		write(t, dir, "2.xml", `<testsuite name="s" hostname="h2" file="f" timestamp="2026-01-01T01:00:05+01:00" time="10"><testcase classname="c" name="b"/></testsuite>`))
	require.Equal(t, []SuiteResult{{"s", junit.Counts{Tests: 2}}}, sum.Suites)
	doc := contents(t, out)
	require.Contains(t, doc, `time="15.000000" file="f" timestamp="2026-01-01T00:00:00Z">`, "from the first start to the last end")
	require.Contains(t, doc, `file="f"`)
	require.Contains(t, doc, `<property name="hostname" value="h1"/><property name="hostname" value="h2"/>`)
}

// TestPackages: for Jenkins the package is a part of the suite's name. Cases
// without class of two packages are not one test.
func TestPackages(t *testing.T) {
	t.Parallel()
	doc := `<testsuites><testsuite package="a" name="T"><testcase name="t"/></testsuite><testsuite package="b" name="T"><testcase name="t"><failure/></testcase></testsuite></testsuites>`
	sum, out := mergeFiles(t, Options{}, false, write(t, t.TempDir(), "p.xml", doc))
	require.Zero(t, sum.Folded)
	require.Equal(t, []SuiteResult{{"T", junit.Counts{Tests: 1}}, {"T", junit.Counts{Tests: 1, Failures: 1}}}, sum.Suites)
	require.Contains(t, contents(t, out), `package="a"`)
	require.Contains(t, contents(t, out), `package="b"`)
	_, again := mergeFiles(t, Options{}, false, out)
	require.Equal(t, contents(t, out), contents(t, again))
}

// TestSuiteOutput: readers show one output of a suite, so all of it is in one.
func TestSuiteOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var paths []string
	for i := range 3 {
		paths = append(paths, write(t, dir, fmt.Sprintf("%d.xml", i),
			fmt.Sprintf(`<testsuite name="s"><testcase classname="c" name="t%d"/><system-out>out%d</system-out><system-err>err%d</system-err></testsuite>`, i, i, i)))
	}
	for _, o := range []Options{{}, {NoCaps: true}} {
		_, out := mergeFiles(t, o, false, paths...)
		doc := contents(t, out)
		require.Contains(t, doc, "<system-out><![CDATA[out0\nout1\nout2]]></system-out>\n    <system-err><![CDATA[err0\nerr1\nerr2]]></system-err>")
		_, again := mergeFiles(t, o, false, out)
		require.Equal(t, doc, contents(t, again))
	}
}

// TestManyOfASuite: what suites of many files say together may be more than any
// file may say.
func TestManyOfASuite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var paths []string
	for i := range 2 {
		var attrs, props strings.Builder
		for j := range 1000 {
			fmt.Fprintf(&attrs, ` a%d-%d="1"`, i, j)
		}
		for j := range 3000 {
			fmt.Fprintf(&props, `<property name="p%d-%d" value=""/>`, i, j)
		}
		doc := fmt.Sprintf(`<testsuite name="s"%s><properties>%s</properties><testcase classname="c" name="t%d"/></testsuite>`, attrs.String(), props.String(), i)
		paths = append(paths, write(t, dir, fmt.Sprintf("%d.xml", i), doc))
	}
	o := Options{Read: junit.ReadOptions{MaxCase: 400_000}}
	_, out := mergeFiles(t, o, false, paths...)
	doc := contents(t, out)
	require.Equal(t, 2*3000+2*1000-100, strings.Count(doc, "<property "))
	_, again := mergeFiles(t, Options{}, false, out)
	require.Equal(t, doc, contents(t, again))
}

// TestLifecycleOfAnotherReport: what an earlier report says of its files and what
// this one says is one suite.
func TestLifecycleOfAnotherReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, first := mergeFiles(t, Options{}, false, write(t, dir, "a.xml", suiteDoc("s", `<testcase classname="c" name="t"/>`)), write(t, dir, "empty.xml", ""))
	sum, _ := mergeFiles(t, Options{}, false, first, write(t, dir, "b.xml", "<html/>"), filepath.Join(dir, "empty.xml"))
	require.Equal(t, []SuiteResult{{"s", junit.Counts{Tests: 1}}, {"merged.lifecycle", junit.Counts{Tests: 2, Errors: 2}}}, sum.Suites)
}

// TestRepeatedNames: Jenkins numbers cases of one class and name.
func TestRepeatedNames(t *testing.T) {
	t.Parallel()
	var docs strings.Builder
	for _, s := range []string{"chrome", "firefox"} {
		fmt.Fprintf(&docs, `<testsuite name="%s">`, s)
		for i := range 5 {
			fmt.Fprintf(&docs, `<testcase classname="c" name="t%d"/>`, i)
		}
		docs.WriteString(`<testcase classname="d` + s[:1] + `" name="ok"/></testsuite>`)
	}
	path := write(t, t.TempDir(), "a.xml", "<testsuites>"+docs.String()+"</testsuites>")
	for range 3 { // the same every time
		sum, _ := mergeFiles(t, Options{}, false, path)
		require.Equal(t, []string{`Jenkins cannot tell 5 tests from others of the same class and name, such as "c.t0"`}, sum.Warnings)
	}
	path = write(t, t.TempDir(), "b.xml", suiteDoc("s", `<testcase classname="c" name="u"/><testcase classname="c" name="u"/>`))
	sum, _ := mergeFiles(t, Options{}, true, path)
	require.Equal(t, []string{`Jenkins cannot tell 1 test from others of the same class and name, such as "c.u"`}, sum.Warnings)
}

// TestSuiteErrorsOfTwoFiles: what stands in the suite itself is one test of the
// suite, in however many files; and no time is longer than readers take.
func TestSuiteErrorsOfTwoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	doc := func(i int) string {
		return write(t, dir, fmt.Sprintf("%d.xml", i), fmt.Sprintf(`<testsuite name="pytest" tests="1"><testcase classname="c" name="t" time="9e7"/><testcase classname="c" name="t" time="9e7"/><error message="died %d"/></testsuite>`, i))
	}
	sum, out := mergeFiles(t, Options{}, false, doc(1), doc(2))
	require.Equal(t, junit.Counts{Tests: 2, Errors: 1}, sum.Counts)
	require.Contains(t, contents(t, out), "died 2")
	require.Contains(t, contents(t, out), `name="t" time="31536000.000000"`)
	_, again := mergeFiles(t, Options{}, false, out)
	require.Equal(t, contents(t, out), contents(t, again))
}
