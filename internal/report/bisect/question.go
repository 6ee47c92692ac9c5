package bisect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Question is what a search measures, beside its commits: digests of its parts, by what a person calls them. Values
// stay out of it, a part's environment may hold what nobody is to read.
type Question map[string]string

// Asks is the question of a session's plan, of how its builds are made, and of how it is judged. A part is left out
// that does not change what is measured: budgets, nodes to avoid, which GPUs of this machine are free.
func Asks(p rundir.Plan, cluster, makes string, perf any) Question {
	builds := slices.Clone(p.Builds)
	for i := range builds {
		builds[i].Roles = slices.Clone(builds[i].Roles)
		for j := range builds[i].Roles {
			r := &builds[i].Roles[j]
			r.Ready = rundir.Ready{}
			r.Slice = slices.Clone(r.Slice)
			for k := range r.Slice {
				r.Slice[k].Devices = nil
			}
		}
	}
	place := p.Allocation
	place.Avoid = nil
	var session rundir.PairPlan
	if p.Pairs != nil {
		session = rundir.PairPlan{MinPairs: p.Pairs.MinPairs, MaxPairs: p.Pairs.MaxPairs, Repeat: p.Pairs.Repeat}
	}
	q := Question{}
	for name, part := range map[string]any{
		"the roles, their commands and environment": []any{builds, p.Workdir, p.Env, p.Secrets},
		"the config of the test":                    []any{p.Case.ConfigSHA, p.Case.Vars, p.Case.Mode, p.Case.Server},
		"the cluster or its nodes":                  []any{cluster, place, p.LocalAgent, p.Match, p.Srun},
		"what is expected of a run":                 p.Expected,
		"builds.make":                               makes,
		"ab":                                        session,
		"perf":                                      perf,
	} {
		text, err := json.Marshal(part)
		if err != nil { // a number that JSON has not, say
			text = fmt.Append(nil, part)
		}
		sum := sha256.Sum256(text)
		q[name] = hex.EncodeToString(sum[:8])
	}
	return q
}

// Differs names the parts in which another question is another, "" = it is the same.
func (q Question) Differs(other Question) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if q[name] != other[name] {
			out = append(out, name)
		}
	}
	return strings.Join(out, "; ")
}
