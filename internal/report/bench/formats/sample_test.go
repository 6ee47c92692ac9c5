package formats_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/bench/formats"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

var update = flag.Bool("update", false, "rewrite the .want files")

const samples = "../../../../testdata/bench"

// shipped is the reader as the program has it.
func shipped() bench.Reader {
	return bench.Reader{Metrics: metric.Default(), Formats: formats.All()}
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
	table, err := bench.Extend(metric.Default(), own)
	require.NoError(t, err)
	return bench.Reader{Metrics: table, Formats: formats.All(), Generic: own}
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
	require.Greater(t, len(files), 35)
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
			got := describe(results, err)
			if *update {
				require.NoError(t, os.WriteFile(path+".want", []byte(got), 0o644))
			}
			want, err := os.ReadFile(path + ".want")
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

// describe prints everything of results, one statement per line.
func describe(results []bench.Result, err error) string {
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
		for _, s := range r.Accuracy {
			fmt.Fprintf(&b, "  score %s %s %s %.4f%s ± %.4f n=%d lower=%v line=%d\n", s.Task, s.Filter, s.Metric, s.Value, s.Unit, s.StdErr, s.Samples, s.LowerIs, s.Line)
		}
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "  problem %v\n", p)
		}
		for _, p := range r.Notes {
			fmt.Fprintf(&b, "  note %v\n", p)
		}
	}
	if err != nil {
		fmt.Fprintf(&b, "error %v\n", err)
	}
	return b.String()
}

// Everything that a sample says must reach a result at every place where the
// file may be cut: no crash, and either an error, a problem, or fewer results.
func TestEveryCutOfASampleIsNoticed(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"trtllm/two-clients.log", "trtllm/detailed-goodput-energy.json", "vllm/append-result.json", "sglang/sglang_1121_100_1024_512.jsonl",
		"aiperf/profile_export_aiperf.json", "csv/perf_script_test_results.csv",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(filepath.Join(samples, path))
			require.NoError(t, err)
			whole, err := shipped().Read(strings.NewReader(string(data)), path)
			require.NoError(t, err)
			require.NotEmpty(t, whole)
			step := 1 + len(data)/1500
			for n := 0; n < len(data); n += step {
				got, err := shipped().Read(strings.NewReader(string(data[:n])), path)
				var p bench.Problem
				if errors.As(err, &p) && !errors.Is(err, bench.ErrUnrecognised) {
					require.Positive(t, p.Line, "cut at %d: %v", n, err)
				}
				if err != nil || len(got) < len(whole) {
					continue
				}
				problems := 0
				for _, r := range got {
					problems += len(r.Problems)
				}
				rows := strings.HasSuffix(path, ".csv") && n > 0 && data[n-1] == '\n' // whole rows: nothing shows that more were to come
				if !rows && describe(got, nil) != describe(whole, nil) {
					require.Positive(t, problems, "cut at %d of %d", n, len(data))
				}
			}
		})
	}
}
