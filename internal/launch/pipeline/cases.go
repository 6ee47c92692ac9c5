package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/generic"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// configured says which of the config's own cases are meant.
type configured struct {
	any bool
	generic.Pick
	lists []string // those that have other tests, too
}

// sorted tells ids of configured cases from TensorRT-LLM's test ids. Nothing named is
// every configured case.
func (r Request) sorted() (mine configured, theirs []string, err error) {
	ids := r.Config.IDs()
	own := r.own(ids)
	mine.Cases, mine.Tags = slices.Clone(r.Cases), r.Tags
	for _, t := range r.Tests {
		if own(t) {
			mine.Cases = append(mine.Cases, t)
		} else {
			theirs = append(theirs, t)
		}
	}
	mine.Listed, mine.lists = r.listed(own)
	named := len(mine.Cases)+len(mine.Tags)+len(mine.Listed) > 0
	mine.any = named || len(ids) > 0 && len(r.Tests)+len(r.Lists) == 0
	switch {
	case named && len(ids) == 0:
		return mine, nil, errors.New("--case and --tag choose among the cases of the config's pipelines, and it has none: see docs/pipelines.md")
	case !mine.any && len(theirs)+len(r.Lists) == 0:
		return mine, nil, errors.New("which tests? Give test ids, or --test-list FILE; or write pipelines: into the config")
	}
	return mine, theirs, nil
}

// own tells ids of configured cases, and patterns of them, from those of tests. What is neither is taken for a
// misspelt case where no test could be planned: it is answered with the names that there are.
func (r Request) own(ids []string) func(id string) bool {
	w := r.Config.Workload
	alone := len(ids) > 0 && w.Source == "" && w.DisaggConfigs == "" && w.AggConfigs == ""
	return func(t string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return generic.Match(t, id) }) || alone && !strings.Contains(t, "::")
	}
}

// generic plans the configured cases that are meant. alone says that there are no
// others in the suite.
func (s Suite) generic(pick configured, alone bool) ([]rundir.Plan, error) {
	r := s.request
	shared, warnings, err := s.workload.common()
	if err != nil {
		return nil, err
	}
	in := generic.Input{
		Config: r.Config.Config, Doc: r.Doc, Base: r.Base,
		Cluster: generic.Cluster{
			Name: s.Cluster, GPUsPerNode: s.Profile.GPUsPerNode, MaxNodes: s.Profile.MaxNodes, GPUType: s.Profile.GPUType,
			Time: s.Profile.Time, Elsewhere: s.elsewhere(),
		},
		Local: s.Backend == rundir.BackendLocal, Stage: s.Stage, Budgets: r.Config.Budgets,
		Shared: shared, Pick: pick.Pick,
	}
	plans, err := generic.Resolve(in)
	if err != nil {
		return nil, err
	}
	if keys := s.workload.unused(); alone && len(keys) > 0 {
		warnings = append(warnings, strings.Join(keys, ", ")+": for TensorRT-LLM's tests alone; roles of a pipeline say it themselves")
	}
	for i := range plans {
		plans[i].Warnings = append(slices.Clone(warnings), plans[i].Warnings...)
	}
	return r.part(plans, alone)
}

// part is the shard, or the one case, that was asked for.
func (r Request) part(plans []rundir.Plan, alone bool) ([]rundir.Plan, error) {
	i, n, err := parseShard(r.Shard)
	switch {
	case err != nil:
		return nil, err
	case r.SplitGroup < 0 || r.SplitGroup > 0 && (n > 0 || !alone):
		return nil, fmt.Errorf("--split-group %d: it is the number of one case from 1, without --shard, of a suite that is all the config's or all a list's", r.SplitGroup)
	case r.SplitGroup > len(plans):
		return nil, fmt.Errorf("--split-group %d is behind the end: there are %s", r.SplitGroup, plain.Count(len(plans), "case"))
	case r.SplitGroup > 0:
		return plans[r.SplitGroup-1 : r.SplitGroup], nil
	case n == 0:
		return plans, nil
	}
	var out []rundir.Plan
	for at := i - 1; at < len(plans); at += n {
		out = append(out, plans[at])
	}
	if len(out) == 0 && alone {
		return nil, fmt.Errorf("--shard %s is empty: there are %s, use at most as many parts", r.Shard, plain.Count(len(plans), "case"))
	}
	return out, nil
}
