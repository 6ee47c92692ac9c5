package publish

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline/exchange"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/export"
)

func exported(t *testing.T, format string, d report.Report) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, export.Write(&b, format, d, metric.Default()))
	return b.String()
}

// TestBulkIsWhatUpstreamWrites: types follow the prefixes, because a wrong type
// makes the database reject the whole request.
func TestBulkIsWhatUpstreamWrites(t *testing.T) {
	t.Parallel()
	out := exported(t, export.FormatBulk, regressionDocument())
	golden(t, "export/bulk.ndjson", []byte(out))
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	require.Len(t, lines, 4, "an action and a document per case and point")
	require.Regexp(t, `^\{"index":\{"_id":"[0-9a-f]{32}"\}\}$`, lines[0])
	dec := json.NewDecoder(strings.NewReader(lines[1]))
	dec.UseNumber()
	var doc map[string]any
	require.NoError(t, dec.Decode(&doc))
	for field, v := range doc {
		switch field[:strings.Index(field, "_")+1] {
		case "l_", "ts_":
			require.NotContains(t, v.(json.Number).String(), ".", field)
		case "d_":
			require.IsType(t, json.Number(""), v, field)
		case "s_":
			require.IsType(t, "", v, field)
		case "b_":
			require.IsType(t, true, v, field)
		default:
			require.Fail(t, "a field without a type", field)
		}
	}
	require.Equal(t, "e2e-gb200_ds_r1_1k1k_con64_ctx1_tp4_gen1_dep8-con64_iter10_isl1024_osl1024", doc["s_test_case_name"])
	require.Equal(t, "GB200", doc["s_gpu_type"])
	require.Equal(t, true, doc["b_is_regression"])
	require.Contains(t, doc, "d_token_throughput")
	require.Contains(t, doc, "d_median_tpot")
	require.Contains(t, doc, "d_baseline_token_throughput")
}

// TestBulkOfOtherCases: redis is no disaggregated server, and what is not known is left out.
func TestBulkOfOtherCases(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"aggregated": `"s_runtime":"aggr_server"`, "gen_only": `"s_runtime":"multi_node_disagg_server"`, "custom": "",
	} {
		d := regressionDocument()
		for i := range d.Cases {
			d.Cases[i].Mode = mode
		}
		out := exported(t, export.FormatBulk, d)
		require.Contains(t, out, want)
		require.Equal(t, want == "", !strings.Contains(out, "s_runtime"), mode)
	}
}

// TestBulkComesBack: what we export, we import with the same values.
func TestBulkComesBack(t *testing.T) {
	t.Parallel()
	d := regressionDocument()
	got, err := exchange.Import(strings.NewReader(exported(t, export.FormatBulk, d)), "bulk.ndjson", exchange.Options{
		Metrics: metric.Default(), Case: "perf/test_perf_sanity.py::test_e2e[disagg_upload-{server}]",
		Stamp: baseline.Act{By: "me", Why: "test", At: time.Unix(1, 0)},
	})
	require.NoError(t, err)
	require.Len(t, got.Records, 2)
	rec := got.Records[0]
	if rec.Case != d.Cases[0].ID {
		rec = got.Records[1]
	}
	require.Equal(t, d.Cases[0].ID, rec.Case)
	require.Equal(t, *d.Started, rec.Time)
	values := map[string]float64{}
	for _, m := range rec.Measurements {
		require.Equal(t, "con64", m.Point)
		values[m.Metric] = m.Values[0]
	}
	for _, r := range d.Cases[0].Metrics {
		require.InDelta(t, *r.Value, values[r.Metric], 1e-9, r.Metric)
	}
}

// TestOpenMetrics holds the text to the grammar that OpenMetrics and Prometheus'
// older text format share, which is what file and push gateways read: a family is
// declared once and stands together, and no sample carries a time.
func TestOpenMetrics(t *testing.T) {
	t.Parallel()
	golden(t, "export/openmetrics.txt", []byte(exported(t, export.FormatOpenMetrics, regressionDocument())))
	sample := regexp.MustCompile(`^([a-z_][a-z0-9_]*)\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+\} -?[0-9.e+-]+$`)
	for name, d := range map[string]report.Report{"regression": regressionDocument(), "hostile": hostileDocument(), "suite": suiteDocument(20), "crash": crashDocument()} {
		out := exported(t, export.FormatOpenMetrics, d)
		body, ok := strings.CutSuffix(out, "\n# EOF\n")
		require.True(t, ok, name)
		families, samples, family := map[string]bool{}, map[string]bool{}, ""
		for l := range strings.SplitSeq(body, "\n") {
			if declared, ok := strings.CutPrefix(l, "# TYPE "); ok {
				family = strings.TrimSuffix(declared, " gauge")
				require.False(t, families[family], "%s: %s twice", name, family)
				families[family] = true
				continue
			}
			if strings.HasPrefix(l, "# ") {
				require.Regexp(t, `^# HELP `+family+` [^"]+$`, l, name)
				continue
			}
			m := sample.FindStringSubmatch(l)
			require.NotNil(t, m, "%s: %s", name, l)
			require.Equal(t, family, m[1], name)
			key := l[:strings.LastIndex(l, " ")]
			require.False(t, samples[key], "%s: the same series twice: %s", name, key)
			samples[key] = true
		}
		require.True(t, families["ci_disagg_run_info"] && families["ci_disagg_exit_code"], name)
	}
	require.ErrorContains(t, export.Write(&bytes.Buffer{}, "xml", report.Report{}, metric.Default()), "openmetrics, opensearch-bulk")
}

// TestOpenMetricsSeriesGoOn: two runs of a case are samples of the same series,
// or no dashboard could draw a line through them.
func TestOpenMetricsSeriesGoOn(t *testing.T) {
	t.Parallel()
	series := func(d report.Report) []string {
		var out []string
		for l := range strings.SplitSeq(exported(t, export.FormatOpenMetrics, d), "\n") {
			if !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, "ci_disagg_run_info{") && l != "" {
				out = append(out, l[:strings.LastIndex(l, " ")])
			}
		}
		return out
	}
	next := regressionDocument()
	next.RunID, next.Build.Commit, next.Build.URL, next.Build.Change, next.Started = "other", "other", "other", "7", at(86400)
	next.Cases[0].Attempts[0].JobID, next.Cases[0].Attempts[0].Started = "other", at(86400)
	require.Equal(t, series(regressionDocument()), series(next))
	require.Contains(t, strings.Join(series(next), "\n"), "d_token_throughput{")
}
