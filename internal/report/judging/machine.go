package judging

import (
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
func (m Sights) judge(r *baseline.Record, past []baseline.Record) {
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
	}
}

// withMachine is a row in the light of the machines: what looks like a regression on
// suspect ones is measured again elsewhere, and told as probably theirs. A repetition on
// machines that were as usual shows that it was not.
func (t *trial) withMachine(row verdict.Row, q verdict.Question) verdict.Row {
	if row.Verdict != verdict.Regression && row.Verdict != verdict.Inconclusive || row.Open && !row.Alarm {
		return row
	}
	var all []rundir.Suspicion
	for _, rep := range t.Record.Repetitions {
		if rep.Machine != nil && len(rep.Machine.Suspects) == 0 {
			return row
		}
		if rep.Machine != nil {
			all = append(all, rep.Machine.Suspects...)
		}
	}
	if len(all) == 0 {
		return row
	}
	text := suspect.Probably(all)
	row.Reason = strings.ToUpper(text[:1]) + text[1:] + ". " + row.Reason
	if row.Gate && !row.Advisory && q.Policy.MayRepeat(q.Series) {
		row.Suspicious = true
	}
	return row
}
