package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/generic"
	"github.com/ci-disagg/ci-disagg/internal/launch/paired"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// A build's own words stand over those of the workload and of the cluster, and what lies
// in its checkout moves with it.
func TestRequestOfABuild(t *testing.T) {
	t.Parallel()
	r := Request{Base: "/ci", Config: Config{Clusters: map[string]script.Profile{"a": {Container: &script.Container{Image: "new", Workdir: "/w"}}, "bare": {}}}}
	w := &r.Config.Workload
	w.Source, w.Dir, w.AggConfigs, w.DisaggConfigs = "src", "src/tests", "/ci/src/agg", "/elsewhere"
	w.Install, w.Setup = "make", "true"
	got := r.ofBuild(paired.Build{Source: "../old", Image: "old.sqsh", Install: "make old"}).Config
	require.Equal(t, []string{"/old", "/old/tests", "/old/agg", "/elsewhere"}, []string{got.Workload.Source, got.Workload.Dir, got.Workload.AggConfigs, got.Workload.DisaggConfigs})
	require.Equal(t, []string{"make old", "true"}, []string{got.Workload.Install, got.Workload.Setup})
	require.Equal(t, script.Container{Image: "old.sqsh", Workdir: "/w"}, *got.Clusters["a"].Container)
	require.Equal(t, script.Container{Image: "old.sqsh"}, *got.Clusters["bare"].Container)
	require.Equal(t, "new", r.Config.Clusters["a"].Container.Image, "the request that it was given stays")
	require.Equal(t, r, r.ofBuild(paired.Build{}))

	// Pipelines of any engine: their folders move, and their roles are told.
	r.Config.Builds.Head.Source, w.Source = "new", ""
	r.Config.Pipelines = map[string]generic.Pipeline{"x": {Dir: "new/bench", Roles: []generic.Role{{Dir: "/elsewhere"}}}}
	moved := r.ofBuild(paired.Build{Source: "old"}).Config.Pipelines["x"]
	require.Equal(t, []string{"/ci/old/bench", "/elsewhere"}, []string{moved.Dir, moved.Roles[0].Dir})
	for source, want := range map[string]string{".": "/ci/old", "/ci": "/ci/old", "/": "/ci/old/ci", "new": "", "": ""} {
		r.Config.Builds.Head.Source, r.Config.Pipelines = source, map[string]generic.Pipeline{"x": {}}
		require.Equal(t, want, r.ofBuild(paired.Build{Source: "old"}).Config.Pipelines["x"].Dir, "a config that lies in %q", source)
	}
	p := r.dressed(rundir.Plan{Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild}}}, rundir.HeadBuild, paired.Build{Source: "old", Setup: "true", Env: map[string]string{"A": "1"}})
	require.Equal(t, rundir.BuildPlan{
		Name: rundir.HeadBuild, Source: "/ci/old", Setup: "true", SetupKey: "builds.head.setup", Env: []rundir.EnvVar{{Name: "CI_DISAGG_SOURCE", Value: "/ci/old"}, {Name: "A", Value: "1"}},
	}, p.Builds[0])
}

// Names of nodes get into the head of a script.
func TestNodesToAvoid(t *testing.T) {
	t.Parallel()
	r := Request{Config: Config{Clusters: map[string]script.Profile{"a": {}}}}
	r.Config.Pipelines = map[string]generic.Pipeline{"x": {Roles: []generic.Role{{Name: "work", Kind: rundir.KindTask, Command: generic.Command{Shell: "true"}}}}}
	r.Base, r.WorkDir, r.Getenv, r.Backend = "/ci", "/ci", func(string) string { return "" }, "local"
	r.Avoid = []string{"gb-n01", "gb-n02.ci"}
	s, err := Resolve(r)
	require.NoError(t, err)
	require.Equal(t, r.Avoid, s.Plans[0].Avoid)
	for _, name := range []string{"", "a b", "a\n#SBATCH --wrap=x", "$(x)", "-w", "n[1-4]"} {
		r.Avoid = []string{name}
		_, err := Resolve(r)
		require.ErrorContains(t, err, "is no name of a node", name)
	}
}

// A base that the command line names lies where the caller is, one that the config names where that is.
func TestWhereTheBaseLies(t *testing.T) {
	t.Parallel()
	r := Request{Config: Config{Clusters: map[string]script.Profile{"a": {}}}}
	r.Config.Pipelines = map[string]generic.Pipeline{"x": {Roles: []generic.Role{{
		Name: "work", Kind: rundir.KindTask, Command: generic.Command{Shell: "$CI_DISAGG_SOURCE/bench"}, Bench: []generic.BenchFiles{{Reader: "redis-benchmark", Files: []string{"x"}}},
	}}}}
	r.Config.Builds.Head.Source = ".."
	r.Base, r.WorkDir, r.Getenv, r.Backend, r.AB.Mode = "/ws/ci", "/ws", func(string) string { return "" }, "local", "always"
	for _, tt := range []struct{ flag, config, want string }{{"base", "", "/ws/base"}, {"", "base", "/ws/ci/base"}, {"base", "other", "/ws/base"}, {"/b", "", "/b"}} {
		r.AB.Base.Source, r.Config.Builds.Base.Source = tt.flag, tt.config
		s, err := Resolve(r)
		require.NoError(t, err)
		require.Equal(t, []string{tt.want, "/ws"}, []string{s.Plans[0].Builds[0].Source, s.Plans[0].Builds[1].Source})
	}
}

// A checkout that is not there fails its roles as if they were at fault: it is a mistake of the config, where that can
// be seen.
func TestCheckoutsThatAreNotThere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(r *Request)
		err  string
	}{
		{"they are", func(*Request) {}, ""},
		{"no head", func(r *Request) { r.Config.Builds.Head.Source = "builds/{commit}"; r.Config.Builds.Make = "make" }, "c.yaml:2:10: builds.head.source: /ws/builds/600d600 is not there; builds.make is run by bisect, confirm and for the reference only"},
		{"no base", func(r *Request) { r.Config.Builds.Base.Source = "old" }, "builds.base.source: /ws/old is not there"},
		{"no base of a flag", func(r *Request) { r.AB.Base.Source = "old" }, "--ab-base-source: /ws/old is not there"},
		{"made before the run", func(r *Request) { r.Config.Builds.Head.Source = "new"; r.Built = false }, ""},
		{"made in the job", func(r *Request) { r.Config.Builds.Head.Source, r.Config.Builds.Head.Install = "new", "make" }, ""},
		{"on the nodes of a cluster", func(r *Request) { r.Backend, r.Config.Builds.Head.Source = "slurm", "/nowhere/at/all" }, ""},
		{"in the config's folder, on a cluster", func(r *Request) { r.Backend, r.Config.Builds.Head.Source = "slurm", "new" }, "builds.head.source: /ws/new is not there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := Request{Config: Config{Clusters: map[string]script.Profile{"a": {}}}}
			r.Config.Pipelines = map[string]generic.Pipeline{"x": {Roles: []generic.Role{{
				Name: "work", Kind: rundir.KindTask, Command: generic.Command{Shell: "$CI_DISAGG_SOURCE/bench"}, Bench: []generic.BenchFiles{{Reader: "redis-benchmark", Files: []string{"x"}}},
			}}}}
			for name, b := range map[string]*paired.Build{"head": &r.Config.Builds.Head, "base": &r.Config.Builds.Base} {
				require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
				b.Source = name
			}
			var into any
			doc, err := strictyaml.Read("c.yaml", []byte("builds:\n  head: {source: x}\n"), &into)
			require.NoError(t, err)
			r.Doc, r.Base, r.WorkDir, r.Getenv, r.Backend, r.AB.Mode, r.AB.Head, r.Built = doc, dir, dir, func(string) string { return "" }, "local", "always", "600d600", true
			tt.edit(&r)
			_, err = Resolve(r)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, strings.ReplaceAll(tt.err, "/ws", dir))
		})
	}
}

// Two builds of one commit are compared as they are, and it is said.
func TestBuildsOfOneCommit(t *testing.T) {
	t.Parallel()
	one := Suite{Plans: []rundir.Plan{{Builds: []rundir.BuildPlan{{Name: rundir.BaseBuild}, {Name: rundir.HeadBuild}}}}}
	one.NameCommits("c0ffee1", "600d600")
	require.Empty(t, one.Plans[0].Warnings)
	one.Plans[0].Builds[0].Commit = "c0ffee1"
	one.NameCommits("c0ffee1", "600d600")
	require.Equal(t, []string{"base and head are both of commit c0ffee1: what a session finds between them is no change of that"}, one.Plans[0].Warnings)
}
