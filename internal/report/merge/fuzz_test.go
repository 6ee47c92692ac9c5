package merge

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// FuzzMerge: whatever two files say, no case is lost, an independent reader reads
// the report as it was decided, the order of the files does not matter, and merging
// the report again changes nothing.
func FuzzMerge(f *testing.F) {
	paths, err := filepath.Glob(testdata + "/fails/*.xml")
	require.NoError(f, err)
	require.NotEmpty(f, paths)
	for _, p := range paths {
		data, err := os.ReadFile(p)
		require.NoError(f, err)
		f.Add(string(data), "<testsuite name='pytest' tests='1'><testcase name='test_a' classname='tests.test_m'/></testsuite>", byte(0))
	}
	f.Add("=== RUN   TestA\n", `{"results":{"tests":[{"name":"a","status":"passed","flaky":true}]}}`, byte(255))
	f.Fuzz(func(t *testing.T, one, two string, bits byte) {
		dir := t.TempDir()
		paths := []string{write(t, dir, "1.xml", one), write(t, dir, "2.xml", two)}
		o := Options{
			NoCaps: bits&1 > 0, FoldReruns: bits&2 > 0 && bits&4 == 0, Flaky: []Policy{"", fold.Fail, fold.Skip, fold.Pass}[bits>>3&3],
			Empty: []Policy{"", fold.Fail, fold.Skip, fold.Pass}[bits>>5&3],
		}
		noFold := bits&4 > 0
		_, out := mergeFiles(t, o, noFold, paths...)
		_, turned := mergeFiles(t, o, noFold, paths[1], paths[0])
		require.Empty(t, firstDifference(contents(t, out), contents(t, turned)), "order")
		_, again := mergeFiles(t, o, noFold, out)
		require.Empty(t, firstDifference(contents(t, out), contents(t, again)), "merged twice")
	})
}
