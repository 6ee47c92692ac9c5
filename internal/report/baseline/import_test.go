package baseline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline/exchange"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func importOptions() exchange.Options {
	return exchange.Options{Metrics: metric.Default(), Stamp: baseline.Act{By: "ana", At: day(0), Why: "moving over"}}
}

// Everything that one store holds, another holds after export and import; twice
// changes nothing.
func TestExportAndImportBetweenStores(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, to string) {
		from := open(t, "dir:"+t.TempDir()+"/store")
		pr := nightly("a<b>&c", 3, 1.0/3)
		pr.Build.Mode = "pr"
		bad := nightly("b", 4, 1)
		bad.Valid, bad.Problems, bad.Measurements = false, []string{"no output"}, nil
		a := nightly("a", 1, 100)
		save(t, from, a, nightly("a", 2, 101), pr.Normal(), bad.Normal(), act(baseline.KindAccept, a), act(baseline.KindWithdraw, a))
		dump := func(s baseline.Store) string {
			var buf bytes.Buffer
			n, err := exchange.Export(&buf, func(fn func(baseline.Record) error) error {
				_, err := s.Each(t.Context(), baseline.Filter{}, fn)
				return err
			})
			require.NoError(t, err)
			require.Equal(t, 6, n)
			return buf.String()
		}
		target := open(t, to)
		for range 2 {
			got, err := exchange.Import(strings.NewReader(dump(from)), "x.ndjson", importOptions())
			require.NoError(t, err)
			require.Equal(t, 6, got.Read)
			require.Empty(t, got.Skipped)
			save(t, target, got.Records...)
			want := strings.Split(dump(from), "\n")
			require.ElementsMatch(t, want, strings.Split(dump(target), "\n"))
		}
	})
}

const openSearch = `{"_id":"1","_source":{"s_test_case_name":"e2e-dsr1_gb200-con64_iter10_isl1024_osl1024","s_runtime":"multi_node_disagg_server","s_gpu_type":"GB200","s_model_name":"dsr1","l_gen_tp":8,"s_branch":"main","s_commit":"abcdef1","s_job_id":"77","s_job_url":"https://ci/77","b_is_post_merge":true,"b_is_valid":true,"b_is_regression":false,"ts_created":1785553200123,"d_token_throughput":1000.5,"d_median_tpot":9.5,"d_baseline_token_throughput":1001,"d_threshold_pre_merge_token_throughput":0.1,"d_new_thing":1,"s_host_node_name":"gb-01"}}
{"s_test_case_name":"e2e-dsr1_gb200-con128_iter10_isl1024_osl1024","s_runtime":"multi_node_disagg_server","s_gpu_type":"GB200","s_branch":"main","s_job_id":"77","b_is_post_merge":true,"b_is_valid":true,"ts_created":1785553100000,"d_token_throughput":1900}

{"hits":{"hits":[{"_id":"3","_source":{"s_test_case_name":"srv-con8","s_runtime":"aggr_server","s_gpu_type":"B200","s_trigger_mr_id":"17","s_job_id":"9","b_is_post_merge":false,"b_is_valid":true,"@timestamp":"Dec 11, 2025 @ 06:25:25.338","d_al":2.5}},{"_source":{"s_test_case_name":"srv-con8","b_is_baseline":true}},{"_source":{"s_test_case_name":"srv-con8","ts_created":0}}]}}
{"s_test_case_name":"srv-con8","s_runtime":"aggr_server","s_gpu_type":"B200","s_job_id":"10","b_is_post_merge":true,"ts_created":1785553200123,"d_al":2.5}
`

func TestImportOfUpstreamsDatabase(t *testing.T) {
	t.Parallel()
	opt := importOptions()
	opt.Cases = map[string]string{"srv": "perf/test_perf_sanity.py::test_e2e[aggr_upload-file-srv]"}
	got, err := exchange.Import(strings.NewReader(openSearch), "os.ndjson", opt)
	require.NoError(t, err)
	require.Equal(t, 6, got.Read)
	require.Equal(t, map[string]int{
		"the field d_new_thing is not a known metric": 1,
		"a baseline row, not a run (b_is_baseline)":   1,
		"no usable ts_created or @timestamp":          1,
	}, got.Skipped)
	require.Len(t, got.Records, 3)
	byCase := map[string]baseline.Record{}
	for _, r := range got.Records {
		byCase[r.Case+" "+r.Run] = r
	}

	r := byCase["perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-dsr1_gb200] 77"]
	require.True(t, r.Counts())
	require.Equal(t, time.UnixMilli(1785553100000).UTC(), r.Time, "the points of one job are one run")
	require.Equal(t, map[string]string{"gpu_type": "GB200"}, r.Match)
	require.Equal(t, "abcdef1", r.Build.Commit)
	require.Equal(t, "moving over", r.Act.Why)
	var values []string
	for _, m := range r.Measurements {
		values = append(values, m.Point+" "+m.Metric+" "+m.Unit)
	}
	require.Equal(t, []string{
		"con128 output_token_throughput tok/s",
		"con64 output_token_throughput tok/s",
		"con64 tpot_median_ms ms",
	}, values)

	pr := byCase["perf/test_perf_sanity.py::test_e2e[aggr_upload-file-srv] 9"]
	require.Equal(t, "pr", pr.Build.Mode)
	require.Equal(t, "17", pr.Build.Change)
	require.Equal(t, "2025-12-11T06:25:25.338Z", pr.Time.Format(time.RFC3339Nano))
	invalid := byCase["perf/test_perf_sanity.py::test_e2e[aggr_upload-file-srv] 10"]
	require.False(t, invalid.Valid, "not called valid by its database")

	again, err := exchange.Import(strings.NewReader(openSearch), "os.ndjson", opt)
	require.NoError(t, err)
	require.Equal(t, ids(got.Records), ids(again.Records), "importing twice doubles nothing")

	opt.Match = []string{"gpu_type", "model", "gen_tp"}
	got, err = exchange.Import(strings.NewReader(openSearch), "os.ndjson", opt)
	require.NoError(t, err)
	require.Contains(t, []map[string]string{got.Records[1].Match, got.Records[2].Match, got.Records[3].Match}, map[string]string{"gpu_type": "GB200", "model": "dsr1", "gen_tp": "8"})
}

// What the other database calls a regression is no baseline by being imported: it stays open.
func TestImportKeepsKnownRegressions(t *testing.T) {
	t.Parallel()
	var docs strings.Builder
	for i := range 40 {
		value, bad := 10*noisy(i), i >= 12
		if bad {
			value *= 0.9
		}
		fmt.Fprintf(&docs, `{"s_test_case_name": "srv-con64_iter1_isl1_osl1", "s_job_id": "%d", "ts_created": %d, "b_is_valid": true, "b_is_post_merge": true, "b_is_regression": %t, "d_token_throughput": %g}`+"\n",
			i, day(i).UnixMilli(), bad, value)
	}
	got, err := exchange.Import(strings.NewReader(docs.String()), "os.ndjson", importOptions())
	require.NoError(t, err)
	require.Len(t, got.Records, 40)
	s := open(t, "dir:"+t.TempDir()+"/store")
	save(t, s, got.Records...)
	r := nightly(got.Records[0].Case, 40, 900)
	r.Match, r.Measurements = got.Records[0].Match, r.Measurements[:1]
	row := throughputRow(t, s, r.Normal())
	require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
	require.True(t, row.Open, row.Reason)
	require.InDelta(t, 1000, *row.Baseline, 10, row.Reason)
}

// A value that no rule can use stays where it is, and is counted.
func TestImportLeavesOutWhatIsNoMeasurement(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"0", "-1", "null", `"1000"`, "{}"} {
		doc := `{"s_test_case_name": "srv-con8_iter1_isl1_osl1", "ts_created": 1785553100000, "b_is_valid": true, "d_median_ttft": 5, "d_token_throughput": ` + v + "}\n"
		got, err := exchange.Import(strings.NewReader(doc), "x.ndjson", importOptions())
		require.NoError(t, err)
		require.Equal(t, map[string]int{"the field d_token_throughput has no finite number above 0": 1}, got.Skipped, v)
		require.Len(t, got.Records, 1)
		require.Len(t, got.Records[0].Measurements, 1)
	}
}

func TestImportOfPerfDataYAML(t *testing.T) {
	t.Parallel()
	const text = `- new_data:
    s_test_case_name: e2e-x-con64_iter10_isl1024_osl1024
    s_runtime: multi_node_disagg_server
    s_gpu_type: GB200
    s_job_id: '8'
    b_is_post_merge: false
    b_is_valid: true
    ts_created: 1785639600000
    d_token_throughput: 990.0
  history_baseline: null
  history_data:
  - {s_test_case_name: e2e-x-con64_iter10_isl1024_osl1024, s_runtime: multi_node_disagg_server, s_gpu_type: GB200, s_job_id: '7', b_is_post_merge: true, b_is_valid: true, ts_created: 1785553200000, d_token_throughput: 1000}
`
	got, err := exchange.Import(strings.NewReader(text), "perf_data.yaml", importOptions())
	require.NoError(t, err)
	require.Len(t, got.Records, 2)
	require.Equal(t, "nightly", got.Records[0].Build.Mode)
	require.Equal(t, []float64{1000}, got.Records[0].Measurements[0].Values)
	require.Equal(t, "pr", got.Records[1].Build.Mode)
}

func TestImportRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                     "f: nothing to import in it",
		"  \n":                                 "f: nothing to import in it",
		"{\"a\": 1}\n":                         "f:1: neither a record of ci-disagg nor of upstream's database",
		"{\n \"a\": 1\n}\n":                    "f:1: not one JSON object per line",
		"- a: 1\n":                             "f: entry 1 has no new_data",
		"a: 1\n":                               "f:1:1: expects a list, but this is a mapping",
		"%PDF":                                 "f:",
		`{"schema":9,"kind":"run"}`:            "f:1: schema 9 is newer",
		`{"schema":1,"kind":"run","case":"c"}`: "is not the id of this content",
	} {
		_, err := exchange.Import(strings.NewReader(in), "f", importOptions())
		require.ErrorContains(t, err, want, in)
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte(openSearch))
	own, err := json.Marshal(nightly("c", 1, 100))
	require.NoError(f, err)
	f.Add(own)
	f.Add([]byte("- new_data: {s_test_case_name: a-con1, ts_created: 1785639600000, d_al: 2}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := exchange.Import(bytes.NewReader(data), "f", importOptions())
		if err != nil {
			return
		}
		for _, r := range got.Records {
			require.NoError(t, r.Validate())
		}
	})
}
