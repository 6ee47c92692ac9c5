package publish

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

func exported(t *testing.T, format string, d Document) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Export(&b, format, d, metric.Default()))
	return b.String()
}

// TestBulkIsWhatUpstreamWrites: types follow the prefixes, because a wrong type
// makes the database reject the whole request.
func TestBulkIsWhatUpstreamWrites(t *testing.T) {
	t.Parallel()
	out := exported(t, FormatBulk, regressionDocument())
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

// TestBulkComesBack: what we export, we import with the same values.
func TestBulkComesBack(t *testing.T) {
	t.Parallel()
	d := regressionDocument()
	got, err := baseline.Import(strings.NewReader(exported(t, FormatBulk, d)), "bulk.ndjson", baseline.ImportOptions{
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

func TestOpenMetrics(t *testing.T) {
	t.Parallel()
	out := exported(t, FormatOpenMetrics, regressionDocument())
	golden(t, "export/openmetrics.txt", []byte(out))
	require.True(t, strings.HasSuffix(out, "\n# EOF\n"))
	sample := regexp.MustCompile(`^[a-z_][a-z0-9_]*\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)+\} -?[0-9.e+-]+( [0-9]+\.[0-9]{3})?$`)
	families := map[string]bool{}
	for l := range strings.SplitSeq(strings.TrimSuffix(exported(t, FormatOpenMetrics, hostileDocument())+out, "\n"), "\n") {
		if name, ok := strings.CutPrefix(l, "# TYPE "); ok {
			families[strings.TrimSuffix(name, " gauge")] = true
		}
		if !strings.HasPrefix(l, "# ") {
			require.Regexp(t, sample, l)
			require.True(t, families[l[:strings.Index(l, "{")]], l)
		}
	}
	require.True(t, families["d_token_throughput"])
	require.ErrorContains(t, Export(&bytes.Buffer{}, "xml", Document{}, metric.Default()), "openmetrics, opensearch-bulk")
}
