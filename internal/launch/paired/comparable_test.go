package paired

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Two builds of the same software pass whatever has changed: they are refused.
func TestDistinct(t *testing.T) {
	t.Parallel()
	image := func(name string) *rundir.Container { return &rundir.Container{Image: name} }
	tests := []struct {
		name   string
		set    Settings
		change func(head, base *rundir.Plan)
		want   string
	}{
		{"nothing", Settings{}, func(_, _ *rundir.Plan) {}, "run the same software"},
		{"a checkout that nothing reads", Settings{}, func(_, b *rundir.Plan) {
			b.Builds[0].Source, b.Builds[0].Commit = "/old", "1"
			b.Builds[0].Env = []rundir.EnvVar{{Name: SourceEnv, Value: "/old"}}
		}, "Set workload.source or builds.head.source"},
		{"head's checkout, which nothing reads", Settings{Builds: Builds{Head: Build{Source: "/new"}}}, func(_, b *rundir.Plan) {
			b.Builds[0].Source = "/old"
		}, "builds.head.source is set, and nothing of the case comes from it"},
		{"a checkout that a command reads", Settings{}, func(h, b *rundir.Plan) {
			h.Builds[0].Roles[0].Command = `"$CI_DISAGG_SOURCE/bench"`
			b.Builds[0].Roles[0].Command = h.Builds[0].Roles[0].Command
			b.Builds[0].Source, b.Builds[0].Env = "/old", []rundir.EnvVar{{Name: SourceEnv, Value: "/old"}}
		}, ""},
		{"env", Settings{}, func(_, b *rundir.Plan) { b.Builds[0].Env = []rundir.EnvVar{{Name: "A", Value: "2"}} }, ""},
		{"one env written for both is a control", Settings{Builds: Builds{Base: Build{Env: map[string]string{"A": "1"}}, Head: Build{Env: map[string]string{"A": "1"}}}}, func(_, _ *rundir.Plan) {}, ""},
		{"a base that nobody wrote is no control", Settings{likeHead: true, Builds: Builds{Base: Build{Env: map[string]string{"A": "1"}}, Head: Build{Env: map[string]string{"A": "1"}}}}, func(_, _ *rundir.Plan) {}, "run the same software"},
		{"a control has no checkout", Settings{Builds: Builds{Base: Build{Source: "/s", Env: map[string]string{"A": "1"}}, Head: Build{Source: "/s", Env: map[string]string{"A": "1"}}}}, func(_, _ *rundir.Plan) {}, "run the same software"},
		{"setup", Settings{}, func(_, b *rundir.Plan) { b.Builds[0].Setup = "true" }, ""},
		{"dir of a role", Settings{}, func(_, b *rundir.Plan) { b.Builds[0].Roles[0].Dir = "/old" }, ""},
		{"workdir", Settings{}, func(_, b *rundir.Plan) { b.Workdir = "/old" }, ""},
		{"image", Settings{Builds: Builds{Base: Build{Image: "old"}}}, func(h, b *rundir.Plan) {
			h.Builds[0].Container, b.Builds[0].Container = image("new"), image("old")
		}, ""},
		{"image of a role", Settings{Builds: Builds{Base: Build{Image: "old"}}}, func(h, b *rundir.Plan) {
			h.Builds[0].Container, b.Builds[0].Container = image("new"), image("old")
			h.Builds[0].Roles[0].Container = image("own")
			b.Builds[0].Roles[0].Container = image("own")
		}, "role AGG would run in its own, own, in both: remove its container.image"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			head, base := plan("new"), plan("new")
			tt.change(&head, &base)
			err := tt.set.Distinct(head, base)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// A case that measures nothing has one run, unless every case is to have a session.
func TestComparable(t *testing.T) {
	t.Parallel()
	silent, listed := plan("new"), plan("new")
	silent.Case.Pipeline, listed.Case.SkipReason = "p", "broken"
	measuring := plan("new")
	measuring.Case.Pipeline, measuring.Builds[0].Roles[0].Bench = "p", []rundir.BenchFiles{{Files: []string{"x"}}}
	for _, mode := range []string{rundir.PairAlways, rundir.PairSuspicious} {
		set := Settings{Config: Config{Mode: mode}}
		for _, tt := range []struct {
			p    rundir.Plan
			want bool
		}{{listed, false}, {measuring, true}, {plan("new"), true}} {
			got, err := set.Comparable(tt.p)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		}
		got, err := set.Comparable(silent)
		require.False(t, got)
		if mode == rundir.PairAlways {
			require.ErrorContains(t, err, "none of its roles has bench:")
		} else {
			require.NoError(t, err)
		}
	}
}

// Where performance is not judged nobody is to be told that a comparison passed.
func TestSettleWithoutJudging(t *testing.T) {
	t.Parallel()
	old := Build{Source: "/old"}
	for _, mode := range []string{rundir.PairAlways, rundir.PairSuspicious} {
		_, err := Settle(Config{}, Builds{}, Flags{Mode: mode, Base: old, Unjudged: true})
		require.ErrorContains(t, err, "perf.off: performance is not judged")
		_, err = Settle(Config{Mode: mode}, Builds{}, Flags{Mode: rundir.PairOff, Base: old, Unjudged: true})
		require.NoError(t, err)
	}
	s, err := Settle(Config{}, Builds{}, Flags{Base: old, PullRequest: true, Unjudged: true})
	require.NoError(t, err)
	require.False(t, s.On(), "by default there is one run")
}
