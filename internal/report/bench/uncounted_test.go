package bench_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// said is what a reader says of a text: its problems and its error.
func said(rd bench.Reader, file, text string) string {
	results, err := rd.Read(strings.NewReader(text), file)
	var out []string
	for _, r := range results {
		for _, p := range slices.Concat(r.Problems, r.NotFinite) {
			out = append(out, p.String())
		}
	}
	if err != nil {
		out = append(out, bench.ProblemOf(file, err).String())
	}
	return strings.Join(out, "\n")
}

// own are formats of one's own in JSON, CSV and text.
func own() bench.Reader {
	g := bench.Generic{Concurrency: "load", Requested: "sent", Completed: "ok", Failed: "failed", Duration: "took", Metrics: []bench.GenericMetric{{Metric: "ttft_median_ms", At: "p50", Unit: "ms"}}}
	j, c, x := g, g, g
	j.Files, c.Files, x.Files, x.Format = "*.json", "*.csv", "*.txt", "text"
	x.Failed, x.Begins = "bad | failed", regexp.MustCompile(`^run with (?P<load>\S+) users`)
	for _, key := range []string{"sent", "ok", "failed", "p50", "took"} {
		x.Lines = append(x.Lines, regexp.MustCompile("^"+key+` (?P<`+key+`>\S+)`))
	}
	return bench.Reader{Metrics: metric.Default(), Generic: []bench.Generic{j, c, x}}
}

// A count that is there and is no number is not dropped: nobody knows how many failed.
func TestCountsThatAreNone(t *testing.T) {
	t.Parallel()
	json := func(more string) string { return `{"load": 8, "p50": 100` + more + "}" }
	csv := func(cells string) string { return "load,sent,ok,failed,took,p50\n" + cells + "\n" }
	text := func(lines string) string { return "run with 8 users\np50 100ms\n" + lines + "\n" }
	for name, tt := range map[string]struct{ file, text, want string }{
		"whole":                      {"x.json", json(`, "sent": 20, "ok": "20", "failed": 0, "took": 10`), ""},
		"not told":                   {"x.json", json(`, "sent": null`), ""},
		"a text":                     {"x.json", json(`, "failed": "3 of 20"`), `x.json:1: failed at failed is "3 of 20", not a whole number`},
		"a share":                    {"x.json", json(`, "failed": 0.15`), `failed at failed is "0.15", not a whole number`},
		"a list":                     {"x.json", json(`, "failed": [1, 2]`), "failed at failed is a list or an object, not a number"},
		"true":                       {"x.json", json(`, "failed": true`), "failed at failed is true, not a number"},
		"too large":                  {"x.json", json(`, "failed": 1e300`), `failed at failed is "1e+300", not a whole number`},
		"NaN":                        {"x.json", json(`, "ok": NaN`), `completed at ok is "NaN", not a whole number`},
		"a word":                     {"x.json", json(`, "sent": "many"`), `requested at sent is "many", not a whole number`},
		"no time":                    {"x.json", json(`, "took": "long"`), `duration is "long", not a number`},
		"no load":                    {"x.json", `{"load": "eight", "p50": 1}`, `concurrency at load is "eight", not a whole number`},
		"any load":                   {"x.json", `{"load": "inf", "p50": 1}`, ""},
		"a key twice":                {"x.json", json(`, "failed": 3, "failed": 0`), "failed at failed is given twice: 3 and 0"},
		"a metric twice":             {"x.json", json(`, "p50": 900`), "ttft_median_ms at p50 is given twice: 100 and 900"},
		"a key twice, the same":      {"x.json", json(`, "failed": 0, "failed": 0`), ""},
		"CSV":                        {"x.csv", csv("8,20,20,0,10,100"), ""},
		"CSV, not told":              {"x.csv", csv("8,,, ,,100"), ""},
		"CSV, n/a":                   {"x.csv", csv("8,20,20,n/a,10,100"), `x.csv:2: failed at failed is "n/a", not a whole number`},
		"CSV, ERR":                   {"x.csv", csv("8,20,ERR,0,10,100"), `completed at ok is "ERR", not a whole number`},
		"CSV, cut off":               {"x.csv", strings.TrimSpace(csv("8,20,20,0,10,90")), "x.csv:2: CSV: the last line has no end: half-written"},
		"text":                       {"x.txt", text("ok 20\nok 20.0\nfailed 0\ntook 10s"), ""},
		"text, no number":            {"x.txt", text("failed 3/20"), `x.txt:3: failed at bad | failed is "3/20", not a whole number`},
		"text, a sum with none":      {"x.txt", text("failed 0\nfailed ERR\nfailed 1"), `x.txt:4: failed at bad | failed is "ERR", not a whole number`},
		"text, a metric twice":       {"x.txt", text("p50 900ms"), `x.txt:2: ttft_median_ms at p50 is given twice: "100ms" and "900ms"`},
		"text, a count twice":        {"x.txt", text("ok 20\nok 5"), `completed at ok is given twice: "20" and "5"`},
		"text, cut off":              {"x.txt", strings.TrimSpace(text("failed 0\nok 2")), "x.txt:4: the last line has no end: half-written"},
		"text, another's is cut off": {"x.txt", text("failed 0") + "bye", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := said(own(), tt.file, tt.text); tt.want == "" {
				require.Empty(t, got)
			} else {
				require.Contains(t, got, tt.want)
			}
		})
	}
	got, err := own().Read(strings.NewReader(text("failed 1\nfailed 2")), "x.txt")
	require.NoError(t, err)
	require.EqualValues(t, 3, *got[0].Failed, "summed up by each of its names")
}

// So it is in what the serving clients write, where a number in quotes is none, too.
func TestServingCountsThatAreNone(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]string{
		`"failed": null, "num_prompts": 20`:                 "",
		`"failed": "3"`:                                     `failed is "3", not a whole number`,
		`"failed": NaN`:                                     `failed is "NaN", not a whole number`,
		`"failed": 3.5`:                                     `failed is "3.5", not a whole number`,
		`"failed": 3, "failed": 0`:                          "failed is given twice: 3 and 0",
		`"num_prompts": "100"`:                              `num_prompts is "100", not a whole number`,
		`"total_output_tokens": []`:                         "total_output_tokens is a list or an object, not a number",
		`"completed": 19`:                                   "completed is given twice: 20 and 19",
		`"duration": "10"`:                                  "duration is given twice",
		`"median_ttft_ms": 900, "median_ttft_ms": 100`:      "ttft_median_ms is given twice: 900 and 100",
		`"median_ttft_ms": "n/a"`:                           "ttft_median_ms is NaN",
		`"median_ttft_ms": null, "max_concurrency": "none"`: "",
	} {
		got := said(shipped(), "x.json", `{"duration": 10.0, "completed": 20, "output_throughput": 200.0, `+more+"}")
		if want == "" {
			require.Empty(t, got, more)
		} else {
			require.Contains(t, got, want, more)
		}
	}
	for _, duration := range []string{`"10"`, `NaN`, `Infinity`} {
		require.Contains(t, said(shipped(), "x.json", `{"duration": `+duration+`, "completed": 20, "output_throughput": 200.0}`), "x.json:1: duration is")
	}
}
