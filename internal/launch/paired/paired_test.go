package paired

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

func plan(name string) rundir.Plan {
	hour := rundir.Duration(time.Hour)
	return rundir.Plan{
		Case: rundir.Case{ID: "perf/x.py::test[c]", Slug: "c", ConfigSHA: name}, Allocation: rundir.Allocation{Nodes: 2, GPUsPerNode: 4, AllocatedGPUs: 8},
		Surroundings: rundir.Surroundings{Workdir: "/" + name + "/tests", Env: []rundir.EnvVar{{Name: "ROOT", Value: "/" + name}, {Name: "A", Value: "1"}}},
		Builds:       []rundir.BuildPlan{{Name: rundir.HeadBuild, Source: "/" + name, Roles: []rundir.RolePlan{{Name: "AGG", Kind: rundir.KindTask, Slice: []rundir.NodeShare{{Tasks: 4}}}}}},
		Runs:         rundir.OneRun(), Supervision: rundir.Supervision{Budgets: rundir.Budgets{Job: 2 * hour}},
	}
}

// A client that is repeated against its servers has as much more time, in sessions and not in the single run before
// one; what cannot be repeated is refused.
func TestRepeatedClient(t *testing.T) {
	t.Parallel()
	minute := rundir.Duration(time.Minute)
	client := func(name string, change func(*rundir.RolePlan)) rundir.Plan {
		p := plan(name)
		p.Case.Pipeline = "redis"
		p.Budgets.Ready, p.Budgets.Benchmark = 2*minute, 10*minute
		r := rundir.RolePlan{Name: "client", Kind: rundir.KindClient, Slice: []rundir.NodeShare{{Tasks: 1}}, Leaves: rundir.Leaves{Bench: []rundir.BenchFiles{{Files: []string{"bench.csv"}}}}}
		change(&r)
		p.Builds[0].Roles = append(p.Builds[0].Roles, r)
		return p
	}
	plain := func(*rundir.RolePlan) {}
	set, err := Settle(Config{Repeat: 3}, Builds{}, Flags{Mode: "always", Base: Build{Source: "/old"}})
	require.NoError(t, err)
	p, err := set.Session(client("new", plain), client("old", plain), 1)
	require.NoError(t, err)
	require.Equal(t, 30*minute, p.Budgets.Benchmark)
	require.Equal(t, 22*32*minute, p.Pairs.Time)
	require.Equal(t, 10*32*minute, Costs(p)[0].Time)
	require.Equal(t, []int{1, 3}, []int{p.Repeats(p.Roles()[0]), p.Repeats(p.Roles()[1])})
	one := p.SingleRun()
	require.Equal(t, 10*minute, one.Budgets.Benchmark)
	require.Equal(t, 1, one.Repeats(one.Roles()[1]))

	for want, change := range map[string]func(*rundir.RolePlan){
		"leaves JUnit files":        func(r *rundir.RolePlan) { r.Results = []string{"results.xml"} },
		"is measured by its log":    func(r *rundir.RolePlan) { r.Bench = []rundir.BenchFiles{{Reader: "wrk"}} },
		"no client of a configured": func(r *rundir.RolePlan) { r.Kind = rundir.KindTask },
	} {
		_, err = set.Session(client("new", change), client("old", change), 1)
		require.ErrorContains(t, err, want)
	}
}

// Where nothing becomes ready, budgets.benchmark alone says how long a run takes.
func TestClientsAlone(t *testing.T) {
	t.Parallel()
	alone := plan("new")
	alone.Case.Pipeline = "redis"
	alone.Builds[0].Roles[0].Kind = rundir.KindClient
	set, err := Settle(Config{}, Builds{}, Flags{Mode: "always", Base: Build{Source: "/old"}})
	require.NoError(t, err)
	p, err := set.Session(alone, alone, 1)
	require.NoError(t, err)
	require.Contains(t, p.Warnings[0], "ab.time: no budgets.benchmark says how long a run takes, so the session has 8h")
	alone.Budgets.Setup, alone.Budgets.Benchmark, alone.Budgets.Drain = 20e9, 20e9, 10e9
	p, err = set.Session(alone, alone, 1)
	require.NoError(t, err)
	require.Empty(t, p.Warnings)
	require.Equal(t, 22*50*time.Second, p.Pairs.Time.D())
	set.Time = 30 * 60e9
	p, err = set.Session(alone, alone, 1)
	require.NoError(t, err)
	require.Empty(t, p.Warnings)
}

func TestSession(t *testing.T) {
	t.Parallel()
	set, err := Settle(Config{}, Builds{Head: Build{Commit: "new"}}, Flags{Mode: "always", Base: Build{Source: "/old", Commit: "old"}})
	require.NoError(t, err)
	p, err := set.Session(plan("new"), plan("old"), 3)
	require.NoError(t, err)
	require.Equal(t, []string{rundir.BaseBuild, rundir.HeadBuild}, []string{p.Builds[0].Name, p.Builds[1].Name})
	require.Equal(t, []string{"/old", "/new"}, []string{p.Builds[0].Source, p.Builds[1].Source})
	require.Equal(t, []string{"old", "new"}, []string{p.Builds[0].Commit, p.Builds[1].Commit})
	require.Equal(t, "/old/tests", p.Builds[0].Workdir)
	require.Equal(t, []rundir.EnvVar{{Name: "ROOT", Value: "/old"}}, p.Builds[0].Env, "what base has differently")
	require.Empty(t, p.Builds[1].Env)
	require.Len(t, p.Runs, 26)
	require.Equal(t, 3, p.Pairs.Cases)
	require.Equal(t, 8*time.Hour, p.Budgets.Job.D(), "nothing bounds a run but the job: 22 of 2 h would be two days")
	require.Equal(t, 2*time.Hour, p.SingleRun().Budgets.Job.D())
	require.Contains(t, p.Warnings[0], "ab.time: no budgets.ready and budgets.benchmark say how long a run takes, so the session has 8h")
	require.Contains(t, p.Warnings[1], "base has another")

	// Budgets of the phases make it shorter, and ab.time is what it is.
	short := plan("new")
	short.Budgets.Setup, short.Budgets.Ready, short.Budgets.Benchmark = 60e9, 5*60e9, 10*60e9
	p, err = set.Session(short, plan("new"), 1)
	require.NoError(t, err)
	require.Equal(t, 22*16*time.Minute, p.Pairs.Time.D())
	costs := Costs(p)
	require.Len(t, costs, 4)
	for i, c := range costs {
		require.Equal(t, []int{4 + 2*i, 10 + 4*i}, []int{c.Pairs, c.Runs})
		require.Equal(t, time.Duration(c.Runs)*16*time.Minute, c.Time.D())
		require.InDelta(t, 8*c.Time.D().Hours(), c.GPUHours, 1e-9)
	}
	short.Case.Timeout = 4 * 60e9
	p, err = set.Session(short, plan("new"), 1)
	require.NoError(t, err)
	require.Equal(t, 22*5*time.Minute, p.Pairs.Time.D(), "the list's TIMEOUT bounds ready and benchmark")
	set.Time = 30 * 60e9
	p, err = set.Session(short, plan("new"), 1)
	require.NoError(t, err)
	require.Equal(t, 30*time.Minute, p.Budgets.Job.D())
	require.Contains(t, p.Warnings[0], "ab.time: 30m may be too short for the 4 pairs")

	require.NoError(t, set.Affordable([]rundir.Plan{p}))
	set.GPUHours = 3
	require.EqualError(t, set.Affordable([]rundir.Plan{p, plan("single")}),
		"ab.max_gpu_hours: the paired sessions of 1 cases may take 4.0 GPU-hours (10 pairs each, at the cases' budgets), and 3 are allowed: raise it, shorten budgets or ab.time, or name fewer cases")
}

func TestBuildsThatAreNotOneCase(t *testing.T) {
	t.Parallel()
	other := plan("old")
	other.Builds[0].Roles[0].Slice[0].Tasks = 8
	_, err := Settings{}.Session(plan("new"), other, 1)
	require.ErrorContains(t, err, "base runs other roles than head")
	other = plan("old")
	other.Expected.Points = []rundir.Point{{Concurrency: 8}}
	_, err = Settings{}.Session(plan("new"), other, 1)
	require.ErrorContains(t, err, "base does not put the same load on the roles as head")
}

func TestSettle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		c      Config
		f      Flags
		on     bool
		opened string
		err    string
	}{
		{name: "nothing said"},
		{name: "the config's", c: Config{Mode: "suspicious"}, f: Flags{Base: Build{Image: "i"}}, on: true},
		{name: "the flag stands over it", c: Config{Mode: "always"}, f: Flags{Mode: "off"}},
		{name: "as Jenkins writes it", f: Flags{Mode: "true", Base: Build{Source: "s"}}, on: true},
		{name: "and no", c: Config{Mode: "always"}, f: Flags{Mode: "false"}},
		{name: "without a base", f: Flags{Mode: "always"}, err: "which build is it to be compared with?"},
		{name: "a pull request with a base", f: Flags{PullRequest: true, Base: Build{Source: "s"}}, on: true},
		{name: "a pull request without", f: Flags{PullRequest: true}},
		{name: "a pull request that says no", c: Config{Mode: "off"}, f: Flags{PullRequest: true, Base: Build{Source: "s"}}},
		{name: "no such mode", f: Flags{Mode: "sometimes"}, err: "--ab=sometimes: use always, suspicious, off"},
		{name: "a label", c: Config{Mode: "suspicious", Label: "perf"}, f: Flags{Base: Build{Image: "i"}, Labels: []string{"docs", "perf"}}, on: true, opened: "the change is labelled perf"},
		{
			name: "a path", c: Config{Mode: "suspicious", Paths: []string{"docs", "cpp/**/*.cu"}}, f: Flags{Base: Build{Image: "i"}, Changed: []string{"README.md", "cpp/kernels/a/b.cu"}},
			on: true, opened: "the change touches cpp/kernels/a/b.cu (ab.paths: cpp/**/*.cu)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := Settle(tt.c, Builds{}, tt.f)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.on, s.On())
			require.Equal(t, tt.opened, s.Opened)
		})
	}
}

// Texts of a build may hold the commit that it is of.
func TestCommitsInTexts(t *testing.T) {
	t.Parallel()
	b := Builds{Base: Build{Source: "/builds/{commit}", Install: "make {commit}"}, Head: Build{Image: "r/i:{commit}"}}
	s, err := Settle(Config{}, b, Flags{Mode: "always", Head: "new", MergeBase: "old"})
	require.NoError(t, err)
	require.Equal(t, []string{"/builds/old", "make old", "r/i:new"}, []string{s.Base.Source, s.Base.Install, s.Head.Image})
	s, err = Settle(Config{}, b, Flags{Mode: "always", Head: "new", MergeBase: "old", Base: Build{Commit: "older"}})
	require.NoError(t, err)
	require.Equal(t, "/builds/older", s.Base.Source)
	require.True(t, b.Made())
	require.False(t, Builds{Base: b.Base}.Made())
	require.Empty(t, Builds{Head: Build{Source: "b/{commit}"}}.Unpaired())
	require.Empty(t, Builds{Base: Build{Source: "a/{commit}"}, Head: Build{Source: "b/{commit}"}}.Unpaired())
	require.Contains(t, Builds{Base: Build{Source: "a"}, Head: Build{Source: "b/{commit}"}}.Unpaired(), "builds.base would be the same build")
	require.Contains(t, Builds{Head: Build{Source: "b"}}.Unpaired(), "nothing says how")
	s, err = Settle(Config{}, Builds{Head: Build{Source: "/builds/{commit}"}, Make: "make {commit}"}, Flags{Mode: "always", Head: "new", MergeBase: "old"})
	require.NoError(t, err)
	require.Equal(t, []string{"/builds/old", "/builds/new"}, []string{s.Base.Source, s.Head.Source}, "what makes any commit makes the base")
	require.Equal(t, "make old", s.MakeOf("old"))
	_, err = Settle(Config{}, b, Flags{Mode: "always", Head: "new"})
	require.ErrorContains(t, err, "builds.base.source: {commit} is not known: give --ab-base-commit, builds.base.commit or --merge-base")
	_, err = Settle(Config{}, b, Flags{})
	require.EqualError(t, err, "builds.head.image: {commit} is not known: give GIT_COMMIT, builds.head.commit or, to run, --commit", "base is not asked for")
}

// Where nothing names the base, it is what the store recorded of the last green nightly.
func TestBaseOfTheStore(t *testing.T) {
	t.Parallel()
	green := rundir.Recorded{Commit: "0ld0ld0", Image: "i:1", Source: "/src", From: "run nightly-1", Doubt: "older than the merge base"}
	none := rundir.Recorded{Why: "no green nightly"}
	made := Builds{Head: Build{Image: "i:{commit}"}}
	for _, tt := range []struct {
		name  string
		b     Builds
		label string
		f     Flags
		found rundir.Recorded
		asked bool
		want  Build // base
		off   string
		err   string
	}{
		{name: "taken", f: Flags{Mode: "always"}, found: green, asked: true, want: Build{Commit: "0ld0ld0", Image: "i:1", Source: "/src"}},
		{name: "on suspicion", f: Flags{Mode: "suspicious"}, found: green, asked: true, want: Build{Commit: "0ld0ld0", Image: "i:1", Source: "/src"}},
		{name: "its commit, where any can be made", b: made, f: Flags{Mode: "always", Head: "new"}, found: green, asked: true, want: Build{Commit: "0ld0ld0", Image: "i:0ld0ld0"}},
		{name: "the merge base is known", b: made, f: Flags{Mode: "always", Head: "new", MergeBase: "left"}, want: Build{Image: "i:left"}},
		{name: "of a pull request that says nothing more", b: Builds{Base: Build{Image: "i:{commit}"}}, f: Flags{PullRequest: true}, found: green, asked: true, want: Build{Commit: "0ld0ld0", Image: "i:0ld0ld0"}},
		{name: "the config names one", b: Builds{Base: Build{Image: "mine"}}, f: Flags{Mode: "always"}, want: Build{Image: "mine"}},
		{name: "a flag names one", f: Flags{Mode: "always", Base: Build{Source: "s"}}, want: Build{Source: "s"}},
		{name: "nobody has asked", f: Flags{PullRequest: true}},
		{name: "none, always", f: Flags{Mode: "always"}, found: none, asked: true, err: "which build is it to be compared with? Give --ab-base-source DIR, --ab-base-image IMAGE, or builds.base in the config; of the last green nightly it is not known: no green nightly"},
		{name: "none, on suspicion", f: Flags{Mode: "suspicious"}, found: none, asked: true, off: "no case is measured in pairs: no base is named (builds.base, --ab-base-source, --ab-base-image), and no green nightly"},
		{name: "none, on demand", label: "perf", f: Flags{Mode: "suspicious", Labels: []string{"perf"}}, found: none, asked: true, err: "the change is labelled perf, so that it is measured in pairs: which build is it to be compared with? Give --ab-base-source DIR, --ab-base-image IMAGE, or builds.base in the config, or --ab=off; of the last green nightly it is not known: no green nightly"},
		{name: "none, of any that can be made", b: made, f: Flags{Mode: "always", Head: "new"}, found: none, asked: true, err: "no green nightly"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := false
			tt.f.Recorded = func(_ []rundir.Plan, commitOnly bool) rundir.Recorded {
				asked = true
				require.Equal(t, tt.b.Made() || tt.b.Base.ofAny(), commitOnly)
				return tt.found
			}
			s, err := Settle(Config{Label: tt.label}, tt.b, tt.f)
			require.NoError(t, err)
			off, err := s.Complete(nil, tt.f)
			require.Equal(t, tt.asked, asked)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.off, off)
			require.Equal(t, tt.want.named(), s.On())
			if !s.On() {
				return
			}
			require.Equal(t, tt.want, s.Base)
			p, err := s.Session(plan("new"), plan("old"), 1)
			require.NoError(t, err)
			if tt.asked {
				require.Equal(t, "run nightly-1", p.Pairs.BaseFrom)
				require.Equal(t, tt.want.Source != "", p.Pairs.BaseCheckout)
				require.Contains(t, p.Warnings, "older than the merge base")
			} else {
				require.Empty(t, p.Pairs.BaseFrom)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, yes := range [][2]string{{"cpp", "cpp/a/b.cu"}, {"cpp/**", "cpp/a"}, {"**/*.cu", "x.cu"}, {"**/*.cu", "a/b/x.cu"}, {"a/*/c", "a/b/c/d"}} {
		require.True(t, matches(yes[0], yes[1]), yes)
	}
	for _, no := range [][2]string{{"cpp", "cp"}, {"cpp", "docs/cpp"}, {"**/*.cu", "a/b.cc"}, {"a/b", "a"}} {
		require.False(t, matches(no[0], no[1]), no)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	var c struct {
		AB Config `yaml:"ab"`
	}
	doc, err := strictyaml.Read("c.yaml", []byte("ab:\n  mode: always!\n  open_at: -1\n  max_gpu_hours: -2\n  paths: ['[']\n"), &c)
	require.NoError(t, err)
	var texts []string
	for _, err := range c.AB.Validate(doc) {
		texts = append(texts, err.Error())
	}
	require.Equal(t, []string{
		`c.yaml:2:3: ab.mode: "always!" is not always, suspicious, off`,
		"c.yaml:3:3: ab.open_at: -1 is negative: 0 opens a session for anything that is worse",
		"c.yaml:4:3: ab.max_gpu_hours: -2 is negative",
		`c.yaml:5:11: ab.paths[0]: "[" is no pattern: syntax error in pattern`,
	}, texts)
}
