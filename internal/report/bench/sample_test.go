package bench

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
	"golang.org/x/sys/unix"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var update = flag.Bool("update", false, "rewrite the .want files")

const samples = "../../../testdata/bench"

// ownFormats are the formats of testdata/bench/generic.
func ownFormats(t testing.TB) Reader {
	t.Helper()
	formats := []Generic{
		{
			Name: "mybench", Files: "mybench_*.json", Concurrency: "concurrency", Requested: "requests.sent", Completed: "/requests/ok", Failed: "requests.bad",
			Metrics: []GenericMetric{
				{Metric: "e2el_p99_ms", At: "summary.latency.p99", Unit: "s"},
				{Metric: "median_e2el_ms", At: "/summary/latency/p50", Unit: "s", Better: "lower"},
				{Metric: "request_throughput", At: "$.summary.rate"},
				{Metric: "kv_hit_rate", At: "summary.kv_hit", Unit: "1", Better: "higher", Gate: true},
				{Metric: "ttft_p99_ms", At: "summary.ttft.p99", Optional: true},
			},
		},
		{
			Name: "guidellm", Files: "guidellm.json", Items: "benchmarks", Concurrency: "concurrency",
			Metrics: []GenericMetric{{Metric: "ttft_median_ms", At: "metrics.ttft.median"}},
		},
		{
			Name: "sweep", Files: "sweep.csv", Concurrency: "concurrency", Completed: "ok",
			Metrics: []GenericMetric{{Metric: "ttft_median_ms", At: "ttft p50 [s]", Unit: "s"}, {Metric: "output_token_throughput", At: "tokens/s"}},
		},
	}
	table, err := Extend(metric.Default(), formats)
	require.NoError(t, err)
	return Reader{Metrics: table, Generic: formats}
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
func describe(results []Result, err error) string {
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
			whole, err := Read(strings.NewReader(string(data)), path)
			require.NoError(t, err)
			require.NotEmpty(t, whole)
			step := 1 + len(data)/1500
			for n := 0; n < len(data); n += step {
				got, err := Read(strings.NewReader(string(data[:n])), path)
				var p Problem
				if errors.As(err, &p) {
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

func TestGatherOutputDirectory(t *testing.T) {
	t.Parallel()
	found, err := Reader{}.Gather(filepath.Join(samples, "gen-server"))
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Len(t, found.Results, 1, "the servers' step times belong to the only client")
	r := found.Results[0]
	mean, ok := r.Value("gen_device_step_time_mean_ms")
	require.True(t, ok)
	require.InDelta(t, 7.53, mean, 0.02, "the mean of both servers, without idle and ramp rows")
	require.Empty(t, Validate(found.Results, rundir.Expected{
		Points:     []rundir.Point{{Name: "con2048", Concurrency: 2048, Requests: 2048, InputLen: 1024, OutputLen: 1024}},
		Metrics:    []string{"output_token_throughput", "tpot_median_ms", "ttft_median_ms"},
		DeviceStep: true,
	}))
	require.Len(t, found.Files, 3)
	require.NotEmpty(t, found.Ignored)
}

// A server that is ended may tear its own files; that must not spoil the
// measurement beside them. A torn benchmark must.
func TestGatherTellsTornBenchmarksFromTornLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	whole, err := os.ReadFile(filepath.Join(samples, "trtllm/nan.json"))
	require.NoError(t, err)
	write("result.json", string(whole))
	write("perf_metrics-0.jsonl", `{"request_id": 1, "arrival": 1.5}`+"\n"+`{"request_id": 2, "arr`)
	found, err := Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Len(t, found.Results, 1)
	require.Len(t, found.Ignored, 1)

	write("second.json", string(whole[:400]))
	found, err = Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Problems, 1)
	require.Contains(t, found.Problems[0].String(), "second.json:1: the file ends inside a JSON value")

	found, err = Reader{}.Gather(filepath.Join(dir, "perf_metrics-0.jsonl"))
	require.NoError(t, err)
	require.Len(t, found.Problems, 1, "a file that was named must hold something")
	_, err = Reader{}.Gather(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// An aggregated case writes server and client into one log, which is named as a
// generation server's.
// A pipe that nobody writes to must not hold the build.
func TestGatherRefusesAPipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "benchmark.log")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	_, err := Reader{}.Gather(pipe)
	require.ErrorContains(t, err, pipe+" is neither a file nor a directory")
}

func TestGatherTablesInAServerLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, err := os.ReadFile(filepath.Join(samples, "gen-server/gen_server_0.log"))
	require.NoError(t, err)
	path := filepath.Join(dir, "gen_server_0.log")
	require.NoError(t, os.WriteFile(path, append(log, trtTable...), 0o600))
	require.NoError(t, os.Symlink(path, filepath.Join(dir, "link.log")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "dead.log")))
	found, err := Reader{}.Gather(path)
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Len(t, found.Results, 1)
	_, ok := found.Results[0].Value("tpot_median_ms")
	require.True(t, ok)
	_, ok = found.Results[0].Value("gen_device_step_time_mean_ms")
	require.True(t, ok)
	again, err := Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Empty(t, again.Problems)
	require.Len(t, again.Results, 1, "the same client, read through a link")
}
