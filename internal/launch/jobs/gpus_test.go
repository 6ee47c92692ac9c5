package jobs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// four is what nvidia-smi --query-gpu=index --format=csv,noheader says of a machine with four GPUs.
const four = "0\n1\n2\n3\n"

func plan(servers ...int) rundir.Plan {
	p := rundir.Plan{Case: rundir.Case{ID: "c"}, Allocation: rundir.Allocation{Nodes: len(servers), GPUsPerNode: 4, AllocatedGPUs: 4 * len(servers)}}
	var pre, roles []rundir.RolePlan
	for i, n := range servers {
		slice := []rundir.NodeShare{{Node: i, Tasks: 1, GPUs: n}}
		name := string(rune('a' + i))
		pre = append(pre, rundir.RolePlan{Name: name + "_PRECHECK", Kind: rundir.KindPrecheck, Slice: slice})
		roles = append(roles, rundir.RolePlan{Name: name, Kind: rundir.KindServer, Slice: slice})
	}
	roles = append(roles, rundir.RolePlan{Name: "client", Kind: rundir.KindClient, Overlap: true, Slice: []rundir.NodeShare{{Tasks: 1}}})
	p.Builds = []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: append(pre, roles...)}}
	return p
}

func devices(p rundir.Plan) map[string][]int {
	out := map[string][]int{}
	for _, r := range p.Roles() {
		for _, s := range r.Slice {
			if s.Devices != nil {
				out[r.Name] = append(out[r.Name], s.Devices...)
			}
		}
	}
	return out
}

// Two servers of one case never share a GPU, and no more are given than there are.
func TestServersGetDifferentGPUs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		plan    rundir.Plan
		visible string
		wanted  map[string][]int
		want    map[string][]int
		err     string
	}{
		"numbered through":    {plan: plan(1, 2), want: map[string][]int{"a": {0}, "b": {1, 2}, "a_PRECHECK": {0}, "b_PRECHECK": {1, 2}}},
		"all of them":         {plan: plan(2, 2), want: map[string][]int{"a": {0, 1}, "b": {2, 3}, "a_PRECHECK": {0, 1}, "b_PRECHECK": {2, 3}}},
		"named":               {plan: plan(1, 2), wanted: map[string][]int{"b": {0, 3}}, want: map[string][]int{"a": {1}, "b": {0, 3}, "a_PRECHECK": {1}, "b_PRECHECK": {0, 3}}},
		"of a part":           {plan: plan(1, 1), visible: "2,3", want: map[string][]int{"a": {2}, "b": {3}, "a_PRECHECK": {2}, "b_PRECHECK": {3}}},
		"too many":            {plan: plan(2, 4), err: "c takes 6 GPUs, and this machine has 4 (nvidia-smi)"},
		"too many of a part":  {plan: plan(2), visible: "1", err: "c takes 2 GPUs, and this machine has 1"},
		"named twice":         {plan: plan(2), wanted: map[string][]int{"a": {1, 1}}, err: "c: workload.gpus.a: GPU 1 is named twice"},
		"shared on purpose":   {plan: plan(1, 1), wanted: map[string][]int{"a": {1}, "b": {1}}, want: map[string][]int{"a": {1}, "b": {1}, "a_PRECHECK": {1}, "b_PRECHECK": {1}}},
		"the rest is taken":   {plan: plan(1, 1), visible: "2", wanted: map[string][]int{"a": {2}}, err: "c takes 2 GPUs, and this machine has 1"},
		"named, but not here": {plan: plan(1), wanted: map[string][]int{"a": {7}}, err: "workload.gpus.a: there is no GPU 7 here: [0 1 2 3] are there"},
		"too few named":       {plan: plan(2), wanted: map[string][]int{"a": {1}}, err: "workload.gpus.a: 1 GPUs are named, the role takes 2"},
	} {
		p, err := TakeGPUs(tc.plan, GPUsOf(four, tc.visible), tc.wanted)
		if tc.err != "" {
			require.ErrorContains(t, err, tc.err, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, tc.want, devices(p), name)
		require.False(t, p.MakeBelieve)
		require.Equal(t, p.UsedGPUs, p.AllocatedGPUs, "nobody else is kept from the rest")
	}
	p, err := TakeGPUs(plan(2, 4), GPUsOf("", ""), nil)
	require.NoError(t, err)
	require.True(t, p.MakeBelieve)
	require.Equal(t, 8, p.AllocatedGPUs, "as planned")
}
