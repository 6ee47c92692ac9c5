package steps

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
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

// scan reads a log.
func scan(log string) *Scanner {
	var s Scanner
	for i, line := range strings.Split(log, "\n") {
		s.Line([]byte(line), i+1)
	}
	return &s
}

// rowsOf are the values that count as rows, whatever their token count.
func rowsOf(log string) []float64 {
	var out []float64
	for _, values := range scan(log).byTokens {
		out = append(out, values...)
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
		"invalid UTF-8, CRLF and a missing last newline": {
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
			require.ElementsMatch(t, c.want, rowsOf(c.log))
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
			log, err := scan(c.log).Log()
			require.NoError(t, err)
			require.Equal(t, c.tokens, log.Tokens)
			require.InDelta(t, c.mean, log.Mean, 1e-12)
		})
	}
}

func TestStepStatistics(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i, v := range []string{"1.0", "2.0", "3.0", "4.0", "100.0"} {
		log.WriteString(iterLine(5+i, 0, 1, v+"ms", "256"))
	}
	steps, err := scan(log.String()).Log()
	require.NoError(t, err)
	// numpy: mean 22, median 3, std(ddof=1) 43.617656975128774, percentile 75 and 99.
	require.InDelta(t, 22, steps.Mean, 1e-12)
	require.InDelta(t, 3, steps.Median, 1e-12)
	require.InDelta(t, 43.617656975128774, steps.Std, 1e-12)
	require.InDelta(t, 4, steps.P75, 1e-12)
	require.InDelta(t, 96.16, steps.P99, 1e-12)

	one, err := scan(iterLine(5, 0, 1, "7.3ms", "4")).Log()
	require.NoError(t, err)
	require.Zero(t, one.Std)
	require.InDelta(t, 7.3, one.P99, 0)
}

func TestSilentLog(t *testing.T) {
	t.Parallel()
	silent := scan("nothing here\n")
	none, err := silent.Log()
	require.NoError(t, err)
	require.Equal(t, Log{Tokens: -1}, none)
}

// A broken log cannot make us remember without end.
func TestScannerIsBounded(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]func(i int) string{
		"ranks":        func(i int) string { return iterLine(7, i, 1, "7.0ms", "8") },
		"token counts": func(i int) string { return iterLine(7, 0, 1, "7.0ms", strconv.Itoa(i)) },
	} {
		var s Scanner
		for i := range maxKinds + 2 {
			s.Line([]byte(line(i)), i+1)
		}
		_, err := s.Log()
		require.ErrorContains(t, err, "in one log", name)
	}
	s := Scanner{log: Log{Rows: maxRows - 1}}
	s.Line([]byte(iterLine(7, 0, 1, "7.0ms", "8")), 1)
	_, err := s.Log()
	require.NoError(t, err)
	s.Line([]byte(iterLine(8, 0, 1, "7.0ms", "8")), 2)
	_, err = s.Log()
	require.ErrorContains(t, err, "more than 16777216 iterations")
}

// FuzzScanner holds the scanner against the rule as regular expressions.
func FuzzScanner(f *testing.F) {
	f.Add([]byte(iterLine(7, 0, 0, "7.5ms", "4") + iterLine(8, 0, 1, "900.25ms", "4") + iterLine(9, 1, 1, "N/A", "4")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Scanner
		for i, line := range bytes.Split(data, []byte{'\n'}) {
			got, ok := parse(line)
			require.Equal(t, ok, s.Line(line, i+1))
			require.Equal(t, bytes.Contains(line, []byte(wordStep)), ok)
			if ok {
				require.GreaterOrEqual(t, got.value, -1.0)
			}
		}
		log, err := s.Log()
		require.NoError(t, err)
		require.LessOrEqual(t, log.Used, log.Rows)
		if log.Used > 0 {
			require.False(t, math.IsNaN(log.Median) || math.IsNaN(log.Mean) || math.IsNaN(log.Std), "%+v", log)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	line := []byte(strings.TrimSpace(iterLine(7, 0, 512, "7.326848030090332ms", "2048")))
	b.SetBytes(int64(len(line)))
	var s Scanner
	for b.Loop() {
		s.Line(line, 1)
	}
}
