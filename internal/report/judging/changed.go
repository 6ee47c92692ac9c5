package judging

import (
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/changed"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// comparedBefore is how many runs before an onset are compared with those since.
const comparedBefore = 10

// whatChanged says what else was different when a regression began, nil where none has
// or its first run is not among those that are known.
func (t *trial) whatChanged(onset *verdict.Onset, own baseline.Record) *changed.Difference {
	if onset == nil {
		return nil
	}
	runs := append(slices.Clone(t.past.Runs), own)
	at := slices.IndexFunc(runs, func(r baseline.Record) bool { return r.ID == onset.Run })
	if at <= 0 {
		return nil
	}
	var all []changed.Run
	for _, r := range runs {
		f := fingerprint(r)
		f.Commands = t.Mode == rundir.ModeCustom
		all = append(all, f)
	}
	d := changed.Between(all[max(0, at-comparedBefore):at], all[at:])
	return &d
}

// fingerprint is what is known of a run's software and machines.
func fingerprint(r baseline.Record) changed.Run {
	out := changed.Run{Commit: r.Build.Commit, Image: r.Container}
	for _, rep := range r.Repetitions {
		out.Nodes = append(out.Nodes, rep.Nodes...)
		if rep.Machine == nil {
			continue
		}
		if len(rep.Machine.Facts) > 0 {
			out.Facts = append(out.Facts, rep.Machine.Facts)
		}
		for _, card := range rep.Machine.Cards {
			if card.UUID != "" {
				out.Cards = append(out.Cards, card.UUID)
			}
		}
	}
	return out
}
