package asked

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestAnotherDraftOrStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	now, err := configfile.Parse("c.yaml", []byte("perf: {store: \"postgres://ours/db\"}\n"))
	require.NoError(t, err)
	now.Path = filepath.Join(dir, "c.yaml")
	write(configfile.Copy, string(now.Raw))
	run := rundir.Run{ID: "x"}
	ask := Run{Dir: rundir.Dir(dir), Config: now, Read: os.ReadFile, Getenv: os.Getenv}
	ask.Plan = func(c configfile.Config) (pipeline.Suite, rundir.Run, error) {
		require.Equal(t, "postgres://ours/db", c.Perf.Store, "a job's word for where a password goes")
		p := rundir.Plan{Case: rundir.Case{Slug: "a"}}
		return pipeline.Suite{Plans: []rundir.Plan{p}}, run, nil
	}
	require.NoError(t, ask.Is(run))
	ask.Draft = write("ours.sh", "one")
	require.ErrorContains(t, ask.Is(run), "was launched without --draft")
	write(configfile.Draft, "one")
	require.NoError(t, ask.Is(run))
	write("ours.sh", "two")
	require.ErrorContains(t, ask.Is(run), "was launched by another --draft than "+ask.Draft+" is now")
	write("slurm_ct_precheck_gate.sh", "run_cache_transceiver_precheck() { true; }\n")
	write("ours.sh", "run_cache_transceiver_precheck\n")
	kept, err := pipeline.ReadDraft(os.ReadFile, ask.Draft)
	require.NoError(t, err)
	write(configfile.Draft, string(kept))
	require.NoError(t, ask.Is(run), "of a draft that calls upstream's precheck, what was launched is kept")
	ask.Draft = ""
	require.ErrorContains(t, ask.Is(run), "was launched by a --draft")
	require.NoError(t, os.Remove(filepath.Join(dir, configfile.Draft)))
	write(configfile.Copy, "perf: {store: \"postgres://theirs/db\"}\n")
	require.ErrorContains(t, ask.Is(run), "differs in perf: it was made from ")
	asWell := ask.Plan
	ask.Plan = func(c configfile.Config) (pipeline.Suite, rundir.Run, error) {
		if c.Path != now.Path || string(c.Raw) != string(now.Raw) {
			return pipeline.Suite{}, run, os.ErrNotExist
		}
		return asWell(c)
	}
	require.ErrorContains(t, ask.Is(run), "cannot be planned here any more (file does not exist): it was made from ")
	live := run
	live.Cases = []rundir.CaseState{{Slug: "a", State: rundir.CaseRunning}}
	run = live
	require.NoError(t, ask.Is(live), "in doubt, live jobs are not left without a driver")
	plans := 0
	ask.Plan = func(configfile.Config) (pipeline.Suite, rundir.Run, error) {
		plans++
		p := rundir.Plan{Case: rundir.Case{ID: "a", Slug: "a", Pipeline: "a"}}
		return pipeline.Suite{Plans: []rundir.Plan{p}}, run, nil
	}
	require.ErrorContains(t, ask.Is(run), "differs in its cases: it was made from ")
	require.Equal(t, 1, plans, "what is kept, and a job can have written, is not planned for nothing")
}

func TestAnotherBase(t *testing.T) {
	t.Parallel()
	made := func(change func(*rundir.Run, *rundir.BuildPlan, *rundir.PairPlan)) runs.New {
		base := rundir.BuildPlan{Name: rundir.BaseBuild, Source: "/ws/a/base", Container: &rundir.Container{Image: "i:1"}}
		run, pairs := rundir.Run{ID: "x", Build: rundir.Build{MergeBase: "aaaaaaa"}}, rundir.PairPlan{}
		change(&run, &base, &pairs)
		return runs.New{Run: run, Plans: []rundir.Plan{{Case: rundir.Case{ID: "a", Slug: "a"}, Pairs: &pairs, Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild}, base}}}}
	}
	type change = func(*rundir.Run, *rundir.BuildPlan, *rundir.PairPlan)
	none := func(*rundir.Run, *rundir.BuildPlan, *rundir.PairPlan) {}
	commit := func(c string) change {
		return func(_ *rundir.Run, b *rundir.BuildPlan, _ *rundir.PairPlan) { b.Commit = c }
	}
	source := func(s, c string) change {
		return func(_ *rundir.Run, b *rundir.BuildPlan, _ *rundir.PairPlan) { b.Source, b.Commit = s, c }
	}
	image := func(i string) change {
		return func(_ *rundir.Run, b *rundir.BuildPlan, _ *rundir.PairPlan) {
			b.Container = &rundir.Container{Image: i}
		}
	}
	merge := func(m, c string) change {
		return func(r *rundir.Run, b *rundir.BuildPlan, _ *rundir.PairPlan) { r.Build.MergeBase, b.Commit = m, c }
	}
	bare := func(s, i string) change {
		return func(_ *rundir.Run, b *rundir.BuildPlan, _ *rundir.PairPlan) {
			b.Source, b.Container.Image = s, i
		}
	}
	for name, tt := range map[string]struct {
		have, want change
		what       string
	}{
		"the same":              {none, none, ""},
		"source":                {none, source("/ws/b/b2", ""), "its base is /ws/a/base, not /ws/b/b2"},
		"another workspace":     {none, source("/ws/b/base", ""), ""},
		"the same commit":       {source("/x", "abcdef1"), source("/ws/b/y", "abcdef1234"), ""},
		"another commit":        {commit("abcdef1"), commit("abcdef2"), "its base is of commit abcdef1, not of abcdef2"},
		"has changed files now": {commit("abcdef1"), none, ""},
		"image":                 {none, image("i:2"), "the image of its base is i:1, not i:2"},
		"no image":              {none, image(""), ""},
		"image, not source":     {bare("/ws/b1", ""), bare("", "i:2"), "its base is /ws/b1, not i:2"},
		"source, not image":     {bare("", "i:2"), bare("/ws/b1", ""), "its base is i:2, not /ws/b1"},
		"image in a workspace":  {image("/ws/a/i.sqsh"), image("/ws/b/i.sqsh"), ""},
		"merge base":            {commit("aaaaaaa"), merge("bbbbbbb", ""), "its base is of the merge base aaaaaaa, not of bbbbbbb"},
		"a base of its own":     {commit("abcdef1"), merge("bbbbbbb", "abcdef1"), ""},
		"of the store": {none, func(_ *rundir.Run, b *rundir.BuildPlan, p *rundir.PairPlan) {
			b.Source, p.BaseFrom = "/other", "the last green night"
		}, ""},
	} {
		got := otherBase(made(tt.have), made(tt.want), []string{"/ws/b"})
		if tt.what == "" {
			require.Empty(t, got, name)
		} else {
			require.Equal(t, "has a measured against another base: "+tt.what, got, name)
		}
	}
}

// What a search may leave out counts here: the nodes that a job goes to, and what makes a role ready.
func TestWhatCounts(t *testing.T) {
	t.Parallel()
	made := func(change func(*pipeline.Suite)) asking {
		s := pipeline.Suite{Backend: rundir.BackendSlurm, Plans: []rundir.Plan{{
			Case: rundir.Case{Slug: "a"}, Builds: []rundir.BuildPlan{{Roles: []rundir.RolePlan{{Name: "S", Ready: rundir.Ready{TCP: true}}}}},
		}}}
		change(&s)
		return asking{Suite: s}
	}
	same := made(func(*pipeline.Suite) {})
	for want, change := range map[string]func(*pipeline.Suite){
		"":                         func(s *pipeline.Suite) { s.Profile.Account = "other" },
		"the cluster's profile":    func(s *pipeline.Suite) { s.Profile.Partition = "other" },
		"when its roles are ready": func(s *pipeline.Suite) { s.Plans[0].Builds[0].Roles[0].Ready = rundir.Ready{HTTPPath: "/health"} },
	} {
		require.Equal(t, want, differs(same, made(change)))
	}
}
