package builder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// TestASessionHoldsPromises: a pinned value that head breaks is red, also where base has broken it before. The table is
// of a session whose builds have about 1000 tok/s and 8 ms to the first token.
func TestASessionHoldsPromises(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pins    string
		ratio   float64
		runs    []runSpec // in place of ratio
		mode    string
		perfOff bool
		exit    int
		message string
		fault   string
	}{
		"kept":                        {pins: "con8/ttft_median_ms: {value: 8, tolerance: 5%}", ratio: 1, message: "no change that matters"},
		"kept by far":                 {pins: "ttft_median_ms: 20", ratio: 1, message: "no change that matters"},
		"broken":                      {pins: "ttft_median_ms: {value: 6.6, tolerance: 5%}", ratio: 1, exit: exit.Regression, message: "worse than the pinned 6.6 ms (baselines.yaml:4:5); up to 5.0 % worse is allowed; by the median of 4 runs of B. In pairs: ", fault: "B breaks a pinned value; A breaks it, too."},
		"broken, by head":             {pins: "ttft_median_ms: {value: 8, tolerance: 5%}", ratio: 0.9, exit: exit.Regression, message: "4 pairs", fault: "B is slower than A on the same machines: the change under test is the cause."},
		"a pin of another":            {pins: "ttft_median_ms: [{match: {gpu_type: none}, value: 1}]", ratio: 1, message: "no change that matters"},
		"for want of a past":          {pins: "ttft_median_ms: {value: 1, rule: bws}", ratio: 1, message: "no change that matters"},
		"it is only shown":            {pins: "ttft_median_ms: {value: 1, gate: false}", ratio: 1, message: "no change that matters"},
		"nobody judges":               {pins: "ttft_median_ms: 1", ratio: 1, perfOff: true, message: "no change that matters"},
		"upstream":                    {pins: "ttft_median_ms: {value: 6.6, rule: upstream}", ratio: 1, exit: exit.Regression, message: "the baseline 6.6 ms pinned at baselines.yaml:4", fault: "B breaks a pinned value; A breaks it, too."},
		"upstream's mercy":            {pins: "ttft_median_ms: {value: 6.6, rule: upstream}", ratio: 1, mode: "pr", message: "no change that matters"},
		"upstream, by head":           {pins: "ttft_median_ms: {value: 7.9, rule: upstream}", ratio: 0.85, mode: "pr", exit: exit.Regression, message: "4 pairs"},
		"not measured":                {pins: "gen_device_step_time_mean_ms: {value: 5, gate: true}", ratio: 1, exit: exit.NoVerdict, message: "not measured by this run, but pinned at baselines.yaml:4", fault: "The test passed; what it measured is not a valid measurement."},
		"broken by little":            {pins: "ttft_median_ms: {value: 7.65, tolerance: 5%}", ratio: 0.992, exit: exit.Regression, message: ". In pairs: ", fault: "B breaks a pinned value; A still keeps it."},
		"B crashes twice, pin broken": {pins: "ttft_median_ms: {value: 6.6, tolerance: 5%}", runs: crash(measuredPairs(1, 6), 4, 9), exit: exit.TestFailed, message: "B fails by itself: B failed in 2 of its 6 runs, and A in none", fault: "B fails by itself: B failed in 2 of its 6 runs, and A in none. "},
		"a run that is thrown out":    {pins: "ttft_median_ms: {value: 8.5, tolerance: 5%, gate: true}", runs: zero(measuredPairs(1, 5), 4), message: "no change that matters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := tt.runs
			if runs == nil {
				runs = measuredPairs(tt.ratio, 4)
			}
			dir, _ := sessionDir(t, rundir.OutcomePassed, runs...)
			edit(t, dir, func(r *rundir.Run) { r.Build.Mode = tt.mode })
			o := builder(t, 0)
			var plan rundir.Plan
			require.NoError(t, rundir.ReadJSON(dir.CaseDir("tiny").PlanFile(), &plan))
			pins, err := judging.ParsePins("baselines.yaml", []byte("schema: 1\ncases:\n  \""+plan.Case.ID+"\":\n    "+tt.pins+"\n"), metric.Default())
			require.NoError(t, err)
			o.Setup.Pins, o.PerfOff = pins, tt.perfOff
			b := build(t, o, dir, 0)
			c := b.Document.Cases[0]
			require.Equal(t, tt.exit, b.Document.ExitCode, c.Message)
			require.Contains(t, c.Message, tt.message)
			require.Contains(t, c.Fault, tt.fault)
			xml, err := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportJUnit))
			require.NoError(t, err)
			require.Equal(t, tt.exit == exit.Regression || tt.exit == exit.TestFailed, c.Colour == report.Red)
			if c.Colour == report.Red {
				require.Contains(t, string(xml), "<failure")
			} else {
				require.NotContains(t, string(xml), "<failure")
			}
			for _, row := range c.Metrics {
				if row.Verdict == verdict.Regression {
					require.NotNil(t, row.OlderToo)
					require.Equal(t, !*row.OlderToo, row.Alarm, "what base breaks, too, is not new")
				}
			}
			if name == "kept by far" {
				require.Equal(t, verdict.Pass, c.Verdict, "a loose promise is no improvement")
			}
		})
	}
}
