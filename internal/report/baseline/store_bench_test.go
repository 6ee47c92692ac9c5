package baseline_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var benchRuns = flag.Int("runs", 20_000, "runs in the stores of BenchmarkStore")

// What a store of a million runs may take to answer for one case.
const (
	dirLimit = 100 * time.Millisecond
	pgLimit  = 20 * time.Millisecond
)

const benchCases = 200

// BenchmarkStore fills both stores with -runs runs of 200 cases, about five runs
// a day and case, and judges one case (make bench-store). Filling goes around
// Save, which syncs every file: only reading is measured.
func BenchmarkStore(b *testing.B) {
	b.Run("dir", func(b *testing.B) {
		root := filepath.Join(b.TempDir(), "store")
		s := open(b, "dir:"+root)
		fillDir(b, root)
		judgeOne(b, s, dirLimit, func() { dropCaches(b) })
	})
	b.Run("postgres", func(b *testing.B) {
		url := postgres(b)
		s := open(b, url)
		fillPostgres(b, url)
		judgeOne(b, s, pgLimit, nil)
	})
}

// benchRecord is run i of a case, the newest at day(365).
func benchRecord(c, i, n int) baseline.Record {
	r := nightly(fmt.Sprintf("perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-config_%d]", c), 0, noisy(i))
	r.Time = day(365).Add(-time.Duration(n-i) * 5 * time.Hour)
	r.Run = fmt.Sprintf("build-%d", i)
	r.Measurements = nil
	for _, m := range []string{tput, "total_token_throughput", "ttft_median_ms", "ttft_mean_ms", "ttft_p99_ms", "tpot_median_ms", "tpot_mean_ms", "tpot_p99_ms", "itl_median_ms", "e2el_median_ms"} {
		r.Measurements = append(r.Measurements, baseline.Measurement{Point: "con64", Metric: m, Unit: "u", Values: []float64{noisy(i)}, Verdict: verdict.Pass})
	}
	return r.Normal()
}

func fillDir(b *testing.B, root string) {
	b.Helper()
	started := time.Now()
	n := *benchRuns / benchCases
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for c := range benchCases {
		g.Go(func() error {
			for i := range n {
				r := benchRecord(c, i, n)
				data, err := json.Marshal(r)
				if err != nil {
					return err
				}
				dir := filepath.Join(root, "cases", rundir.Slug(r.Case), baseline.MatchKey(r.Match), "branch-main", r.Time.Format("2006-01"))
				if err := os.MkdirAll(dir, 0o700); err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(dir, r.ID+".json"), data, 0o600); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, g.Wait())
	b.Logf("%d runs written in %s", n*benchCases, time.Since(started).Round(time.Second))
}

func fillPostgres(b *testing.B, url string) {
	b.Helper()
	started := time.Now()
	conn := connect(b, url)
	n := *benchRuns / benchCases
	columns := []string{"id", "kind", "case_id", "match_key", "match", "time", "mode", "branch", "commit_id", "change_id", "run_id", "build_url", "cluster", "gpu", "nodes", "container", "tool", "source", "valid", "verdict", "act_by", "act_why", "act_target", "record"}
	at := 0
	copied, err := conn.CopyFrom(b.Context(), pgx.Identifier{"ci_disagg_records"}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if at == n*benchCases {
			return nil, nil
		}
		r := benchRecord(at%benchCases, at/benchCases, n) // as they come in, not case by case
		at++
		data, err := json.Marshal(r)
		return []any{r.ID, "run", r.Case, baseline.MatchKey(r.Match), r.Match, r.Time, "nightly", "main", r.Build.Commit, "", r.Run, "", r.Cluster, r.GPU, r.Repetitions[0].Nodes, "", "v1", "ci-disagg", true, "pass", "", "", "", data}, err
	}))
	require.NoError(b, err)
	require.EqualValues(b, n*benchCases, copied)
	_, err = conn.Exec(b.Context(), "ANALYZE")
	require.NoError(b, err)
	b.Logf("%d runs written in %s", copied, time.Since(started).Round(time.Second))
}

// judgeOne judges one run of one case after the other: with cold caches where
// they can be dropped, then warm.
func judgeOne(b *testing.B, s baseline.Store, limit time.Duration, cold func()) {
	b.Helper()
	n := *benchRuns / benchCases
	one := func(c int) time.Duration {
		r := benchRecord(c%benchCases, n, n)
		started := time.Now()
		row := throughputRow(b, s, r)
		took := time.Since(started)
		require.Equal(b, verdict.Pass, row.Verdict)
		require.GreaterOrEqual(b, row.History, min(n, 80))
		return took
	}
	first := time.Duration(0)
	if cold != nil {
		cold()
		first = one(0)
	}
	var all []time.Duration
	b.ResetTimer()
	for b.Loop() {
		all = append(all, one(len(all)))
	}
	slices.Sort(all)
	median, worst := all[len(all)/2], all[len(all)-1]
	if cold != nil {
		b.ReportMetric(first.Seconds()*1e3, "ms/cold")
	}
	b.ReportMetric(float64(*benchRuns), "runs")
	b.ReportMetric(median.Seconds()*1e3, "ms/judged")
	b.ReportMetric(worst.Seconds()*1e3, "ms/worst")
	if median > limit {
		b.Errorf("judging one case takes %s, more than %s", median, limit)
	}
}

// dropCaches makes the next reads come from the disk, where we may.
func dropCaches(b *testing.B) {
	b.Helper()
	run(b, nil, "sync")
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
		b.Logf("caches stay warm: %v", err)
	}
}
