package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// iterLine is an iteration line as TensorRT-LLM's executor prints it.
func iterLine(iter, rank, scheduled int, step string, tokens string) string {
	return fmt.Sprintf("[11/21/2026-18:00:00] [TRT-LLM] [I] [_torch][RANK %d] iter = %d, global_rank = %d, rank = %d, "+
		"num_scheduled_requests = %d, kv_cache_util = 0.125, currank_total_requests = 0/%d, host_step_time = 7.4ms, "+
		"prev_device_step_time = %s, timestamp = 2026-11-21 18:00:00, "+
		"states = {'num_ctx_requests': 0, 'num_ctx_tokens': 0, 'num_generation_tokens': %s}\n",
		rank, iter, rank, rank, scheduled, scheduled, step, tokens)
}

func writeLog(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gen_server_0.log")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// rowsOf are the values that count as rows, whatever their bucket.
func rowsOf(t *testing.T, log string) []float64 {
	t.Helper()
	var rule stepRule
	_, err := scanSteps(strings.NewReader(log), false, rule.add)
	require.NoError(t, err)
	var out []float64
	for _, b := range rule.store.buckets {
		out = append(out, b.values...)
	}
	return out
}

func TestStepRowsThatCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		log  string
		want []float64
	}{
		"the successor of an idle iteration is dropped, the idle one itself is not": {
			iterLine(258, 0, 1, "7.32ms", "8") + iterLine(259, 0, 0, "7.39ms", "8") + iterLine(260, 0, 1, "1450.61ms", "8") + iterLine(261, 0, 1, "7.31ms", "8"),
			[]float64{7.32, 7.39, 7.31},
		},
		"an idle line that is not the predecessor drops nothing": {
			iterLine(100, 0, 0, "7.3ms", "8") + iterLine(200, 0, 1, "999.0ms", "8"),
			[]float64{7.3, 999},
		},
		"two idle iterations in a row": {
			iterLine(10, 0, 0, "7.0ms", "8") + iterLine(11, 0, 0, "90.0ms", "8") + iterLine(12, 0, 1, "91.0ms", "8") + iterLine(13, 0, 1, "7.2ms", "8"),
			[]float64{7, 7.2},
		},
		"an unparsable predecessor drops nothing": {
			"iter = ?, num_scheduled_requests = ?, prev_device_step_time = 1.0ms\n" + iterLine(201, 0, 1, "999.0ms", "8"),
			[]float64{999},
		},
		"an unparsable line between breaks the adjacency": {
			iterLine(8, 0, 0, "7.0ms", "8") + strings.Replace(iterLine(9, 0, 1, "7.1ms", "8"), "num_scheduled_requests = 1", "num_scheduled_requests = ?", 1) + iterLine(10, 0, 1, "7.2ms", "8"),
			[]float64{7, 7.2},
		},
		"ranks are each other's strangers": {
			iterLine(258, 0, 1, "7.32ms", "8") + iterLine(259, 0, 0, "7.39ms", "8") + iterLine(259, 1, 4, "7.4ms", "8") + iterLine(260, 0, 1, "1450.61ms", "8"),
			[]float64{7.32, 7.39, 7.4},
		},
		"another rank's idle iteration costs nothing": {
			iterLine(259, 1, 0, "7.39ms", "8") + iterLine(260, 0, 1, "7.31ms", "8"),
			[]float64{7.39, 7.31},
		},
		"iterations below 5 do not count": {
			iterLine(3, 0, 1, "3.0ms", "8") + iterLine(4, 0, 1, "4.0ms", "8") + iterLine(5, 0, 1, "5.0ms", "8") + iterLine(6, 0, 1, "6.0ms", "8"),
			[]float64{5, 6},
		},
		"an idle iteration 4 drops 5": {
			iterLine(4, 0, 0, "4.0ms", "8") + iterLine(5, 0, 1, "5.0ms", "8") + iterLine(6, 0, 1, "6.0ms", "8"),
			[]float64{6},
		},
		"N/A does not count but is a predecessor": {
			iterLine(5, 0, 0, "N/A", "8") + iterLine(6, 0, 1, "800.0ms", "8") + iterLine(7, 0, 1, "7.0ms", "8"),
			[]float64{7},
		},
		"exponents, and what is no number": {
			iterLine(5, 0, 1, "1.5e+01ms", "8") + iterLine(6, 0, 1, "nanms", "8") + iterLine(7, 0, 1, "infms", "8") + iterLine(8, 0, 1, "-1.0ms", "8") + iterLine(9, 0, 1, "1.2.3ms", "8") + iterLine(10, 0, 1, "7.0", "8"),
			[]float64{15},
		},
		"the colon spelling and the field order of older versions": {
			"[TRT-LLM] [I] iter = 8, global_rank = 0, rank = 0, currank_total_requests = 0/1, host_step_time = 9.0ms, prev_device_step_time = 8.5ms, timestamp = 2026-05-20 23:24:41, num_scheduled_requests: 0, states = {'num_generation_tokens': 4}\n" +
				"[TRT-LLM] [I] iter = 9, global_rank = 0, rank = 0, currank_total_requests = 0/1, host_step_time = 9.0ms, prev_device_step_time = 800.5ms, timestamp = 2026-05-20 23:24:41, num_scheduled_requests: 1, states = {'num_generation_tokens': 4}\n",
			[]float64{8.5},
		},
		"invalid UTF-8, progress bars, CRLF and a missing last newline": {
			"loading \xe2\x96\n" + "Loading: 10%\rLoading: 99%\r" + strings.ReplaceAll(iterLine(7, 0, 1, "7.0ms", "8"), "\n", "\r\n") + strings.TrimSuffix(iterLine(8, 0, 1, "8.0ms", "8"), "\n"),
			[]float64{7, 8},
		},
		"a restarted counter": {
			iterLine(50, 0, 0, "7.0ms", "8") + iterLine(1, 0, 1, "1.0ms", "8") + iterLine(5, 0, 1, "7.5ms", "8"),
			[]float64{7, 7.5},
		},
		"empty": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ElementsMatch(t, c.want, rowsOf(t, c.log))
			// The reader that only knows the stream follows the same rule.
			var line textReader
			l := newLines(bufio64(c.log))
			for l.next() {
				line.line(l.text, l.number)
			}
			var got []float64
			for _, b := range line.steps.store.buckets {
				got = append(got, b.values...)
			}
			require.ElementsMatch(t, c.want, got)
		})
	}
}

func TestStepBuckets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		log    string
		tokens int64
		mean   float64
	}{
		"only the most frequent bucket": {iterLine(5, 0, 1, "7.0ms", "256") + iterLine(6, 0, 1, "9.0ms", "256") + iterLine(7, 0, 1, "1.0ms", "8") + iterLine(8, 0, 1, "1.0ms", "4"), 256, 8},
		"the larger of two":             {iterLine(5, 0, 1, "7.0ms", "256") + iterLine(6, 0, 1, "1.0ms", "8"), 256, 7},
		"no token count: all rows":      {iterLine(5, 0, 1, "6.0ms", "tensor(256)") + iterLine(6, 0, 1, "8.0ms", "tensor(256)"), -1, 7},
		"one token count beats many unparsable rows": {
			iterLine(5, 0, 1, "60.0ms", "?") + iterLine(6, 0, 1, "80.0ms", "?") + iterLine(7, 0, 1, "7.0ms", "16"), 16, 7,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps, err := DeviceSteps([]Worker{{File: writeLog(t, c.log)}})
			require.NoError(t, err)
			require.Equal(t, c.tokens, steps.Workers[0].Tokens)
			require.InDelta(t, c.mean, steps.Mean, 1e-12)
		})
	}
}

func TestStepStatistics(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i, v := range []string{"1.0", "2.0", "3.0", "4.0", "100.0"} {
		log.WriteString(iterLine(5+i, 0, 1, v+"ms", "256"))
	}
	steps, err := DeviceSteps([]Worker{{File: writeLog(t, log.String())}})
	require.NoError(t, err)
	// numpy: mean 22, median 3, std(ddof=1) 43.617656975128774, percentile 75 and 99.
	require.InDelta(t, 22, steps.Mean, 1e-12)
	require.InDelta(t, 3, steps.Median, 1e-12)
	require.InDelta(t, 43.617656975128774, steps.Std, 1e-12)
	require.InDelta(t, 4, steps.P75, 1e-12)
	require.InDelta(t, 96.16, steps.P99, 1e-12)

	one, err := DeviceSteps([]Worker{{File: writeLog(t, iterLine(5, 0, 1, "7.3ms", "4"))}})
	require.NoError(t, err)
	require.Zero(t, one.Std)
	require.InDelta(t, 7.3, one.P99, 0)
}

func TestStepsAreAveragedOverWorkersUnweighted(t *testing.T) {
	t.Parallel()
	a := writeLog(t, iterLine(5, 0, 1, "6.0ms", "256"))
	b := writeLog(t, strings.Repeat(iterLine(5, 0, 1, "8.0ms", "256"), 3))
	idle := writeLog(t, "nothing here\n")
	steps, err := DeviceSteps([]Worker{{File: a}, {File: b}, {File: idle}})
	require.NoError(t, err)
	require.InDelta(t, 7, steps.Mean, 0)
	require.InDelta(t, 7, steps.Median, 0)
	require.Len(t, steps.Workers, 2)
	require.Len(t, steps.Problems, 1, "a worker without rows is not passed over in silence")

	_, err = DeviceSteps([]Worker{{File: idle}})
	require.ErrorIs(t, err, ErrNoSteps)
	_, err = DeviceSteps([]Worker{{File: filepath.Join(t.TempDir(), "gen_server_9.log")}})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStepWindows(t *testing.T) {
	t.Parallel()
	var first, second strings.Builder
	for i := range 10 {
		first.WriteString(iterLine(5+i, 0, 1, "7.0ms", "256"))
		second.WriteString(iterLine(5+i, 0, 1, "70.0ms", "256"))
	}
	path := writeLog(t, first.String()+second.String())
	split := int64(first.Len())
	mean := func(w Worker) (float64, int64) {
		w.File = path
		steps, err := DeviceSteps([]Worker{w})
		require.NoError(t, err)
		return steps.Mean, steps.Workers[0].Rows
	}
	for _, c := range []struct {
		window Worker
		mean   float64
		rows   int64
	}{
		{Worker{To: split}, 7, 10},
		{Worker{From: split}, 70, 10},
		{Worker{}, 38.5, 20},
		{Worker{To: 1e9}, 38.5, 20},
		{Worker{To: split - 20}, 7, 9}, // the line across the end is left out
	} {
		m, rows := mean(c.window)
		require.InDelta(t, c.mean, m, 1e-12, c.window)
		require.Equal(t, c.rows, rows, c.window)
	}
}

// The chunks end in the middle of lines and some lines are longer than a chunk;
// what counts must not depend on it.
func TestStepsAcrossChunks(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var log strings.Builder
	var want []float64
	idle := false
	for i := range 12_000 {
		switch rng.IntN(20) {
		case 0:
			log.WriteString("[TRT-LLM] [I] something else " + strings.Repeat("x", rng.IntN(300)) + "\n")
		case 1:
			if i%500 == 1 {
				log.WriteString(strings.Repeat("y", chunkSize+rng.IntN(chunkSize)) + "\n")
			}
		}
		scheduled := min(rng.IntN(9), 1)
		v := math.Round(rng.Float64()*1e4) / 1e3
		log.WriteString(iterLine(5+i, 0, scheduled, fmt.Sprintf("%vms", v), "64"))
		if !idle {
			want = append(want, v)
		}
		idle = scheduled == 0
	}
	require.Greater(t, log.Len(), 3*chunkSize)
	require.Equal(t, want, rowsOf(t, log.String()))
}

// Beyond maxExact rows the percentiles come from histograms.
func TestFoldedStatistics(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	var exact stepBucket
	var store stepStore
	for range maxExact + maxExact/4 {
		v := 7 * math.Exp(0.05*rng.NormFloat64())
		exact.values = append(exact.values, v)
		require.NoError(t, store.add(64, v))
	}
	require.Positive(t, store.pages, "the store must have gone over to a histogram")
	tokens, b := store.mode()
	require.EqualValues(t, 64, tokens)
	got := b.stats()
	rank := exact.ranked()
	for q, value := range map[float64]float64{0.5: got.Median, 0.75: got.P75, 0.99: got.P99} {
		want := interpolate(rank, int64(len(exact.values)), q)
		require.InDelta(t, want, value, want*1e-4)
	}
	require.InDelta(t, 7*math.Exp(0.05*0.05/2), got.Mean, 0.01)
}

// Only the bucket that is too large loses its exact values.
func TestSmallBucketsStayExact(t *testing.T) {
	t.Parallel()
	var store stepStore
	for i := range maxExact + 100 {
		require.NoError(t, store.add(64, 7+float64(i%1000)/1e4))
		if i%1000 == 0 {
			require.NoError(t, store.add(8, float64(i)))
		}
	}
	require.NotNil(t, store.buckets[64].pages)
	require.Nil(t, store.buckets[8].pages)
	require.Len(t, store.buckets[8].values, int(store.buckets[8].n))
}

func TestStepStoreIsBounded(t *testing.T) {
	t.Parallel()
	var store stepStore
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 2*maxExact)
		err = store.add(64, math.Pow(1.0001, float64(i)))
	}
	require.ErrorContains(t, err, "too many different sizes")
	store, err = stepStore{}, nil
	for i := int64(0); err == nil; i++ {
		require.Less(t, i, int64(maxBuckets+1))
		err = store.add(i, 1)
	}
	require.ErrorContains(t, err, "num_generation_tokens")
}
