package steps

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// stepByExpression is the rule of TensorRT-LLM's own test written down as
// regular expressions: what the parser must agree with.
func stepByExpression(line string) (row, bool) {
	if !strings.Contains(line, "prev_device_step_time") {
		return row{}, false
	}
	find := func(expr string, group int) (string, bool) {
		g := regexp.MustCompile(expr).FindStringSubmatch(line)
		if g == nil {
			return "", false
		}
		return g[group], true
	}
	whole := func(expr string, group int) int64 {
		s, ok := find(expr, group)
		n, err := strconv.ParseInt(s, 10, 64)
		if !ok || err != nil {
			return -1
		}
		return n
	}
	s := row{
		iter: whole(`iter\s*=\s*(\d+),`, 1), rank: whole(`global_rank\s*=\s*(\d+)`, 1), value: -1,
		scheduled: whole(`iter\s*=\s*(\d+),.*?num_scheduled_requests\s*[=:]\s*(\d+)`, 2),
		tokens:    whole(`'num_generation_tokens':\s*(\d+)`, 1),
	}
	if v, ok := find(`iter\s*=\s*(\d+),.*?prev_device_step_time\s*=\s*([\d.]+)\s*ms`, 2); ok {
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			s.value = f
		}
	}
	return s, true
}

func TestStepParserAgreesWithTheExpressions(t *testing.T) {
	t.Parallel()
	need.Long(t, "a processor of its own for seconds")
	rng := rand.New(rand.NewPCG(9, 9))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	for range 4_000 {
		eq := pick(" = ", " = ", " = ", "=", "  =  ", ": ")
		fields := []string{
			pick("", "", "global_rank"+eq+pick("0", "0", "13", "x")),
			pick("", "rank = 0"),
			pick("num_scheduled_requests = "+pick("0", "512"), "num_scheduled_requests = ?", "", "num_scheduled_requests: 7"),
			pick("", "kv_cache_util = 0.125", "max_iter = 9"),
			pick("", "host_step_time = 7.25ms"),
			"prev_device_step_time" + pick(" = ", " = ", "=", ": ") + pick("7.25ms", "7.326848030090332ms", "12.326848030090332ms", "N/A", "10 ms", "8ms", ".5ms", "6.94", "nanms", "-1.0ms", "1.2.3ms", "18446744073709551616.5ms"),
			"timestamp = 2026-11-21 18:00:00",
		}
		if rng.IntN(4) == 0 {
			rng.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		}
		states := "states = {'num_ctx_requests': 0, 'num_ctx_tokens': 0, 'num_generation_tokens': " + pick("4", "2048", "tensor(256)", "") + pick("}", ", 'cached_kv_tokens': 63821}", "")
		parts := []string{pick("", "0: ") + "[TRT-LLM] [I] [_torch][RANK 0] " + pick("iter = ", "iter = ", "iter=", "iteration = ", "") + strconv.Itoa(rng.IntN(300))}
		for _, f := range fields {
			if f != "" {
				parts = append(parts, f)
			}
		}
		line := strings.Join(append(parts, states), ", ")
		if rng.IntN(10) == 0 {
			line = line[:rng.IntN(len(line))]
		}
		want, ok := stepByExpression(line)
		got, gotOK := parse([]byte(line))
		require.Equal(t, ok, gotOK, line)
		if !ok {
			continue
		}
		if want.iter < 0 { // nothing else is looked at
			require.Negative(t, got.iter, line)
			continue
		}
		// Without an iteration before it, a value is no row either way.
		require.Equal(t, fmt.Sprint(want), fmt.Sprint(got), line)
	}
}
