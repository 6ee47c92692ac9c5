package merge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

func TestFoldAttempts(t *testing.T) {
	t.Parallel()
	const (
		bare     = `<testcase classname="c" name="t" time="1"/>`
		fail     = `<testcase classname="c" name="t" time="1"><failure message="AssertionError: x" type="T">trace</failure></testcase>`
		teardown = `<testcase classname="c" name="t" time="1"><error message='failed on teardown with "boom"'>td</error></testcase>`
	)
	tests := map[string]struct {
		cases  []string
		flaky  Policy
		status junit.Status
		check  func(t *testing.T, c *junit.Case)
	}{
		"failed, then passed": {[]string{fail, bare}, "", junit.Passed, func(t *testing.T, c *junit.Case) {
			require.Equal(t, []junit.Rerun{{Kind: junit.FlakyFailure, Type: "T", Message: "[attempt 1 of 2] AssertionError: x", StackTrace: "trace"}}, c.Reruns)
			require.Contains(t, c.Properties, junit.Property{Name: "flaky", Value: "true"})
			require.Equal(t, []string{"ci-disagg: passed on attempt 2 of 2"}, c.SystemOut)
		}},
		"bare attempts, then failed": {[]string{bare, bare, fail}, "", junit.Failed, func(t *testing.T, c *junit.Case) {
			require.Len(t, c.Reruns, 2)
			require.Equal(t, junit.RerunFailure, c.Reruns[0].Kind)
			require.Equal(t, "attempt 1 of 3: no details recorded by pytest-rerunfailures", c.Reruns[0].Message)
		}},
		"bare attempts, then passed": {[]string{bare, bare}, "", junit.Passed, func(t *testing.T, c *junit.Case) {
			require.Equal(t, junit.FlakyFailure, c.Reruns[0].Kind)
		}},
		"flaky is red":     {[]string{fail, bare}, fold.Fail, junit.Failed, nil},
		"flaky is skipped": {[]string{fail, bare}, fold.Skip, junit.Skipped, nil},
		"call and teardown": {[]string{fail, teardown}, "", junit.Errored, func(t *testing.T, c *junit.Case) {
			require.Empty(t, c.Reruns)
			require.Len(t, c.Results, 1)
			require.Contains(t, c.Results[0].Text, "td")
			require.Contains(t, c.Results[0].Text, "AssertionError: x\ntrace")
			require.Equal(t, "2.000000", junit.Seconds(c.Time))
		}},
		"call and teardown twice": {[]string{fail, teardown, fail, teardown}, "", junit.Errored, func(t *testing.T, c *junit.Case) {
			require.Len(t, c.Reruns, 1)
			require.Equal(t, junit.RerunError, c.Reruns[0].Kind)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, t.TempDir(), "results.xml", pytestDoc(1, tt.cases...))
			sum, out := mergeFiles(t, Options{Flaky: tt.flaky}, false, path)
			require.Equal(t, len(tt.cases)-1, sum.Folded)
			c := one(t, out)
			require.Equal(t, tt.status, c.Status())
			if tt.check != nil {
				tt.check(t, c)
			}
			xmllint(t, out)
		})
	}
}

// TestFoldWorst: between files, and in files that no pytest wrote, all count.
func TestFoldWorst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ok := `<testcase classname="c" name="t" time="1"><system-out>fine</system-out></testcase>`
	bad := `<testcase classname="c" name="t" time="3"><failure message="m">trace</failure></testcase>`
	skip := `<testcase classname="c" name="t"><skipped message="s"/></testcase>`
	sum, out := mergeFiles(t, Options{}, false,
		write(t, dir, "results.2.xml", suiteDoc("pytest", bad)), write(t, dir, "results.10.xml", suiteDoc("pytest", ok)), write(t, dir, "results.1.xml", suiteDoc("pytest", skip)))
	require.Equal(t, 2, sum.Folded)
	c := one(t, out)
	require.Equal(t, junit.Failed, c.Status())
	require.Contains(t, c.Properties, junit.Property{Name: "results", Value: "results.1.xml=skipped results.2.xml=failed results.10.xml=passed"})
	require.Contains(t, c.Results[0].Text, "trace")
	require.Contains(t, c.Results[0].Text, "[results.1.xml] skipped: s")
	require.Equal(t, []string{"[results.10.xml]\nfine"}, c.SystemOut)
	require.Equal(t, "3.000000", junit.Seconds(c.Time))

	sum, _ = mergeFiles(t, Options{}, false, write(t, dir, "jest.xml", suiteDoc("jest", bad, ok)))
	require.Zero(t, sum.Folded, "different tests of one name stay apart")
	require.Equal(t, junit.Counts{Tests: 2, Failures: 1}, sum.Counts)
	sum, _ = mergeFiles(t, Options{}, false, write(t, dir, "jest.1.xml", suiteDoc("jest", ok, bad)), write(t, dir, "jest.2.xml", suiteDoc("jest", ok, ok)))
	require.Equal(t, junit.Counts{Tests: 2, Failures: 1}, sum.Counts, "the first with the first, the second with the second")
}

// TestCountedCases: where pytest counts every case, those of one name are no
// attempts, and none hides the failure of another.
func TestCountedCases(t *testing.T) {
	t.Parallel()
	bad := `<testcase classname="c" name="t" time="3"><failure message="m">trace</failure></testcase>`
	ok := `<testcase classname="c" name="t" time="1"/>`
	down := `<testcase classname="c" name="t" time="1"><error message='failed on teardown with "boom"'>td</error></testcase>`
	doc := func(tests int, cases ...string) string {
		return fmt.Sprintf(`<testsuites><testsuite name="pytest" tests="%d">%s</testsuite></testsuites>`, tests, strings.Join(cases, ""))
	}
	owed := func(counts string, cases ...string) string {
		return fmt.Sprintf(`<testsuites><testsuite name="pytest" tests="1" %s>%s</testsuite></testsuites>`, counts, strings.Join(cases, ""))
	}
	setup := strings.ReplaceAll(down, "teardown", "setup")
	tests := map[string]struct {
		doc    string
		status junit.Status
		reruns int
	}{
		"attempts":                         {doc(1, bad, ok), junit.Passed, 1},
		"all counted":                      {doc(2, bad, ok), junit.Failed, 0},
		"a call and its teardown":          {doc(1, bad, down), junit.Errored, 0},
		"attempts of call and teardown":    {doc(1, bad, down, ok), junit.Passed, 1},
		"all counted, one with a teardown": {doc(2, bad, down, ok), junit.Errored, 0},
		"attempts, none of them counted":   {owed(`failures="0" errors="0"`, bad, ok), junit.Passed, 1},
		"a failure counts":                 {owed(`failures="1"`, bad, ok), junit.Failed, 0},
		"an error counts":                  {owed(`failures="0" errors="1"`, setup, ok), junit.Errored, 0},
		"one counts of two":                {owed(`failures="1" errors="1"`, setup, ok, bad), junit.Errored, 0},
		"the last is what counts":          {owed(`failures="1"`, ok, bad), junit.Failed, 1},
		"and with its teardown":            {owed(`failures="1" errors="1"`, ok, bad, down), junit.Errored, 1},
		"a teardown alone":                 {owed(`failures="0" errors="1"`, ok, down), junit.Errored, 0},
		"a skip is no attempt":             {owed(`failures="1" skipped="1"`, bad, `<testcase classname="c" name="t"><skipped/></testcase>`), junit.Failed, 1},
		"counted oddly":                    {owed(`failures=" 1.0 "`, bad, ok), junit.Failed, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, t.TempDir(), "results.xml", tt.doc)
			_, out := mergeFiles(t, Options{}, false, path)
			c := one(t, out)
			require.Equal(t, tt.status, c.Status())
			require.Len(t, c.Reruns, tt.reruns)
		})
	}
}

// TestAttemptsLoseNothing: properties, unknown elements and output of earlier
// attempts stay, in order, and the last attempt has the last word.
func TestAttemptsLoseNothing(t *testing.T) {
	t.Parallel()
	attempt := func(i int, inner string) string {
		return fmt.Sprintf(`<testcase classname="c" name="t" time="2"><properties><property name="n" value="%d"/><property name="same" value="x"/></properties>`+
			`%s<system-out>out%d</system-out><extra>e%d</extra></testcase>`, i, inner, i, i)
	}
	path := write(t, t.TempDir(), "results.xml", pytestDoc(1,
		attempt(1, `<failure message="m1"/>`), attempt(2, `<skipped message="not yet"/>`), attempt(3, "")))
	_, out := mergeFiles(t, Options{}, false, path)
	c := one(t, out)
	require.Equal(t, []junit.Property{{Name: "n", Value: "1"}, {Name: "n", Value: "2"}, {Name: "n", Value: "3"}, {Name: "same", Value: "x"}, {Name: "attempts", Value: "3"}, {Name: "flaky", Value: "true"}}, c.Properties)
	require.Equal(t, []string{"ci-disagg: passed on attempt 3 of 3\n[attempt 1 of 3]\nout1\n[attempt 1 of 3]\n<extra>e1</extra>\n[attempt 2 of 3]\nout2\n[attempt 2 of 3]\n<extra>e2</extra>\nout3\n<extra>e3</extra>"}, c.SystemOut)
	require.Equal(t, "6.000000", junit.Seconds(c.Time))
	require.Contains(t, contents(t, out), `<testsuite name="pytest" tests="1" failures="0" errors="0" skipped="0" id="0" time="6.000000"`)
	require.Equal(t, "attempt 2 of 3: skipped: not yet", c.Reruns[1].Message)
}

func TestOneClass(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "a.xml", suiteDoc("s", `<testcase classname="c" name="t"><skipped message="later"/><failure message="f"/><error message="e"/></testcase>`))
	_, out := mergeFiles(t, Options{}, false, path)
	c := one(t, out)
	require.Equal(t, junit.Errored, c.Status())
	require.Equal(t, "e", c.Results[0].Message)
	require.Equal(t, "also failed: f", c.Results[0].Text)
	require.Len(t, c.Results, 1)
	require.Equal(t, []string{"also skipped: later"}, c.SystemOut)
	goJUnitAgrees(t, out, junit.Counts{Tests: 1, Errors: 1})
	require.Equal(t, map[string]int{"passed": 0, "failed": 1, "skipped": 0}, secondOpinion(t, out)[0].Totals)
}

// What is too often there, or too large, to be one test case stays apart: what is red stays red.
func TestFoldVeryMany(t *testing.T) {
	t.Parallel()
	const (
		pass = `<testcase classname="c" name="t" time="1"/>`
		bad  = `<testcase classname="c" name="t" time="1"><error message="boom">td</error></testcase>`
		two  = `<testcase classname="c" name="u"/><testcase classname="c" name="u"/>`
	)
	for _, declared := range []int{2, 10_003} {
		path := write(t, t.TempDir(), "results.xml", pytestDoc(declared, strings.Repeat(pass, 5000)+bad+strings.Repeat(pass, 5000)+two))
		sum, out := mergeFiles(t, Options{}, false, path)
		require.Equal(t, junit.Counts{Tests: 10_002, Errors: 1}, sum.Counts)
		require.Equal(t, 1, sum.Folded)
		require.Len(t, sum.Warnings, 1, "Jenkins cannot tell them apart")
		again, twice := mergeFiles(t, Options{}, false, out)
		require.Equal(t, sum.Counts, again.Counts)
		require.Equal(t, contents(t, out), contents(t, twice))
	}
	path := write(t, t.TempDir(), "results.xml", pytestDoc(1, strings.Repeat(pass, 1999)+bad))
	sum, _ := mergeFiles(t, Options{}, false, path)
	require.Equal(t, junit.Counts{Tests: 1, Errors: 1}, sum.Counts)
	large := `<testcase classname="c" name="t"><failure>` + strings.Repeat("x", 33<<20) + `</failure></testcase>`
	sum, _ = mergeFiles(t, Options{}, false, write(t, t.TempDir(), "results.xml", pytestDoc(1, large, large)))
	require.Equal(t, junit.Counts{Tests: 2, Failures: 2}, sum.Counts)
}

// pytestDoc is a file of pytest whose suite counts some tests.
func pytestDoc(tests int, cases ...string) string {
	return fmt.Sprintf(`<testsuites><testsuite name="pytest" tests="%d">%s</testsuite></testsuites>`, tests, strings.Join(cases, ""))
}

// TestAttemptsOfAnyName: what counts several cases of a name as one test has repeated it,
// whatever its suite is called. Only where pytest is known to have written it may a pass
// hide a failure.
func TestAttemptsOfAnyName(t *testing.T) {
	t.Parallel()
	const bare, fail = `<testcase classname="c" name="t"/>`, `<testcase classname="c" name="t"><failure message="m"/></testcase>`
	for _, tt := range []struct {
		suite, cases string
		want         junit.Counts
	}{
		{`name="own" tests="1"`, bare + bare + bare, junit.Counts{Tests: 1, Failures: 1}},
		{`name="own" tests="3"`, bare + bare + bare, junit.Counts{Tests: 3}},
		{`name="own"`, bare + bare + bare, junit.Counts{Tests: 3}},
		{`name="own" tests="1"`, fail + bare, junit.Counts{Tests: 2, Failures: 1}},
		{`name="own" tests="1"`, bare + fail, junit.Counts{Tests: 1, Failures: 1}},
	} {
		doc := "<testsuites><testsuite " + tt.suite + ">" + tt.cases + "</testsuite></testsuites>"
		sum, _ := mergeFiles(t, Options{Flaky: fold.Fail}, false, write(t, t.TempDir(), "r.xml", doc))
		require.Equal(t, tt.want, sum.Counts, doc)
	}
}
