package baseline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// Runs are given as measured: commit, the day of the commit (0 = not known) and its
// first-parent distance (0 = not known).
func TestInOrder(t *testing.T) {
	t.Parallel()
	type run struct {
		commit string
		day    int
		depth  int
	}
	for _, c := range []struct {
		name string
		runs []run
		want string
	}{
		{"as measured", []run{{"a", 0, 0}, {"b", 0, 0}, {"c", 0, 0}}, "a b c"},
		{"an old commit is measured again", []run{{"a", 0, 0}, {"b", 0, 0}, {"c", 0, 0}, {"a", 0, 0}}, "a a b c"},
		{"no commits", []run{{"", 0, 0}, {"", 0, 0}}, " "},
		{"a bisect between two nights", []run{{"a", 1, 0}, {"d", 9, 0}, {"b", 3, 0}, {"c", 5, 0}}, "a b c d"},
		{"backfill of what was never measured", []run{{"d", 9, 0}, {"e", 10, 0}, {"b", 3, 0}}, "b d e"},
		{"older records do not know their commit's time", []run{{"a", 0, 0}, {"b", 0, 0}, {"c", 2, 0}, {"d", 3, 0}}, "a b c d"},
		{"an old commit behind records without a time", []run{{"a", 0, 0}, {"c", 5, 0}, {"b", 3, 0}}, "a b c"},
		{"a cherry-pick keeps no time of its own", []run{{"a", 1, 0}, {"b", 2, 0}, {"p", 2, 0}}, "a b p"},
		{"after a rebase commit times may go back, distances do not", []run{{"a", 5, 10}, {"b", 3, 11}, {"c", 4, 12}}, "a b c"},
		{"the distance tells", []run{{"a", 1, 10}, {"d", 2, 13}, {"b", 2, 11}}, "a b d"},
		{"the same head again", []run{{"a", 1, 1}, {"b", 2, 2}, {"b", 2, 2}, {"b", 2, 2}}, "a b b b"},
	} {
		var records []baseline.Record
		for i, r := range c.runs {
			rec := nightly("c", i, 100)
			rec.Build.Commit, rec.Build.Depth = r.commit, r.depth
			if r.day > 0 {
				at := day(-100).Add(time.Duration(r.day) * time.Hour)
				rec.Build.CommitTime = &at
			}
			records = append(records, rec)
		}
		var got []string
		for _, r := range baseline.InOrder(records) {
			got = append(got, r.Build.Commit)
		}
		require.Equal(t, c.want, strings.Join(got, " "), c.name)
	}
}
