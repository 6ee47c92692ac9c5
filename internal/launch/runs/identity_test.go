package runs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestWhatSetsRunsApart(t *testing.T) {
	t.Parallel()
	made := func(change func(*rundir.Run, *rundir.Plan)) New {
		p := rundir.Plan{Case: rundir.Case{ID: "a", Slug: "a", Config: "/ws/a.yaml", ConfigSHA: "1"}}
		run := rundir.Run{
			ID: "x", Backend: "slurm", Cluster: "c", Cases: []rundir.CaseState{{ID: "a", Slug: "a"}},
			Build: rundir.Build{Mode: "pr", Commit: "abc", URL: "u/1"},
		}
		change(&run, &p)
		return New{Dir: "/runs/x", Run: run, Plans: []rundir.Plan{p}}
	}
	same := made(func(*rundir.Run, *rundir.Plan) {})
	either := map[string]func(*rundir.Run, *rundir.Plan){
		"of build u/":     func(r *rundir.Run, _ *rundir.Plan) { r.Build.URL = "u/2" },
		"of commit ":      func(r *rundir.Run, _ *rundir.Plan) { r.Build.Commit = "def" },
		"of mode ":        func(r *rundir.Run, _ *rundir.Plan) { r.Build.Mode = "nightly" },
		"of cluster ":     func(r *rundir.Run, _ *rundir.Plan) { r.Cluster = "d" },
		"of backend ":     func(r *rundir.Run, _ *rundir.Plan) { r.Backend = "local" },
		"other cases":     func(r *rundir.Run, _ *rundir.Plan) { r.Cases[0].Slug = "b" },
		"another content": func(_ *rundir.Run, p *rundir.Plan) { p.Case.ConfigSHA = "2" },
	}
	refused := func(have, want New, what string) {
		t.Helper()
		var other *OtherRunError
		require.ErrorAs(t, SameRun(have, want), &other, what)
		require.Contains(t, other.Error(), what)
	}
	for what, change := range either {
		refused(same, made(change), what)
		refused(made(change), same, what)
	}
	// What was run counts for what is asked for, and not the other way round.
	paired := made(func(_ *rundir.Run, p *rundir.Plan) { p.Pairs = &rundir.PairPlan{} })
	refused(same, paired, "not in pairs")
	require.NoError(t, SameRun(paired, same))
	pairs := func(mode, opened string) New {
		return made(func(_ *rundir.Run, p *rundir.Plan) { p.Pairs = &rundir.PairPlan{Mode: mode, Opened: opened} })
	}
	alone, always, opened := pairs(rundir.PairSuspicious, ""), pairs(rundir.PairAlways, ""), pairs(rundir.PairSuspicious, "labelled")
	refused(alone, always, "in pairs only where a single run gives reason to")
	refused(alone, opened, "in pairs only where a single run gives reason to")
	for _, other := range []New{alone, always, opened} {
		require.NoError(t, SameRun(always, other))
		require.NoError(t, SameRun(opened, other))
	}
	sooner := made(func(_ *rundir.Run, p *rundir.Plan) {
		p.Pairs = &rundir.PairPlan{Mode: rundir.PairSuspicious, OpenAt: -0.5}
	})
	refused(alone, sooner, "from another ab.open_at on than -0.5")
	require.NoError(t, SameRun(sooner, alone))
	waived := made(func(_ *rundir.Run, p *rundir.Plan) { p.Case.SkipReason = "waived" })
	refused(waived, same, "skipped (waived)")
	require.NoError(t, SameRun(same, waived))
	known := made(func(_ *rundir.Run, p *rundir.Plan) { p.Case.KnownBug = "bug 7" })
	refused(known, same, "known failure (bug 7)")
	require.NoError(t, SameRun(same, known))
	for what, change := range map[string]func(*rundir.Run, *rundir.Plan){
		"another workspace":           func(_ *rundir.Run, p *rundir.Plan) { p.Case.Config, p.Workdir = "/other/a.yaml", "/other" },
		"a base that the store names": func(_ *rundir.Run, p *rundir.Plan) { p.Pairs = &rundir.PairPlan{BaseFrom: "the last green night"} },
		"what an old record has not":  func(r *rundir.Run, p *rundir.Plan) { r.Build, r.Cluster, p.Case.ConfigSHA = rundir.Build{}, "", "" },
		"other warnings":              func(_ *rundir.Run, p *rundir.Plan) { p.Warnings = []string{"w"} },
	} {
		require.NoError(t, SameRun(same, made(change)), what)
	}
}
