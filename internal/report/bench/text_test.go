package bench

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const trtTable = `Namespace(backend='openai', base_url=None, host='node1', port=8333, dataset_name='random', model='/m', num_prompts=64, max_concurrency=8, random_input_len=1024, random_output_len=512, metric_percentiles='99')
Skipping initial test run. Starting main benchmark run...
Traffic request rate: inf
Burstiness factor: 1.0 (Poisson process)
Maximum request concurrency: 8
Benchmarking:   0%|          | 0/64 [00:00<?, ?it/s]` + "\rBenchmarking: 100%|██████████| 64/64 [00:12<00:00,  5.12it/s]" + `
============ Serving Benchmark Result ============
Total requests:                          64        
Successful requests:                     64        
Failed requests:                         0         
Benchmark duration (s):                  12.50     
Total input tokens:                      65536     
Total generated tokens:                  32768     
Request throughput (req/s):              5.12      
Output token throughput (tok/s):         2621.44   
Total Token throughput (tok/s):          7864.32   
User throughput (tok/s):                 351.20    
---------------Time to First Token----------------
Mean TTFT (ms):                          45.10     
Median TTFT (ms):                        44.00     
P99 TTFT (ms):                           91.02     
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          2.91      
Median TPOT (ms):                        2.90      
P99 TPOT (ms):                           3.33      
==================================================
Average Per Iter Device Step Time (ms): 7.25
`

func TestTextFirst(t *testing.T) {
	t.Parallel()
	got, err := Reader{}.Read(strings.NewReader(trtTable), "x.log")
	require.NoError(t, err)
	require.Len(t, got, 1)
	r := got[0]
	require.Equal(t, FormatServingText, r.Format)
	require.Equal(t, 8, r.Concurrency)
	require.EqualValues(t, 64, *r.Requested)
	require.Len(t, r.Samples, 11)
	require.Empty(t, r.Problems)
	v, ok := r.Value("tpot_median_ms")
	require.True(t, ok)
	require.InDelta(t, 2.9, v, 0)
}

// What a client prints before its table is read wherever it stands in a line; what the test appends, of one task alone.
func TestTextAroundATable(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(trtTable, "=====")
	table, _, _ = strings.Cut(table, "Average Per Iter")
	got, err := Reader{}.Read(strings.NewReader("INFO:bench:Maximum request concurrency: 16\n3: Traffic request rate: 2.5\n====="+table+
		"[rank 0] Mean Per Iter Device Step Time (ms): 7.5\n[rank 1] Mean Per Iter Device Step Time (ms): 7.6\n1: User throughput (tok/s): 31\n"), "x.log")
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Empty(t, got[0].Problems)
	require.Equal(t, 16, got[0].Concurrency)
	require.InDelta(t, 2.5, got[0].Rate, 0)
	v, _ := got[0].Value("user_throughput")
	require.InDelta(t, 351.2, v, 0)
	_, ok := got[0].Value("device_step_mean_ms")
	require.False(t, ok)
}

func TestJSONFirst(t *testing.T) {
	t.Parallel()
	got, err := Reader{}.Read(strings.NewReader(`{"date": "20261121-101010", "backend": "openai", "num_prompts": 64, "duration": 12.5, "completed": 64,
 "total_input_tokens": 65536, "total_output_tokens": 32768, "request_throughput": 5.12, "request_goodput:": 3.5, "output_throughput": 2621.44,
 "user_throughput": 351.2, "avg_decoded_tokens_per_iter": {"mean": 1.8, "percentiles": {"p99.0": 2.5}}, "p99.9_ttft_ms": NaN, "median_tpot_ms": 2.9e0, "max_concurrency": 8, "itls": [[0.1, 0.2]]}`), "x.json")
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, FormatServingJSON, got[0].Format)
	v, ok := got[0].Value("avg_decoded_tokens_per_iter_p99")
	require.True(t, ok)
	require.InDelta(t, 2.5, v, 0)
	v, ok = got[0].Value("request_goodput")
	require.True(t, ok)
	require.InDelta(t, 3.5, v, 0)
	_, ok = got[0].Value("ttft_p99.9_ms")
	require.False(t, ok, "no number")
}
