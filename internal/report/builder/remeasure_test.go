package builder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A single run opens a session where a gating series is worse than its level by more than a part of its smallest
// effect, and where nobody knows its level.
func TestSingleRunOpensASession(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		history int
		tput    float64
		openAt  float64
		mode    string
		past    bool // it has had its session
		answers float64
		why     string
	}{
		{name: "as ever", history: 12, tput: 1001, openAt: 0.5},
		{name: "a little slower", history: 12, tput: 980, openAt: 0.5, why: "session: output_token_throughput at con8 is 2.1 % worse than its level; a session opens at "},
		{name: "faster", history: 12, tput: 1100, openAt: 0.5},
		{name: "anything that is worse", history: 12, tput: 1000, openAt: 0, why: "session: "},
		{name: "not by so much", history: 12, tput: 980, openAt: 3},
		{name: "answers that their gate lets pass", history: 12, tput: 1001, openAt: 0.5, answers: 0.934},
		{name: "no level", history: 0, tput: 1000, openAt: 0.5, why: "has no level to be compared with"},
		{name: "it has had its session", history: 12, tput: 900, openAt: 0.5, past: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := runDir(t, func(p *rundir.Plan) {
				base := p.Builds[0]
				base.Name = rundir.BaseBuild
				p.Builds = []rundir.BuildPlan{base, p.Builds[0]}
				p.Pairs = &rundir.PairPlan{Cases: 1, MinPairs: 4, MaxPairs: 10, MaxAgain: 2, OwnFailures: 3, Mode: rundir.PairSuspicious, OpenAt: tt.openAt}
				p.Runs = rundir.SessionRuns(*p.Pairs)
			}, attemptSpec{outcome: rundir.OutcomePassed, tput: tt.tput})
			o := builder(t, tt.history)
			if gsm8k(&o); tt.answers > 0 {
				writeText(t, filepath.Join(dir.CaseDir("tiny").Attempt(0, 1).Run(0).Output(), "accuracy_eval.log"), scored(tt.answers))
			}
			var run rundir.Run
			require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
			history := run.Cases[0].Attempts
			history[0].Session = tt.past
			r, why, err := New(dir, o).DecideCase(t.Context(), "tiny", history)
			require.NoError(t, err)
			if tt.why == "" {
				require.Empty(t, why)
				return
			}
			require.Contains(t, why, tt.why)
			require.Nil(t, r.AB)
		})
	}
}

// TestDrivenByWhatIsKnown: jobs can write the run's record and its plans, so the driver's own stand over the files.
func TestDrivenByWhatIsKnown(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	plan := rundir.Plan{Schema: rundir.Schema, Case: rundir.Case{ID: "c", Slug: "c"}}
	run := rundir.Run{Schema: rundir.Schema, ID: "r", Build: rundir.Build{Mode: "pr"}, Cases: []rundir.CaseState{{ID: "c", Slug: "c", State: rundir.CaseDone}}}
	forged := run
	forged.Build.Mode, forged.Cases = "nightly", nil
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), forged))
	require.NoError(t, os.MkdirAll(string(dir.CaseDir("c")), 0o700))
	require.NoError(t, os.Symlink("/etc/passwd", dir.CaseDir("c").PlanFile()))
	s := New(dir, Options{Plans: []rundir.Plan{plan}})
	s.Recorded(run)
	d, err := s.Decide(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, "pr", d.Run.Build.Mode)
	require.Len(t, d.Cases, 1)
	require.Equal(t, report.ResultInfra, d.Cases[0].Result, "never launched")
}
