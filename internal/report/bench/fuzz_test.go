package bench_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
)

func TestTextEdges(t *testing.T) {
	t.Parallel()
	const head = "============ Serving Benchmark Result ============\n"
	const end = "==================================================\n"
	problems := func(log string) string {
		got, err := shipped().Read(strings.NewReader(log), "x")
		require.NoError(t, err)
		return describe("x", got, nil)
	}
	require.Contains(t, problems(head+"Mean TTFT (ms):   1.0\nMean TTFT (ms):   2.0\n"+end), "ttft_mean_ms is given twice: 1 and 2")
	require.NotContains(t, problems(head+"Median TTFT (ms):   1.0\nP50 TTFT (ms):   1.0\n"+end), "problem")
	require.Contains(t, problems(head+"Mean TTFT (ms):   abc\n"+end), `mean ttft (ms) is "abc", not a number`)
	require.Contains(t, problems(head+"Successful requests:   nan\n"+end), `successful requests is "nan", not a number`)
	require.Contains(t, problems(head+head+end), "another one begins before its end")
	require.Contains(t, problems(head+"Median TPOT (ms):  inf\n"+end), "not finite x:2: tpot_median_ms is +Inf")
	require.Equal(t, 1, strings.Count(problems(head+strings.Repeat("Mean ITL (ms): nan\n", 9)+end), "itl_mean_ms is NaN"), "memory is bounded")
	require.Contains(t, problems(head+end+"!FAILED REQUESTS!\n"), "problem x:3: the client says !FAILED REQUESTS!")
	require.Contains(t, problems(head+"Total failed requests: 4\n"+end), "failed=4")
	peak := problems(head + "Peak output token throughput (tok/s):   9.0\nTotal token throughput (tok/s): 5\nTotal Token throughput (tok/s): 5\n" + end)
	require.NotContains(t, peak, " output_token_throughput")
	require.Contains(t, peak, "total_token_throughput               5")
	require.Contains(t, problems("Time Breakdown gen queue P99 (ms): 1.5\n"), "time_breakdown_gen_queue_p99_ms      1.5")
	require.Contains(t, rates(t, head+"Request rate configured (RPS):          2.50\n"+end), 2.5)
	// The size of a request is only meant for random data sets.
	ns := "Namespace(dataset_name='%s', num_prompts=10, max_concurrency=2, random_input_len=1024, random_output_len=128)\n"
	require.NotContains(t, problems(fmt.Sprintf(ns, "trtllm_custom")+head+end), "isl=")
	require.Contains(t, problems(fmt.Sprintf(ns, "random")+head+end), "isl=1024 osl=128")
	// What the client was told outweighs what it admits to have sent.
	require.Contains(t, problems(fmt.Sprintf(ns, "random")+head+"Total requests: 8\n"+end), "requested=10")
}

// rates are those of the points of a log.
func rates(t *testing.T, log string) (out []float64) {
	t.Helper()
	got, err := shipped().Read(strings.NewReader(log), "x")
	require.NoError(t, err)
	for _, r := range got {
		out = append(out, r.Rate)
	}
	return out
}

// FuzzRead feeds the recogniser, and through it every reader.
func FuzzRead(f *testing.F) { fuzzReader(f, "", "x") }

// One target per reader, seeded with its samples.
func FuzzTRTLLM(f *testing.F)       { fuzzReader(f, "trtllm", "x") }
func FuzzBenchServing(f *testing.F) { fuzzReader(f, "bench-serving", "x") }
func FuzzVLLM(f *testing.F)         { fuzzReader(f, "vllm", "x") }
func FuzzSGLang(f *testing.F)       { fuzzReader(f, "sglang", "x") }
func FuzzAIPerf(f *testing.F)       { fuzzReader(f, "aiperf", "x") }
func FuzzPerfCSV(f *testing.F)      { fuzzReader(f, "csv", "x") }
func FuzzLMEval(f *testing.F)       { fuzzReader(f, "lm-eval", "x") }
func FuzzGenericJSON(f *testing.F)  { fuzzReader(f, "generic", "mybench_1.json") }
func FuzzGenericItems(f *testing.F) { fuzzReader(f, "generic", "guidellm.json") }
func FuzzGenericCSV(f *testing.F)   { fuzzReader(f, "generic", "sweep.csv") }

// The formats that are described share two readers.
func FuzzDescribedJSON(f *testing.F) {
	fuzzFolders(f, "x", "guidellm", "llmperf", "inferencemax", "trtllm-bench", "pytest-benchmark")
}

func FuzzDescribedText(f *testing.F) {
	fuzzFolders(f, "x", "trtllm-bench", "mlperf", "redis-benchmark", "pgbench", "wrk", "ab", "nccl-tests")
}

func FuzzGenericText(f *testing.F) { fuzzFolders(f, "load.txt", "generic") }

func fuzzReader(f *testing.F, folder, name string) { fuzzFolders(f, name, folder) }

func fuzzFolders(f *testing.F, name string, folders ...string) {
	for _, path := range sampleFiles(f) {
		if slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(path, filepath.Join(samples, folder)) }) {
			data, err := os.ReadFile(path)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	rd := ownFormats(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		results, err := rd.Read(bytes.NewReader(data), name)
		checkResults(t, rd, results)
		require.True(t, err != nil || len(results) > 0, "neither results nor an error")
		again, err2 := rd.Read(iotestOneByte{bytes.NewReader(data)}, name)
		require.Equal(t, describe(name, results, err), describe(name, again, err2), "the result must not depend on how the file is read")
		points.Combine(results)
	})
}

// iotestOneByte yields a byte at a time.
type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(1, len(b))]) }

// checkResults is what must hold of any result, whatever the input.
func checkResults(t *testing.T, rd bench.Reader, results []bench.Result) {
	t.Helper()
	for _, r := range results {
		require.NotEmpty(t, r.Format)
		seen := map[string]bool{}
		for _, s := range r.Samples {
			m, ok := rd.Metrics.Lookup(s.Metric)
			require.True(t, ok, s.Metric)
			require.NotEmpty(t, m.Unit)
			require.False(t, s.Value != s.Value || s.Value-s.Value != 0, "%s = %v", s.Metric, s.Value) //nolint:gocritic // finite
			require.False(t, seen[s.Metric], "%s twice", s.Metric)
			seen[s.Metric] = true
		}
		for _, n := range []*int64{r.Requested, r.Completed, r.Failed, r.InputTokens, r.OutputTokens} {
			require.True(t, n == nil || *n >= 0)
		}
	}
}
