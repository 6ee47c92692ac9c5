package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A value that is no number makes a run no measurement where its metric gates, by whatever: the mode of the case, the
// settings, a pin. Where it does not gate, nobody asks.
func TestNoNumberWhereAMetricGates(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, c := range map[string]struct {
		label, mode string
		policy      map[string]verdict.MetricPolicy
		says        string // "" = it is judged
	}{
		"by the mode of every case":   {label: "Median TTFT (ms):", says: "ttft_median_ms is NaN"},
		"not by the mode":             {label: "Median ITL (ms):"},
		"by the settings":             {label: "Median ITL (ms):", policy: map[string]verdict.MetricPolicy{"itl_median_ms": {Gate: &yes}}, says: "itl_median_ms is NaN"},
		"not by the settings":         {label: "Median TTFT (ms):", policy: map[string]verdict.MetricPolicy{"ttft_median_ms": {Gate: &no}}},
		"by the mode of another case": {label: "Request throughput (req/s):", mode: rundir.ModeCustom, says: "request_throughput is NaN"},
		"not by the mode of this one": {label: "Request throughput (req/s):"},
		"not by the mode ctx_only":    {label: "Median TPOT (ms):", mode: "ctx_only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := builder(t, 0)
			o.Setup.Policy.Metrics, o.Setup.Policy.AllowCollecting, o.Policy.Exit.AllowCollecting = c.policy, true, true
			dir := runDir(t, func(p *rundir.Plan) {
				if c.mode != "" {
					p.Case.Mode = c.mode
				}
			}, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
			log := filepath.Join(dir.CaseDir("tiny").Attempt(0, 1).Run(0).Output(), "trtllm-benchmark.0.0.log")
			data, err := os.ReadFile(log)
			require.NoError(t, err)
			lines := strings.Split(string(data), "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, c.label) {
					lines[i] = c.label + " nan"
				}
			}
			writeText(t, log, strings.Join(lines, "\n"))
			b := build(t, o, dir, 0)
			if c.says == "" {
				require.Equal(t, exit.Passed, b.Document.ExitCode, "%v", b.Document.Cases[0].Problems)
				return
			}
			require.Equal(t, exit.NoVerdict, b.Document.ExitCode)
			requireInvalid(t, dir, b, c.says)
		})
	}
}

// So it is of what was measured outside of a run. Of repetitions that became their median, a zero in any counts, too:
// half of 1000 is no speed of any.
func TestNoNumberOutsideOfARun(t *testing.T) {
	t.Parallel()
	pins, err := judging.ParsePins("baselines.yaml", []byte("schema: 1\ncases:\n  c:\n    itl_median_ms: {gate: true}\n"), metric.Default())
	require.NoError(t, err)
	setup := judging.Setup{Metrics: metric.Default(), Pins: pins}
	line := func(i int, ttft, itl string) string {
		return fmt.Sprintf(`{"num_prompts": 10, "max_concurrency": 8, "duration": 10, "completed": 10, "output_throughput": 20, "total_output_tokens": 200,
"mean_e2el_ms": %d.5, "median_ttft_ms": %s, "median_itl_ms": %s}`, i, ttft, itl)
	}
	for name, c := range map[string]struct {
		caseID string
		docs   []string
		want   []string
	}{
		"by a pin":                 {"c", []string{line(1, "5.5", "NaN")}, []string{":2: itl_median_ms is NaN"}},
		"no pin":                   {"d", []string{line(1, "5.5", "NaN")}, nil},
		"in a table beside it":     {"c", []string{line(1, "5.5", "1.5")}, []string{"log:5: itl_median_ms is NaN"}},
		"zero, the warm-up":        {"d", []string{line(1, "0", "1.5"), line(2, "5.5", "1.5"), line(3, "6.5", "1.5")}, nil},
		"zero, the last":           {"d", []string{line(1, "5.5", "1.5"), line(2, "5.5", "1.5"), line(3, "0", "1.5")}, []string{":6: ttft_median_ms is 0"}},
		"zero that gates nothing":  {"d", []string{line(1, "5.5", "1.5"), line(2, "5.5", "1.5"), line(3, "6.5", "0")}, nil},
		"not a number, the last":   {"d", []string{line(1, "5.5", "1.5"), line(2, "5.5", "1.5"), line(3, "NaN", "1.5")}, []string{":6: ttft_median_ms is NaN"}},
		"absent, the last":         {"d", []string{line(1, "5.5", "1.5"), line(2, "5.5", "1.5"), line(3, "null", "1.5")}, []string{":5: ttft_median_ms is missing"}},
		"absent, the warm-up":      {"d", []string{line(1, "null", "1.5"), line(2, "5.5", "1.5"), line(3, "6.5", "1.5")}, nil},
		"absent, of nothing":       {"d", []string{line(1, "5.5", "1.5"), line(2, "5.5", "1.5"), line(3, "5.5", "null")}, nil},
		"not a number, in all":     {"c", []string{line(1, "5.5", "NaN"), line(2, "5.5", "NaN"), line(3, "5.5", "NaN")}, []string{":4: itl_median_ms is NaN", ":6: itl_median_ms is NaN"}},
		"not a number, of nothing": {"d", []string{line(1, "NaN", "NaN"), line(2, "5.5", "NaN"), line(3, "6.5", "1.5")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeText(t, filepath.Join(dir, "all.jsonl"), strings.Join(c.docs, "\n")+"\n")
			if strings.HasPrefix(name, "in a table") {
				writeText(t, filepath.Join(dir, "client.log"), "====== Serving Benchmark Result ======\nSuccessful requests: 10\nBenchmark duration (s): 10.00\n"+
					"Total generated tokens: 200\nMedian ITL (ms): nan\n======================================\n")
			}
			rec := baseline.Record{Case: c.caseID}
			_, err := ReadOutside(&rec, setup, points.Reader{DiscardFirst: true, Reader: bench.Reader{Metrics: setup.Metrics}}, rundir.Expected{}, [][]string{{dir}})
			require.NoError(t, err)
			require.Len(t, rec.Problems, len(c.want), "%v", rec.Problems)
			for i, want := range c.want {
				require.Contains(t, rec.Problems[i], want)
			}
			require.Equal(t, c.want == nil, rec.Valid)
		})
	}
}
