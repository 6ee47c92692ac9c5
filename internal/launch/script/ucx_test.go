package script_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What a cluster sets up for UCX is for every role there; the workload's is the workers' alone.
func TestUCXOfACluster(t *testing.T) {
	t.Parallel()
	plan := rundir.Plan{Builds: []rundir.BuildPlan{{Roles: []rundir.RolePlan{
		{Name: "GEN_0", Kind: rundir.KindServer, Before: "unset UCX_TLS", MPI: "pmix"}, {Name: "DISAGG_SERVER", Kind: rundir.KindRouter}, {Name: "BENCHMARK", Kind: rundir.KindClient},
	}}}}
	before := func(prof script.Profile, local bool) []string {
		p := plan
		p.LocalAgent = local
		var out []string
		for _, r := range script.Apply(p, prof).Builds[0].Roles {
			out = append(out, r.Before)
		}
		return out
	}
	require.Equal(t, []string{"unset UCX_TLS", "", ""}, before(script.Profile{}, false))
	require.Equal(t, []string{"unset UCX_TLS UCX_NET_DEVICES", "unset UCX_TLS UCX_NET_DEVICES", "unset UCX_TLS UCX_NET_DEVICES"},
		before(script.Profile{UCX: "unset UCX_TLS UCX_NET_DEVICES"}, false))
	require.Equal(t, []string{"", "", ""}, before(script.Profile{UCX: "none"}, false))
	require.Equal(t, []string{"unset UCX_TLS", "", ""}, before(script.Profile{UCX: "none"}, true), "this machine is no cluster")
	require.Equal(t, "unset UCX_TLS", plan.Builds[0].Roles[0].Before, "the plan that it was given stays")
}

// A draft starts what it finds in its variables: the same stands in them.
func TestUCXUnderADraft(t *testing.T) {
	t.Parallel()
	exports := func(worker, other string) []rundir.EnvVar {
		return []rundir.EnvVar{
			{Name: "pytestCommandNoLLMAPILaunch", Value: "pytest"},
			{Name: "pytestCommand", Value: "pytest"},
			{Name: "pytestCommandWorker", Value: worker + "A=1 pytest"},
			{Name: "pytestCommandGENPrecheck", Value: worker + "check"},
			{Name: "pytestCommandBenchmark", Value: other + "B=2 pytest"},
			{Name: "numGenServers", Value: "1"},
		}
	}
	agg := func(before string) []rundir.EnvVar {
		return []rundir.EnvVar{{Name: "pytestCommandNoLLMAPILaunch", Value: "pytest"}, {Name: "pytestCommand", Value: before + "pytest"}}
	}
	const unset = "unset UCX_TLS"
	tests := []struct {
		name, ucx  string
		plan, want []rundir.EnvVar
	}{
		{"the workload's", "", exports(unset+" && ", ""), exports(unset+" && ", "")},
		{"the cluster's", "export UCX_TLS=^ib", exports(unset+" && ", ""), exports("export UCX_TLS=^ib && ", "export UCX_TLS=^ib && ")},
		{"nothing", "none", exports(unset+" && ", ""), exports("", "")},
		{"several lines", "unset UCX_TLS # first\nexport A=1\n", agg(""), agg("{ unset UCX_TLS # first\nexport A=1\n} && ")},
	}
	for _, tt := range tests {
		plan := rundir.Plan{Builds: []rundir.BuildPlan{{Roles: []rundir.RolePlan{{Name: "GEN_0", Kind: rundir.KindServer, Before: unset}}}}}
		plan.Exports = tt.plan
		require.Equal(t, tt.want, script.Apply(plan, script.Profile{UCX: tt.ucx}).Exports, tt.name)
		require.Equal(t, tt.plan, plan.Exports, "the plan that it was given stays")
	}
}
