package bench_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
)

var update = flag.Bool("update", false, "rewrite the .want files")

const samples = "../../../testdata/bench"

// shipped is the reader as the program has it.
func shipped() bench.Reader {
	return bench.Reader{Metrics: metric.Default()}
}

// ownFormats are the formats of testdata/bench/generic.
func ownFormats(t testing.TB) bench.Reader {
	t.Helper()
	own := []bench.Generic{
		{
			Name: "mybench", Files: "mybench_*.json", Concurrency: "concurrency", Requested: "requests.sent", Completed: "/requests/ok", Failed: "requests.bad",
			Metrics: []bench.GenericMetric{
				{Metric: "e2el_p99_ms", At: "summary.latency.p99", Unit: "s"},
				{Metric: "median_e2el_ms", At: "/summary/latency/p50", Unit: "s", Better: "lower"},
				{Metric: "request_throughput", At: "$.summary.rate"},
				{Metric: "kv_hit_rate", At: "summary.kv_hit", Unit: "1", Better: "higher", Gate: true},
				{Metric: "ttft_p99_ms", At: "summary.ttft.p99", Optional: true},
			},
		},
		{
			Name: "guidellm", Files: "guidellm.json", Items: "benchmarks", Concurrency: "concurrency",
			Metrics: []bench.GenericMetric{{Metric: "ttft_median_ms", At: "metrics.ttft.median"}},
		},
		{
			Name: "sweep", Files: "sweep.csv", Concurrency: "concurrency", Completed: "ok",
			Metrics: []bench.GenericMetric{{Metric: "ttft_median_ms", At: "ttft p50 [s]", Unit: "s"}, {Metric: "output_token_throughput", At: "tokens/s"}},
		},
	}
	own = append(own, bench.Generic{
		Name: "load", Files: "load.txt", Format: "text", Begins: regexp.MustCompile(`^run (?P<point>\w+) with (?P<users>\d+) users`), Point: "point", Concurrency: "users",
		Requested: "sent", Failed: "bad", Problem: "why",
		Metrics: []bench.GenericMetric{{Metric: "e2el_median_ms", At: "p50", Unit: "ms"}},
	})
	for _, line := range []string{`^sent (?P<sent>\d+)`, `^(?P<bad>\d+) timeouts`, `^(?P<bad>\d+) refused`, `^p50 (?P<p50>\S+)`, `^(?P<why>aborted)`} {
		own[3].Lines = append(own[3].Lines, regexp.MustCompile(line))
	}
	table, err := bench.Extend(metric.Default(), own)
	require.NoError(t, err)
	return bench.Reader{Metrics: table, Generic: own}
}

func sampleFiles(t testing.TB) []string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(samples, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasSuffix(path, ".want") && filepath.Base(path) != "README.md" {
			files = append(files, path)
		}
		return err
	}))
	require.Greater(t, len(files), 55)
	return files
}

func TestSamples(t *testing.T) {
	t.Parallel()
	rd := ownFormats(t)
	for _, path := range sampleFiles(t) {
		t.Run(strings.TrimPrefix(path, samples+"/"), func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(path)
			require.NoError(t, err)
			defer func() { require.NoError(t, f.Close()) }()
			results, err := rd.Read(f, filepath.Base(path))
			got := describe(filepath.Base(path), results, err)
			if *update {
				require.NoError(t, os.WriteFile(path+".want", []byte(got), 0o644))
			}
			want, err := os.ReadFile(path + ".want")
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

// describe prints everything of the results of a file, one statement per line.
func describe(file string, results []bench.Result, err error) string {
	var b strings.Builder
	count := func(name string, n *int64) {
		if n != nil {
			fmt.Fprintf(&b, " %s=%d", name, *n)
		}
	}
	for _, r := range results {
		fmt.Fprintf(&b, "%s line=%d name=%q con=%d", r.Format, r.Line, r.Name, r.Concurrency)
		count("requested", r.Requested)
		count("completed", r.Completed)
		count("failed", r.Failed)
		count("input_tokens", r.InputTokens)
		count("output_tokens", r.OutputTokens)
		if r.InputLen+r.OutputLen > 0 {
			fmt.Fprintf(&b, " isl=%d osl=%d", r.InputLen, r.OutputLen)
		}
		if r.DurationS != nil {
			fmt.Fprintf(&b, " duration=%v", *r.DurationS)
		}
		b.WriteByte('\n')
		if s := r.Steps; s != nil {
			fmt.Fprintf(&b, "  steps rows=%d used=%d idle=%d tokens=%d line=%d\n", s.Rows, s.Used, s.Idle, s.Tokens, s.Line)
		}
		for _, s := range r.Samples {
			fmt.Fprintf(&b, "  %4d %-36s %v\n", s.Line, s.Metric, s.Value)
		}
		for _, p := range r.NotFinite {
			fmt.Fprintf(&b, "  not finite %v\n", p)
		}
		for _, s := range r.Accuracy {
			fmt.Fprintf(&b, "  score %s %s %s %.4f%s n=%d lower=%v line=%d\n", s.Task, s.Filter, s.Metric, s.Value, s.Unit, s.Samples, s.LowerIs, s.Line)
		}
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "  problem %v\n", p)
		}
	}
	if err != nil {
		fmt.Fprintf(&b, "error %v\n", bench.ProblemOf(file, err))
	}
	return b.String()
}

// Everything that a sample says must reach a result at every place where the
// file may be cut: no crash, and either an error, a problem, or fewer results.
func TestEveryCutOfASampleIsNoticed(t *testing.T) {
	t.Parallel()
	rd := shipped()
	for _, path := range []string{
		"trtllm/two-clients.log", "trtllm/detailed-goodput-energy.json", "vllm/append-result.json", "sglang/sglang_1121_100_1024_512.jsonl",
		"aiperf/profile_export_aiperf.json", "csv/perf_script_test_results.csv", "guidellm/benchmarks.json", "llmperf/demo_550_150_summary.json",
		"inferencemax/agg_all.json", "trtllm-bench/report.json", "trtllm-bench/report.log", "pytest-benchmark/two-tests.json", "pgbench/by-count.txt",
		"wrk/latency.txt", "redis-benchmark/set-get-lpush.csv", "redis-benchmark/set-lpush.txt", "ab/ok.txt", "nccl-tests/all_reduce.log",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(filepath.Join(samples, path))
			require.NoError(t, err)
			whole, err := rd.Read(strings.NewReader(string(data)), path)
			require.NoError(t, err)
			require.NotEmpty(t, whole)
			step := 1 + len(data)/150
			for n := 0; n < len(data); n += step {
				got, err := rd.Read(strings.NewReader(string(data[:n])), path)
				if err != nil && !errors.Is(err, bench.ErrUnrecognised) {
					require.Positive(t, bench.ProblemOf(path, err).Line, "cut at %d: %v", n, err)
				}
				if err != nil || len(got) < len(whole) {
					continue
				}
				problems := 0
				for _, r := range got {
					problems += len(r.Problems)
				}
				rows := strings.HasSuffix(path, ".csv") && n > 0 && data[n-1] == '\n' // whole rows: nothing shows that more were to come
				if !rows && describe(path, got, nil) != describe(path, whole, nil) {
					require.Positive(t, problems, "cut at %d of %d", n, len(data))
				}
			}
		})
	}
}

// What trtllm-bench prints and what it writes is one result.
func TestTextAndJSONOfOneRun(t *testing.T) {
	t.Parallel()
	found, err := points.Reader{}.Gather(filepath.Join(samples, "trtllm-bench", "report.json"), filepath.Join(samples, "trtllm-bench", "report.log"))
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Len(t, found.Results, 1)
	require.Equal(t, "trtllm-bench-json", found.Results[0].Format)
	require.Empty(t, found.Results[0].Problems)
}

// A file that holds nothing known is told with what was looked for.
func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "result.txt")
	require.NoError(t, os.WriteFile(path, []byte("all is well\n"), 0o600))
	for _, named := range []string{path, filepath.Dir(path)} {
		found, err := points.Reader{}.Gather(named)
		require.NoError(t, err)
		said := append(found.Problems, found.Nothing...)
		require.Len(t, said, 1)
		for _, f := range bench.Builtin() {
			require.Contains(t, said[0].Text, f.Name)
		}
	}
}

// A reader that is named reads its own formats, and nothing else.
func TestOnlyOneReader(t *testing.T) {
	t.Parallel()
	rd := ownFormats(t)
	for _, tt := range []struct {
		reader, file string
		points       int
	}{
		{"redis-benchmark", "redis-benchmark/set-get-lpush.csv", 3},
		{"redis-benchmark", "redis-benchmark/set-lpush.txt", 2},
		{"redis-benchmark", "wrk/latency.txt", 0},
		{"wrk", "wrk/latency.txt", 1},
		{"vllm", "vllm/append-result.json", 3},
		{"pgbench", "vllm/append-result.json", 0},
		{"nccl-tests", "nccl-tests/all_reduce.log", 0},
		{"gen-server", "gen-server/gen_server_0.log", 1},
		{"vllm", "gen-server/gen_server_0.log", 0},
		{"perf-csv", "csv/perf_script_test_results.csv", 0},
		{"load", "generic/load.txt", 3},
		{"load", "wrk/latency.txt", 0},
	} {
		only, err := rd.Only(tt.reader)
		require.NoError(t, err)
		f, err := os.Open(filepath.Join(samples, tt.file))
		require.NoError(t, err)
		got, err := only.Read(f, tt.file)
		require.NoError(t, f.Close())
		all, allErr := rd.Read(strings.NewReader(readAll(t, filepath.Join(samples, tt.file))), tt.file)
		require.NoError(t, allErr)
		switch {
		case tt.points > 0:
			require.Len(t, got, tt.points, "%+v", tt)
		case strings.HasPrefix(tt.file, tt.reader+"/") || tt.reader == "perf-csv":
			require.Equal(t, describe(tt.file, all, nil), describe(tt.file, got, nil))
		default:
			require.ErrorIs(t, err, bench.ErrUnrecognised, "%+v", tt)
		}
	}
	_, err := rd.Only("redis-benchmrk")
	require.ErrorContains(t, err, `did you mean "redis-benchmark"?`)
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// The table that users read lists what the readers know.
func TestDocumentedFormats(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../../docs/benchmarks.md", "<!-- formats: written by go test ./internal/report/bench -update -->\n", "<!-- end of formats -->"
	doc, err := os.ReadFile(path)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(doc), begin)
	require.True(t, ok)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok)
	var b strings.Builder
	b.WriteString("| output | `reader` | what it gives beside metrics |\n|---|---|---|\n")
	for _, f := range bench.Builtin() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.Name, strings.Join(f.Readers, ", "), strings.Join(f.Gives, ", "))
	}
	want := head + begin + b.String() + end + tail
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(doc), "run go test ./internal/report/bench -update")
}

// A stream of C++ writes large numbers with an exponent: none is read as what stands before it.
func TestNumbersWithExponents(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(samples, "mlperf/server.txt"))
	require.NoError(t, err)
	for written, want := range map[string]float64{"1834.52": 1834.52, "1.83452e+06": 1834520, "2E6": 2e6} {
		got, err := shipped().Read(strings.NewReader(strings.Replace(string(data), ": 1834.52", ": "+written, 1)), "server.txt")
		require.NoError(t, err)
		values := map[string]float64{}
		for _, x := range got[0].Samples {
			values[x.Metric] = x.Value
		}
		require.InEpsilon(t, want, values["output_token_throughput"], 1e-9, written)
	}
}
