package judging

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// places says on what the runs of a history were, as finely as it repeats itself: the
// usual difference between cards is known where each was used several times, on a large
// cluster only that between groups of nodes.
type places struct {
	of     func(baseline.Repetition) string
	lemons []lemons.Lemon // whose slowness is taken out
}

// placesOf are those that fit a history: cards where they are known and recur, else
// nodes, else groups of nodes.
func placesOf(runs []baseline.Record, known []lemons.Lemon) places {
	for _, of := range []func(baseline.Repetition) string{cardsOf, hostsOf} {
		if recur(runs, of) {
			return places{of: of, lemons: known}
		}
	}
	return places{of: groupOf, lemons: known}
}

// recur reports whether most runs were where several others have been, and not all of
// them in one place.
func recur(runs []baseline.Record, of func(baseline.Repetition) string) bool {
	var all []string
	for _, r := range runs {
		for _, rep := range r.Repetitions {
			all = append(all, of(rep))
		}
	}
	known := 0
	groups := bws.CountNodes(all)
	for _, n := range groups {
		if n >= bws.NodeRuns {
			known += n
		}
	}
	return len(groups) > 1 && 3*known >= 2*len(all)
}

// cardsOf names the cards of a repetition, "" where one of its nodes did not tell.
func cardsOf(r baseline.Repetition) string {
	if r.Machine == nil {
		return ""
	}
	var ids, told []string
	for _, c := range r.Machine.Cards {
		if c.UUID == "" {
			return ""
		}
		ids, told = append(ids, c.UUID), append(told, c.Node)
	}
	if len(ids) == 0 || slices.ContainsFunc(r.Nodes, func(n string) bool { return !slices.Contains(told, n) }) {
		return ""
	}
	slices.Sort(ids)
	if len(ids) <= 2 {
		return strings.Join(ids, "+")
	}
	sum := sha256.Sum256([]byte(strings.Join(ids, " ")))
	return hostsOf(r) + " (cards " + hex.EncodeToString(sum[:3]) + ")"
}

// hostsOf names the nodes of a repetition. One that has been given a group keeps it.
func hostsOf(r baseline.Repetition) string {
	if len(r.Nodes) == 0 || len(r.Nodes) > 8 || r.NodeSet != "" && r.NodeSet != baseline.NodeGroup(r.Nodes) {
		return groupOf(r)
	}
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(r.Nodes))), "+")
}

func groupOf(r baseline.Repetition) string {
	if r.NodeSet != "" {
		return r.NodeSet
	}
	return baseline.NodeGroup(r.Nodes)
}

// run is what the verdict sees of one measurement.
func (p places) run(r baseline.Record, m baseline.Measurement) verdict.Run {
	run := verdict.Run{
		ID: r.ID, Time: r.Time, Commit: r.Build.Commit, Values: m.Values,
		Verdict: m.Verdict, Open: m.Open, Level: m.Level, Onset: m.Onset,
		Shown: m.Verdict == verdict.Regression && r.Verdict != verdict.Regression, // the worst that decided was none
	}
	sets, slower := make([]string, len(m.Values)), make([]float64, len(m.Values))
	for i := range m.Values {
		rep := i
		if len(m.Reps) > 0 {
			rep = m.Reps[i]
		}
		if rep < 0 || rep >= len(r.Repetitions) {
			continue
		}
		sets[i] = p.of(r.Repetitions[rep])
		var on string
		if slower[i], on = lemons.Slower(p.lemons, r.Repetitions[rep]); on != "" && run.SlowOn == "" {
			run.SlowOn = on
		}
	}
	if len(sets) > 0 {
		run.NodeSet = sets[0]
	}
	if len(slices.Compact(slices.Clone(sets))) > 1 {
		run.NodeSets = sets
	}
	if run.SlowOn != "" {
		run.Slower = slower
	}
	return run
}
