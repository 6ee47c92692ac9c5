package agent

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What ends a job reaches its steps and its agent in any order: however a role ends then, it is not to blame. One that
// had failed long before is.
func TestRolesEndWithTheirJob(t *testing.T) {
	t.Parallel()
	ends := []step.End{
		{Exit: 213, Err: "srun ended with 213: Slurm could not run the step"},
		{Exit: 213},
		{Exit: 143, Signal: 15},
		{Exit: 137, Signal: 9},
		{Exit: 130, Signal: 2},
		{Exit: 141, Signal: 13},
		{Exit: 1},
		{},
	}
	for _, end := range ends {
		for _, word := range []string{"", "CANCELLED", "COMPLETING", "RUNNING", "PREEMPTED", "TIMEOUT"} {
			for _, before := range []float64{0.06, 1.5, 10} {
				t.Run(fmt.Sprintf("%d %s, %s, %v s before", end.Exit, end.Err, word, before), func(t *testing.T) {
					t.Parallel()
					p := &player{t: t, s: testState(func(s *state) { s.askJob = true })}
					p.play(serving)
					at := func(s float64, e event) { e.at = sec(s); p.s, _ = next(p.s, e) }
					at(30-before, event{kind: evEnded, role: gen, end: end})
					at(30, event{kind: evSignal, text: "SIGTERM"})
					for _, r := range []int{ctx, router, client} {
						at(30.2, event{kind: evEnded, role: r, end: step.End{Exit: 143, Signal: 15}})
					}
					at(33, event{kind: evTick})
					at(33.1, event{kind: evJob, job: blame.Job{State: word}})
					f, _, _ := conclude(p.s, p.s.evidence())
					if before > 5 && (end.Signal != 15 && end.Signal != 9 || word == "" || word == "RUNNING") {
						require.Equal(t, "GEN_0", f.Root, f.Message)
						return
					}
					if before > 5 {
						return
					}
					require.Empty(t, f.Root, f.Message)
					failed := []string{"CTX_0", "DISAGG_SERVER", "BENCHMARK"}
					if end != (step.End{}) {
						failed = append(failed, "GEN_0")
					}
					for _, name := range failed {
						require.Contains(t, f.Collateral, name)
					}
					require.NotEqual(t, rundir.OutcomeTestFailed, f.Class)
					require.False(t, slices.Contains(f.Roots, "GEN_0"))
				})
			}
		}
	}
}
