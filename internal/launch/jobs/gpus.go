package jobs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// GPUsOf reads the numbers of this machine's GPUs, as nvidia-smi lists them, one a
// line. Where visible, $CUDA_VISIBLE_DEVICES of the caller, has numbers, those are all
// that may be taken.
func GPUsOf(listed, visible string) []int {
	var out []int
	for line := range strings.Lines(listed) {
		if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			out = append(out, n)
		}
	}
	var may []int
	for _, word := range strings.Split(visible, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(word)); err == nil {
			may = append(may, n)
		}
	}
	if len(may) > 0 {
		out = slices.DeleteFunc(out, func(n int) bool { return !slices.Contains(may, n) })
	}
	return out
}

// TakeGPUs gives every role of a plan for the local backend GPUs of its own of those
// that this machine has: the wanted ones, or the next free ones. Servers share a GPU
// only where the config names it for both. The roles of a machine without
// GPUs keep their numbers, and the plan says that they are make-believe.
func TakeGPUs(p rundir.Plan, have []int, wanted map[string][]int) (rundir.Plan, error) {
	if len(have) == 0 {
		p.MakeBelieve = true
		return p, nil
	}
	t := taking{have: have, given: map[string][]int{}}
	workers := slices.DeleteFunc(p.MainRoles(), func(r rundir.RolePlan) bool { return r.GPUs() == 0 || r.Overlap })
	for _, r := range workers {
		if list, ok := wanted[r.Name]; ok {
			if err := t.want(r, list); err != nil {
				return p, fmt.Errorf("%s: workload.gpus.%s: %w", p.Case.ID, r.Name, err)
			}
		}
	}
	need, short := 0, false
	for _, r := range workers {
		need += r.GPUs()
		t.next(r)
		short = short || t.given[r.Name] == nil
	}
	if short {
		return p, fmt.Errorf("%s takes %d GPUs, and this machine has %d (nvidia-smi): use fewer or smaller servers, a cluster, or let servers share GPUs that workload.gpus names", p.Case.ID, need, len(have))
	}
	slices.Sort(t.taken)
	need = len(slices.Compact(t.taken)) // what is shared is there once
	p.Builds = slices.Clone(p.Builds)
	for i := range p.Builds {
		p.Builds[i].Roles = t.place(p.Builds[i].Roles)
	}
	p.AllocatedGPUs, p.UsedGPUs = need, need
	return p, nil
}

// taking is who has which GPUs.
type taking struct {
	have  []int
	taken []int
	given map[string][]int // by role
}

// want takes the GPUs that the config names for a role.
func (t *taking) want(r rundir.RolePlan, list []int) error {
	if len(list) != r.GPUs() {
		return fmt.Errorf("%d GPUs are named, the role takes %d", len(list), r.GPUs())
	}
	for i, n := range list {
		switch {
		case !slices.Contains(t.have, n):
			return fmt.Errorf("there is no GPU %d here: %v are there", n, t.have)
		case slices.Contains(list[:i], n):
			return fmt.Errorf("GPU %d is named twice", n)
		}
		t.taken = append(t.taken, n)
	}
	t.given[r.Name] = list
	return nil
}

// next takes the next free GPUs for a role that has none yet, if there are enough.
func (t *taking) next(r rundir.RolePlan) {
	if t.given[r.Name] != nil {
		return
	}
	var out []int
	for _, n := range t.have {
		if len(out) < r.GPUs() && !slices.Contains(t.taken, n) {
			out = append(out, n)
		}
	}
	if len(out) == r.GPUs() {
		t.taken = append(t.taken, out...)
		t.given[r.Name] = out
	}
}

// place writes into roles which GPUs they have. A precheck runs before its worker, on
// the very same ones.
func (t *taking) place(roles []rundir.RolePlan) []rundir.RolePlan {
	roles = slices.Clone(roles)
	byNode := map[int][]int{} // workers have nodes of their own
	for _, precheck := range []bool{false, true} {
		for i, r := range roles {
			if (r.Kind == rundir.KindPrecheck) != precheck || r.Overlap || r.GPUs() == 0 {
				continue
			}
			left := t.given[r.Name]
			roles[i].Slice = slices.Clone(r.Slice)
			for k, share := range r.Slice {
				if !precheck {
					byNode[share.Node], left = left[:share.GPUs], left[share.GPUs:]
				}
				roles[i].Slice[k].Devices = byNode[share.Node]
			}
		}
	}
	return roles
}
