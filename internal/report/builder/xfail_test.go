package builder

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/export"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What a client measured that failed as expected is no history, in a configured pipeline and in TensorRT-LLM's: neither
// in the store nor in an export. A test that passed when it was repeated has measured.
func TestExpectedFailureIsNotStored(t *testing.T) {
	t.Parallel()
	const xfail, twice = `<skipped type="pytest.xfail" message="bug 7"/>`, `<flakyFailure message="boom">x</flakyFailure>`
	for name, tt := range map[string]struct {
		pipeline string
		client   string
		tput     float64
		flaky    fold.Policy
		server   string
		result   string
		stored   int
	}{
		"passed":                           {"own", "", 1000, fold.Pass, "", report.ResultPassed, 1},
		"failed as expected":               {"own", xfail, 1000, fold.Pass, "", report.ResultSkipped, 0},
		"failed as expected, and slower":   {"own", xfail, 500, fold.Pass, "", report.ResultRegression, 0},
		"while another was repeated":       {"own", xfail, 1000, fold.Skip, twice, report.ResultSkipped, 0},
		"TensorRT-LLM's":                   {"", xfail, 1000, fold.Pass, "", report.ResultSkipped, 0},
		"TensorRT-LLM's, and slower":       {"", xfail, 500, fold.Pass, "", report.ResultRegression, 0},
		"passed when repeated":             {"own", twice, 1000, fold.Pass, "", report.ResultPassed, 1},
		"passed when repeated, is skipped": {"own", twice, 1000, fold.Skip, "", report.ResultSkipped, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pipeline := func(p *rundir.Plan) {
				if tt.pipeline != "" {
					p.Case.Pipeline, p.Case.Mode, p.Expected = tt.pipeline, rundir.ModeCustom, rundir.Expected{NodeIDs: p.Expected.NodeIDs}
					p.Builds[0].Roles[1].Bench = []rundir.BenchFiles{{Files: []string{"speed.log"}}}
				}
			}
			o := builder(t, 0)
			night := func(n int, tput float64, client, server string) built {
				dir := runDir(t, pipeline, attemptSpec{outcome: rundir.OutcomePassed, tput: tput})
				edit(t, dir, func(r *rundir.Run) { r.ID = fmt.Sprint("night", n) })
				run := dir.CaseDir("tiny").Attempt(0, 1).Run(0)
				if tt.pipeline != "" {
					writeText(t, filepath.Join(run.RoleOut("BENCHMARK"), "speed.log"), table(tput))
				}
				writeText(t, run.RoleDir("BENCHMARK")+"/results.0.xml", xmlReport(client))
				writeText(t, run.RoleDir("GEN_0")+"/results.0.xml", xmlReport(server))
				return build(t, o, dir, 0)
			}
			for n := range 10 {
				rec := night(n, 1000+float64(n%3)+0.01*float64(n), "", "").Records[0]
				rec.Time = start.AddDate(0, 0, n-10)
				_, err := o.Setup.Store.Save(t.Context(), rec.Normal())
				require.NoError(t, err)
			}
			o.Flaky = tt.flaky
			b := night(10, tt.tput+0.123, tt.client, tt.server)
			c := b.Document.Cases[0]
			require.Equal(t, tt.result, c.Result, "%s %v", c.Message, c.Problems)
			require.Len(t, b.Records, tt.stored)
			require.Contains(t, exported(t, export.FormatBulk, b), fmt.Sprintf(`"b_is_valid":%t`, tt.stored == 1))
		})
	}
}
