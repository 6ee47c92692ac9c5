package figures_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/figures"
)

const samples = "../../../testdata/bench"

// No output of a client contradicts itself: what is recorded and what is made after it is believed.
func TestSamplesAgree(t *testing.T) {
	t.Parallel()
	n := 0
	require.NoError(t, filepath.WalkDir(samples, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".want") {
			return err
		}
		for _, r := range read(t, path, nil) {
			n++
			require.Empty(t, figures.Check(r), path)
		}
		return nil
	}))
	require.Greater(t, n, 75)
}

func read(t *testing.T, path string, edit *strings.Replacer) []bench.Result {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	if edit != nil {
		edited := edit.Replace(string(data))
		require.NotEqual(t, string(data), edited)
		data = []byte(edited)
	}
	results, _ := bench.Reader{}.Read(bytes.NewReader(data), filepath.Base(path)) // some are broken on purpose
	return results
}

func TestContradictions(t *testing.T) {
	t.Parallel()
	const serving, detailed, table, aiperf = "trtllm/openai-infqps-concurrency8-DeepSeek-R1-0528-FP4-v2-20261121-181530.json",
		"trtllm/detailed-goodput-energy.json", "trtllm/gen-only.log", "aiperf/profile_export_aiperf.json"
	for name, tt := range map[string]struct {
		file string
		edit []string
		want string
	}{
		"requests":      {serving, []string{`1.0428796`, `20.5`}, "request_throughput is 20.5 req/s, but 64 requests completed in 61.3685 s are 1.04288"},
		"output":        {serving, []string{`1067.90873`, `1767.9`}, "output_token_throughput is 1767.9 tok/s, but 65536 output tokens in 61.3685 s are 1067.91"},
		"total":         {serving, []string{`2135.81746`, `1067.90873`}, "total_token_throughput is 1067.91 tok/s, but 131072 input and output tokens in 61.3685 s are 2135.82"},
		"input":         {"sglang/sglang_1121_100_1024_512.jsonl", []string{`1736.87`, `2736.87`}, "input_token_throughput is 2736.87 tok/s, but 77312 input tokens in 44.5123 s are 1736.87"},
		"table":         {table, []string{`29529.03`, `39529.03`}, "output_token_throughput is 39529 tok/s, but 2097152 output tokens in 71.02 s are 29529"},
		"described":     {aiperf, []string{`858.28`, `958.28`}, "output_token_throughput is 958.28 tok/s"},
		"rounded rate":  {"vllm/bench-serve.log", []string{`0.06  `, `0.08  `}, "request_throughput is 0.08 req/s"},
		"no duration":   {serving, []string{`61.36854`, `0`}, "request_throughput is 1.04288 req/s, but 64 requests completed in 0 s are +Inf"},
		"negative time": {serving, []string{`61.36854`, `-61.36854`}, "the duration is -61.3685 s"},
		"too many":      {serving, []string{`"num_prompts": 64`, `"num_prompts": 32`}, "64 requests completed, but only 32 were sent"},
		"negative":      {serving, []string{`7.49004`, `-7.49004`}, "tpot_median_ms is -7.49004: below zero"},
		"negative done": {serving, []string{`"completed": 64`, `"completed": -64`}, "the number of completed requests is -64: below zero"},
		"negative seen": {aiperf, []string{`"avg": 100.0`, `"avg": -100.0`}, "the number of completed requests is -100: below zero"},
		"order":         {serving, []string{`221.7666`, `21.7666`}, "ttft_p99_ms is 21.7666, but ttft_median_ms is 104.931: it cannot be less"},
		"mean in s":     {serving, []string{`112.4041`, `0.1124041`}, "ttft_mean_ms is 0.112404, but ttft_median_ms is 104.931: the mean cannot be less than 52.4656"},
		"mean above":    {serving, []string{`"mean": 0.0`, `"mean": 5`, `"min": 0.0, "max": 0.0`, `"min": 1, "max": 3`}, "avg_decoded_tokens_per_iter is 5, but avg_decoded_tokens_per_iter_max is 3: the mean cannot be more"},
		"mean below":    {detailed, []string{`"mean": 2.85`, `"mean": 1.85`}, "avg_decoded_tokens_per_iter is 1.85, but avg_decoded_tokens_per_iter_min is 1.92: the mean cannot be less than 1.92"},
		"too long":      {serving, []string{`8120.9001`, `812090`}, "e2el_p99_ms is 812090, longer than the whole benchmark of 61.3685 s"},
		"at a time":     {serving, []string{`"max_concurrency": 8`, `"max_concurrency": 4`}, "e2el_mean_ms is 7804.2: 64 requests of that, at most 4 at a time, take 124.867 s, but the duration is 61.3685 s"},
		"list too long": {detailed, []string{`"ttfts": [`, `"ttfts": [0.1, `}, "ttfts lists 65 requests, but 64 completed"},
		"list of less":  {detailed, []string{"1024\n  ],\n  \"ttfts\"", "924\n  ],\n  \"ttfts\""}, ""},
		"another list":  {detailed, []string{`"total_output_tokens": 65536`, `"total_output_tokens": 55536`}, "output_lens lists 65536 output tokens, but the client counted 55536"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results := read(t, filepath.Join(samples, tt.file), strings.NewReplacer(tt.edit...))
			require.NotEmpty(t, results)
			var got []string
			for _, p := range figures.Check(results[0]) {
				require.Equal(t, filepath.Base(tt.file), p.File)
				require.Positive(t, p.Line)
				got = append(got, p.Text)
			}
			if tt.want == "" { // within what rounding explains
				require.Empty(t, got)
				return
			}
			require.Contains(t, strings.Join(got, "\n"), tt.want)
		})
	}
}

// Requests that failed are listed in ways of the client's own, and are said to have failed.
func TestListsOfFailedRequests(t *testing.T) {
	t.Parallel()
	edit := strings.NewReplacer(`"completed": 64`, `"completed": 63, "failed": 1`, `1.0428796`, `1.0266`)
	for _, r := range read(t, filepath.Join(samples, "trtllm/detailed-goodput-energy.json"), edit) {
		require.Empty(t, figures.Check(r))
	}
}

// A format that samples time coarsely is held against its own digits, and latencies that a client corrects are no sums.
func TestBelongsToItsFormat(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"ab/not-found.txt", "wrk/latency.txt", "guidellm/benchmarks.json"} {
		results := read(t, filepath.Join(samples, file), nil)
		require.NotEmpty(t, results)
		for _, r := range results {
			require.Empty(t, figures.Check(r), file)
		}
	}
}

// What clients mean by a figure that would contradict others, were it meant as it says.
func TestHonestAllTheSame(t *testing.T) {
	t.Parallel()
	const serving = "trtllm/openai-infqps-concurrency8-DeepSeek-R1-0528-FP4-v2-20261121-181530.json"
	for name, tt := range map[string]struct {
		file string
		edit []string
	}{
		"not streamed": {serving, []string{`112.4041`, `-1000.0`, `104.9311`, `-1000.0`, `221.7666`, `-1000.0`, `"std_ttft_ms": 31.2`, `"std_ttft_ms": 0.0`}},
		"all there is": {serving, []string{`"num_prompts": 64`, `"num_prompts": -1`}},
		"all, by 0":    {serving, []string{`"num_prompts": 64`, `"num_prompts": 0`}},
		"mean of slots": {"ab/not-found.txt", []string{
			`Concurrency Level:      5`, `Concurrency Level:      500`, `0.153 [ms] (mean)`, `15.000 [ms] (mean)`, ` 100%      0`, ` 100%      9`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results := read(t, filepath.Join(samples, tt.file), strings.NewReplacer(tt.edit...))
			require.NotEmpty(t, results)
			for _, r := range results {
				require.Empty(t, figures.Check(r))
			}
		})
	}
}

// A span between two hosts' clocks may be a little less than nothing.
func TestSpanBetweenTwoClocks(t *testing.T) {
	t.Parallel()
	results, _ := bench.Reader{}.Read(strings.NewReader("Time Breakdown gen queue Min (ms): -0.4\n"), "a.log")
	require.Len(t, results, 1)
	require.Equal(t, -0.4, results[0].Samples[0].Value)
	require.Empty(t, figures.Check(results[0]))
}

// A second number of requests in the same document is none to hide a shortfall behind.
func TestShortfallIsNotHidden(t *testing.T) {
	t.Parallel()
	edit := strings.NewReplacer(`"num_prompts": 64`, `"num_prompts": 64, "total_requests": 60`)
	for _, r := range read(t, filepath.Join(samples, "trtllm/openai-infqps-concurrency8-DeepSeek-R1-0528-FP4-v2-20261121-181530.json"), edit) {
		require.EqualValues(t, 64, *r.Requested)
	}
}

// SGLang sends as many requests as the groups of this data set have, and prints its argument all the same.
func TestGroupsOfPromptsSayTheirNumberThemselves(t *testing.T) {
	t.Parallel()
	const file = "sglang/bench_serving.log"
	for data, asked := range map[string]bool{"random": true, "generated-shared-prefix": false} {
		log := "benchmark_args=Namespace(backend='sglang', dataset_name='" + data + "', num_prompts=1000)\n" +
			"============ Serving Benchmark Result ============\nSuccessful requests:                     1024\n" +
			"Benchmark duration (s):                  100.0\nRequest throughput (req/s):              10.24\n" +
			"Output token throughput (tok/s):         1000.0\n==================================================\n"
		results, _ := bench.Reader{}.Read(strings.NewReader(log), file)
		require.Len(t, results, 1)
		require.Equal(t, asked, len(figures.Check(results[0])) > 0, data)
	}
}
