package judging

import (
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/suspect"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Sights is what the machines of a run were seen to be, and how that is judged.
type Sights struct {
	Seen   []*machine.Seen // of each repetition, nil = nobody looked
	Limits rundir.MachineLimits
}

// judge notes with each repetition why its measurement may be the machine's.
// What was suspect until now and is usual from now on is said.
func (m Sights) judge(r *baseline.Record, past []baseline.Record) (settled []string) {
	var known []rundir.Machine
	for _, p := range past {
		for _, rep := range p.Repetitions {
			if rep.Machine != nil {
				known = append(known, *rep.Machine)
			}
		}
	}
	usual := suspect.UsualOf(known)
	for i, seen := range m.Seen {
		if seen == nil || i >= len(r.Repetitions) {
			continue
		}
		kept := seen.Kept()
		kept.Suspects = suspect.Judge(seen.Nodes, seen.Took, usual, m.Limits)
		r.Repetitions[i].Machine = kept
		if usual.Settled != "" {
			settled = []string{"machines: " + usual.Settled}
		}
	}
	return settled
}

// suspects are why the machines of a run are suspect, none where one of its repetitions
// was on machines that were as usual.
func suspects(r baseline.Record) []rundir.Suspicion {
	var all []rundir.Suspicion
	for _, rep := range r.Repetitions {
		if rep.Machine != nil && len(rep.Machine.Suspects) == 0 {
			return nil
		}
		if rep.Machine != nil {
			all = append(all, rep.Machine.Suspects...)
		}
	}
	return all
}

// probably says of a run on suspect machines, in a sentence, that it may be theirs.
func probably(r baseline.Record) string {
	text := suspect.Probably(suspects(r))
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// machine says of a case that is not green what suspect machines have to do with it: of
// this run, and of the one with which an open regression began.
func (t *trial) machine(out *Judgement) string {
	red := slices.ContainsFunc(out.Rows, func(r verdict.Row) bool { return r.Gate && r.Verdict.MayBeWorse() })
	switch {
	case !red:
		return ""
	case !out.Case.Open || out.Case.Alarm:
		return probably(out.Record)
	}
	var said []string
	if onset := out.Case.Onset; onset != nil {
		for _, r := range t.past.Runs {
			if all := suspects(r); r.ID == onset.Run && len(all) > 0 {
				said = append(said, "It began with a run on a suspect machine: "+suspect.Foremost(all)+".")
			}
		}
	}
	if all := suspects(out.Record); len(all) > 0 {
		said = append(said, "This run was on a suspect machine: "+suspect.Foremost(all)+".")
	}
	return strings.Join(said, " ")
}

// withMachine is a row in the light of the machines: what looks like a regression on
// suspect ones is measured again elsewhere, and told as probably theirs. A repetition on
// machines that were as usual shows that it was not.
func (t *trial) withMachine(row verdict.Row, q verdict.Question) verdict.Row {
	if row.Verdict != verdict.Regression && row.Verdict != verdict.Inconclusive || row.Open && !row.Alarm {
		return row
	}
	text := probably(t.Record)
	if text == "" {
		return row
	}
	row.Reason = text + " " + row.Reason
	if row.Gate && !row.Advisory && q.Policy.MayRepeat(q.Series) {
		row.Suspicious = true
	}
	return row
}
