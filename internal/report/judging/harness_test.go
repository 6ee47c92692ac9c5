package judging_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// inStore runs a test against an empty store. That both implementations keep the
// same promises is tested where they are.
func inStore(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	fn(t, "dir:"+filepath.Join(t.TempDir(), "store"))
}

func open(t testing.TB, url string) baseline.Store {
	t.Helper()
	s, err := baseline.Open(t.Context(), url, true)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// day is the i-th day of the tests' calendar.
func day(i int) time.Time {
	return time.Date(2026, 8, 1, 3, 0, 0, 0, time.UTC).AddDate(0, 0, i)
}

// nightly is a valid run of main on day i.
func nightly(caseID string, i int, value float64) baseline.Record {
	started := day(i)
	return baseline.Record{
		Kind: baseline.KindRun, Case: caseID, Match: map[string]string{"gpu_type": "GB200", "tp": "8"}, Time: day(i),
		Source: "ci-disagg", Run: fmt.Sprintf("nightly-%d", i), Tool: "v1", Cluster: "oci", GPU: "GB200", Container: "sha256:abc",
		Build: rundir.Build{Mode: "nightly", Branch: "main", Commit: fmt.Sprintf("%012x", 0xabc000000000+i), URL: "https://ci/1"},
		Repetitions: []baseline.Repetition{
			{JobID: "1", Nodes: []string{"gb-1-node01", "gb-1-node02"}, NodeSet: "gb-1-node", Started: &started},
		},
		Valid: true, Verdict: verdict.Pass,
		Measurements: []baseline.Measurement{
			{Point: "con64", Metric: "output_token_throughput", Unit: "tok/s", Values: []float64{value}, Verdict: verdict.Pass},
			{Point: "con64", Metric: "ttft_median_ms", Unit: "ms", Values: []float64{0.1 + value/7}},
		},
	}.Normal()
}

func save(t testing.TB, s baseline.Store, records ...baseline.Record) baseline.Saved {
	t.Helper()
	saved, err := s.Save(t.Context(), records...)
	require.NoError(t, err)
	return saved
}

func act(kind baseline.Kind, about baseline.Record, series ...string) baseline.Record {
	return baseline.Record{
		Kind: kind, Case: about.Case, Match: about.Match, Time: about.Time, Build: rundir.Build{Branch: about.Build.Branch},
		Act: &baseline.Act{By: "ana", At: day(400), Why: "new kernel", Target: about.ID, Series: series},
	}.Normal()
}
