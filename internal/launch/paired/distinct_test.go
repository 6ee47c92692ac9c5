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
		{"a checkout that a command reads", Settings{}, func(h, b *rundir.Plan) {
			h.Builds[0].Roles[0].Command = `"$CI_DISAGG_SOURCE/bench"`
			b.Builds[0].Roles[0].Command = h.Builds[0].Roles[0].Command
			b.Builds[0].Source, b.Builds[0].Env = "/old", []rundir.EnvVar{{Name: SourceEnv, Value: "/old"}}
		}, ""},
		{"env", Settings{}, func(_, b *rundir.Plan) { b.Builds[0].Env = []rundir.EnvVar{{Name: "A", Value: "2"}} }, ""},
		{"one env written for both is a control", Settings{Builds: Builds{Base: Build{Env: map[string]string{"A": "1"}}, Head: Build{Env: map[string]string{"A": "1"}}}}, func(_, _ *rundir.Plan) {}, ""},
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
