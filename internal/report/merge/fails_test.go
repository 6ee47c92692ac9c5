package merge

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// TestFails merges the inputs that were once read wrongly: see the README beside
// them.
func TestFails(t *testing.T) {
	t.Parallel()
	declares := write(t, t.TempDir(), "declares.xml", `<testsuites><testsuite name="lost" tests="3"/></testsuites>`)
	tests := map[string]struct {
		files  string
		o      Options
		counts junit.Counts
		check  func(t *testing.T, out string)
	}{
		"two interpreters": {files: "py310.xml py311.xml", counts: junit.Counts{Tests: 2, Failures: 1}, check: func(t *testing.T, out string) {
			require.Equal(t, junit.Failed, find(t, out, "pytest", "test_a").Status())
			b := find(t, out, "pytest", "test_b")
			require.Equal(t, junit.Passed, b.Status())
			require.Len(t, b.Reruns, 1, "a rerun on one of them")
		}},
		"joined by junit-report-merger": {files: "g2-jrm-of-two-pytest-files.xml", counts: junit.Counts{Tests: 2, Failures: 1}, check: func(t *testing.T, out string) {
			require.Equal(t, junit.Failed, find(t, out, "pytest", "test_a").Status())
		}},
		"joined by junit-merge": {files: "g2-junit-merge-of-two-pytest-files.xml", counts: junit.Counts{Tests: 2, Failures: 1}, check: func(t *testing.T, out string) {
			require.Equal(t, junit.Failed, find(t, out, "pytest", "test_a").Status())
			require.Len(t, find(t, out, "pytest", "test_b").Reruns, 1)
		}},
		"compile error alone":         {files: "p02_cypress_compile_error.xml", counts: junit.Counts{Tests: 1, Errors: 1}},
		"compile error":               {files: "good.xml p02_cypress_compile_error.xml", counts: junit.Counts{Tests: 2, Errors: 1}},
		"errors in an attribute":      {files: "good.xml p03_jest_errors_attr_only.xml", counts: junit.Counts{Tests: 2, Errors: 1}},
		"errors beside a good suite":  {files: "p03b_one_good_suite_one_errors_only.xml", counts: junit.Counts{Tests: 2, Errors: 1}},
		"tests that are not there":    {files: "good.xml " + declares, counts: junit.Counts{Tests: 2, Errors: 1}},
		"declared, and empty allowed": {files: "good.xml " + declares, o: Options{Empty: fold.Pass}, counts: junit.Counts{Tests: 2, Errors: 1}},
		"a test without a name": {files: "jest_noname.xml", counts: junit.Counts{Tests: 1}, check: func(t *testing.T, out string) {
			require.Equal(t, unnamed, one(t, out).Name)
		}},
		"times": {files: "time_ts.xml", counts: junit.Counts{Tests: 3}, check: func(t *testing.T, out string) {
			doc := contents(t, out)
			require.Contains(t, doc, `<testsuite name="a" tests="2" failures="0" errors="0" skipped="0" id="0" time="42.000000" timestamp="2026-01-01T10:00:00Z"`)
			require.Contains(t, doc, `<testsuite name="b" tests="1" failures="0" errors="0" skipped="0" id="1" time="100.000000"`)
		}},
		"two results": {files: "two_err.xml", counts: junit.Counts{Tests: 1, Errors: 1}, check: func(t *testing.T, out string) {
			r := one(t, out).Results[0]
			require.Equal(t, "TypeError", r.Type)
			require.Equal(t, []junit.Attr{{Name: "file", Value: "src/b.ts"}, {Name: "line", Value: "88"}}, r.Attrs)
			require.Equal(t, `two`+"\n\n"+`also failed type="AssertionError" file="src/a.ts" line="55": m1`+"\none", r.Text)
		}},
		"not run":                      {files: "p05_gtest_notrun.xml", counts: junit.Counts{Tests: 3, Skipped: 2}},
		"reruns beside a teardown":     {files: "p10ok.xml", o: Options{Flaky: fold.Fail}, counts: junit.Counts{Tests: 2, Failures: 1, Errors: 1}},
		"reruns beside a teardown, ok": {files: "p10ok.xml", counts: junit.Counts{Tests: 2, Errors: 1}},
		"line breaks in names": {files: "name_nl.xml", counts: junit.Counts{Tests: 1, Failures: 1}, check: func(t *testing.T, out string) {
			require.Equal(t, "a\n::error file=x::pwned", one(t, out).Name)
		}},
		"attachment": {files: "att.xml", counts: junit.Counts{Tests: 1}, check: func(t *testing.T, out string) {
			text := one(t, out).SystemOut[0]
			require.Contains(t, text, "\n[[ATTACHMENT|/ws/shot.png]]\n")
			require.Contains(t, text, "bytes cut")
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var paths []string
			for _, f := range strings.Fields(tt.files) {
				if !filepath.IsAbs(f) {
					f = filepath.Join(testdata, "fails", f)
				}
				paths = append(paths, f)
			}
			sum, out := mergeFiles(t, tt.o, false, paths...)
			require.Equal(t, tt.counts, sum.Counts)
			if tt.check != nil {
				tt.check(t, out)
			}
			jenkins := secondOpinion(t, out)[0].Totals
			require.Equal(t, map[string]int{"passed": sum.Counts.Passed(), "failed": sum.Counts.Red(), "skipped": sum.Counts.Skipped}, jenkins)
			_, again := mergeFiles(t, tt.o, false, out)
			require.Equal(t, contents(t, out), contents(t, again), "merged twice")
		})
	}
}

// find is the case of a suite and a name.
func find(t *testing.T, path, suite, name string) *junit.Case {
	t.Helper()
	_, cases := read(t, path)
	for i, c := range cases {
		if c.Suite.Name == suite && c.Name == name {
			return &cases[i]
		}
	}
	t.Fatalf("no case %s in suite %s:\n%s", name, suite, contents(t, path))
	return nil
}
