package points_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/stretchr/testify/require"
)

// A client that measures a point several times warms up with the first: it is dropped,
// and the median of the others is the repetition's value. A point that was measured
// once stays.
func TestDiscardFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	line := func(concurrency, throughput, seconds string) string {
		return `{"backend": "vllm", "model_id": "m", "num_prompts": 10, "max_concurrency": ` + concurrency +
			`, "duration": ` + seconds + `, "completed": 10, "total_input_tokens": 100, "total_output_tokens": 200, "request_throughput": 1.5, "output_throughput": ` + throughput +
			`, "mean_ttft_ms": 10.5, "median_ttft_ms": 10.25}` + "\n"
	}
	text := line("8", "700.5", "9.5") + line("8", "1000.5", "8.5") + line("8", "1004.5", "8.25") + line("16", "1900.5", "4.5")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "all.jsonl"), []byte(text), 0o600))

	found, err := points.Reader{DiscardFirst: true}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Results, 2)
	throughput := map[int]float64{}
	for _, r := range found.Results {
		for _, s := range r.Samples {
			if s.Metric == "output_token_throughput" {
				throughput[r.Concurrency] = s.Value
			}
		}
	}
	require.Equal(t, map[int]float64{8: 1002.5, 16: 1900.5}, throughput)
	var said []string
	for _, w := range found.Warnings {
		said = append(said, w.Text)
	}
	require.Contains(t, strings.Join(said, "\n"), "con8: first of 3 repetitions discarded")

	found, err = points.Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Results, 4)
}

// An accuracy run is no repetition of another, and neither is a server's log.
func TestDiscardFirstKeepsEveryScore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, score := range []string{"0.95", "0.95", "0.20"} {
		text := `{"results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": ` + score + `}}, "versions": {"gsm8k": 3}, "n-shot": {"gsm8k": 5}}`
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("results_%d.json", i)), []byte(text), 0o600))
	}
	found, err := points.Reader{DiscardFirst: true}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Results, 3)
	require.InDelta(t, 20, found.Results[2].Accuracy[0].Value, 1e-9)
}

// TestRepetitionsAtARate: at a fixed rate and seed the arrivals set the duration, so that repetitions differ by a
// millisecond and have the same counts. They are several measurements all the same, and each has its own table.
func TestRepetitionsAtARate(t *testing.T) {
	t.Parallel()
	durations, ttft := []string{"9.8141", "9.8153", "9.8122"}, []string{"61.527", "48.113", "48.702"}
	rate := func(count float64, duration string) string {
		seconds, err := strconv.ParseFloat(duration, 64)
		require.NoError(t, err)
		return fmt.Sprint(count / seconds)
	}
	dir := t.TempDir()
	for i := range durations {
		text := `{"backend": "vllm", "model_id": "m", "num_prompts": 100, "request_rate": 10.0, "duration": ` + durations[i] +
			`, "completed": 100, "total_input_tokens": 1000, "total_output_tokens": 2000, "request_throughput": ` + rate(100, durations[i]) +
			`, "output_throughput": ` + rate(2000, durations[i]) + `, "median_ttft_ms": ` + ttft[i] + `}`
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("rep-%d.json", i)), []byte(text), 0o600))
	}
	found, err := points.Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Results, 3)

	found, err = points.Reader{DiscardFirst: true}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Results, 1)
	require.Empty(t, found.Results[0].Problems)
	v, _ := found.Results[0].Value("ttft_median_ms")
	require.InDelta(t, (48.113+48.702)/2, v, 1e-9)

	copied, err := os.ReadFile(filepath.Join(dir, "rep-1.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rep-1-copy.json"), copied, 0o600))
	found, err = points.Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Results, 3, "one file that lies there twice is one measurement")
}

// Every repetition that counts is held against the plan, not their median alone: what one of them lacks is lost in it.
// The warm-up may have failed.
func TestEachRepetitionThatCountsIsWhole(t *testing.T) {
	t.Parallel()
	times := strings.TrimSuffix(strings.Repeat("9.5, ", 8)+strings.Repeat("0.04, ", 92), ", ")
	usual := map[string]string{"completed": "100", "failed": "0", "total_output_tokens": "2000", "output_throughput": "200", "median_ttft_ms": "45.5"}
	for name, c := range map[string]struct {
		differs map[string]string
		want    string
	}{
		"requests failed":   {map[string]string{"completed": "40", "failed": "60"}, "con8, repetition %d: 60 requests failed"},
		"requests lost":     {map[string]string{"completed": "99"}, "con8, repetition %d: 99 of 100 requests succeeded"},
		"no token":          {map[string]string{"total_output_tokens": "0", "output_throughput": "0"}, "con8, repetition %d: no token was generated"},
		"a metric is zero":  {map[string]string{"median_ttft_ms": "0"}, "con8, repetition %d: ttft_median_ms is 0"},
		"a metric is gone":  {map[string]string{"median_ttft_ms": "null"}, "con8, repetition %d: ttft_median_ms is missing"},
		"it was cold":       {map[string]string{"ttfts": "[" + times + "]"}, "cold start: the fastest of the first 8 requests took 9.5 s"},
		"it is cut off":     {map[string]string{"failed": `"none"`}, `failed is "none", not a whole number`},
		"figures disagree":  {map[string]string{"output_throughput": "300"}, "output_token_throughput is 300"},
		"nothing is":        {nil, ""},
		"a number is none":  {map[string]string{"median_ttft_ms": "NaN"}, "con8, repetition %d: ttft_median_ms is missing"},
		"too little output": {map[string]string{"total_output_tokens": "99", "output_throughput": "9.9"}, "con8, repetition %d: 99 tokens for 100 requests: less than one each"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := range 4 {
				var text strings.Builder
				for i := range 4 {
					values := maps.Clone(usual)
					if i == at {
						maps.Copy(values, c.differs)
					}
					fmt.Fprintf(&text, `{"num_prompts": 100, "max_concurrency": 8, "duration": 10, "mean_itl_ms": %d.5`, i+1)
					for key, v := range values {
						fmt.Fprintf(&text, `, %q: %s`, key, v)
					}
					text.WriteString("}\n")
				}
				path := filepath.Join(t.TempDir(), "all.jsonl")
				require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
				found, err := points.Reader{DiscardFirst: true, ColdStart: points.ColdStartInvalid}.Gather(path)
				require.NoError(t, err)
				require.Len(t, found.Results, 1)
				want := rundir.Expected{Points: []rundir.Point{{Concurrency: 8, Requests: 100}}, Metrics: []string{"ttft_median_ms"}}
				var said []string
				for _, p := range points.Validate(found.Results, want) {
					require.Equal(t, at+1, p.Line, "where that repetition stands")
					said = append(said, p.Text)
				}
				if at == 0 || c.want == "" {
					require.Empty(t, said, "repetition %d", at+1)
					continue
				}
				require.Contains(t, strings.Join(said, "\n"), strings.ReplaceAll(c.want, "%d", fmt.Sprint(at+1)))
			}
		})
	}
}
