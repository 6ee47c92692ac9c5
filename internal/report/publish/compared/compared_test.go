package compared_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/compared"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/testkit/browser"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// document has a row of two verdicts, and a name that is markup in every form.
func document() compare.Document {
	return compare.Document{
		Schema: compare.Schema,
		A:      compare.Named{Given: "main", Name: "branch main", From: "dir:/perf", Runs: 40, First: "2026-01-01T03:00:00Z", Last: "2026-02-09T03:00:00Z"},
		B:      compare.Named{Given: "abc", Name: "commit abc", From: "dir:/perf", Runs: 1, First: "2026-02-10T03:00:00Z", Last: "2026-02-10T03:00:00Z"},
		Counts: compare.Counts{Regression: 1, Pass: 1},
		Rows: []compare.Row{
			{
				Case: "=HYPERLINK(\"x\")|<script>1</script>", Point: "con8", Metric: "output_token_throughput", Unit: "tok/s", Better: "higher", Gate: true,
				A: compare.Level{Value: 1000, Runs: 30}, B: compare.Level{Value: 900, Runs: 1}, Ratio: 0.9, Interval: [2]float64{0.88, 0.92},
				Worse: 0.1, WorseIn: [2]float64{0.08, 0.12}, Verdict: verdict.Regression, Unfair: []string{"image: a against b"},
			},
			{
				Case: "llama", Metric: "ttft_median_ms", Unit: "ms", Better: "lower", A: compare.Level{Value: 80, Runs: 30}, B: compare.Level{Value: 80, Runs: 1},
				Ratio: 1, Interval: [2]float64{0.99, 1.01}, Verdict: verdict.Pass,
			},
		},
		Unfair: []compare.Unfair{{What: "image: a against b", Rows: 1}},
		OnlyA:  []string{"gemma con8"},
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	d := document()
	out := map[string]string{}
	for _, format := range compared.Formats() {
		var b bytes.Buffer
		require.NoError(t, compared.Check(format))
		require.NoError(t, compared.Write(&b, format, d, false))
		out[format] = b.String()
	}
	for _, want := range []string{
		"A  branch main, 40 runs, 2026-01-01 to 2026-02-09 (dir:/perf)", "B  commit abc, 2026-02-10 (dir:/perf)",
		"not fair: image: a against b (in 1 of 2 series, marked !)", "worse ", "1000 tok/s", "0.900  0.880 to 0.920  10.0 % worse", "30/1  !",
		"B against A, 2 series: 1 worse, 1 the same", "only A measured gemma con8",
	} {
		require.Contains(t, out["text"], want)
	}
	require.NotContains(t, out["html"], "<script>")
	require.NotContains(t, out["html"], "style=")
	require.Contains(t, out["html"], `href="report.css"`)
	require.NotContains(t, out["md"], "<script>")
	require.Contains(t, out["md"], `\|&lt;script&gt;`)
	rows, err := csv.NewReader(strings.NewReader(out["csv"])).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.Equal(t, "'=HYPERLINK(\"x\")|<script>1</script>", rows[1][0], "no formula of a spreadsheet")
	var back compare.Document
	require.NoError(t, json.Unmarshal([]byte(out["json"]), &back))
	require.Equal(t, d, back)
	require.ErrorContains(t, compared.Check("jsn"), `is not text, json, md, html, csv; did you mean "json"?`)
}

func TestAPageHasItsStyleBesideIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, compared.File(filepath.Join(dir, "compare.html"), "html", document()))
	require.FileExists(t, filepath.Join(dir, look.StyleFile))
	require.NoError(t, compared.File(filepath.Join(dir, "only", "compare.csv"), "csv", document()))
	require.NoFileExists(t, filepath.Join(dir, "only", look.StyleFile))
}

// TestBrowserShowsAComparison: Jenkins' policy refuses nothing, and the page is accessible.
func TestBrowserShowsAComparison(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, compared.File(filepath.Join(dir, "compare.html"), "html", document()))
	s := browser.Serve(t, dir)
	log := browser.Visit(t, s.URL+"/compare.html", "--screenshot="+filepath.Join(t.TempDir(), "page.png"))
	served, violations := s.Seen()
	require.Empty(t, violations)
	require.NotRegexp(t, browser.Refused, log)
	require.Equal(t, http.StatusOK, served["/report.css"])
	browser.Accessible(t, dir, "compare.html")
}
