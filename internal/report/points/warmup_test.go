package points_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report/points"
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
