package judging

import (
	"reflect"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// Replayed is one run of a history that was judged afterwards.
type Replayed struct {
	Record  baseline.Record // with its verdicts
	Changed bool            // it was stored with others, or with none
}

// Replay judges the runs of a store that were brought in without being judged here,
// by hand or from elsewhere, as if each had been judged when it was measured: a
// regression among them is open, with its onset and the level before it, for whatever
// comes next. Runs that were judged here stay as they were. mode is that of cases whose
// match values do not say it.
func (s Setup) Replay(records []baseline.Record, mode string) []Replayed {
	ofCase := map[string][]baseline.Record{}
	var order []string
	for _, r := range records {
		if ofCase[r.Case] == nil {
			order = append(order, r.Case)
		}
		ofCase[r.Case] = append(ofCase[r.Case], r)
	}
	var out []Replayed
	for _, id := range order {
		out = append(out, s.replayCase(ofCase[id], mode)...)
	}
	return out
}

// replayCase goes night by night through the runs of a case.
func (s Setup) replayCase(records []baseline.Record, mode string) []Replayed {
	withdrawn := baseline.Withdrawn{}
	var known, runs []baseline.Record // what has been by then; what is to come
	for _, r := range records {
		switch {
		case r.Kind != baseline.KindRun:
			known = append(known, r)
			if r.Kind == baseline.KindWithdraw {
				withdrawn[r.Act.Target] = true
			}
		case r.Counts():
			runs = append(runs, r)
		default:
		}
	}
	slices.SortStableFunc(runs, func(a, b baseline.Record) int { return a.Time.Compare(b.Time) })
	s.Policy.RerunsUnavailable = true
	var out []Replayed
	for _, r := range runs {
		if r.Source != baseline.SourceOwn || r.Verdict == "" {
			was := r
			if !withdrawn.Has(r) {
				r = s.replayRun(r, known, mode)
				out = append(out, Replayed{Record: r, Changed: !reflect.DeepEqual(r, was)})
			}
		}
		known = append(known, r)
	}
	return out
}

// Again judges a run as if known were all that its store holds, whatever it was judged
// to be.
func Again(s Setup, r baseline.Record, mode string, known []baseline.Record) Judgement {
	s.Policy.RerunsUsed = max(0, len(r.Repetitions)-1)
	setup, subject := prepare(s, Subject{Record: r.Unjudged(), Mode: mode})
	q, _ := setup.query(subject)
	p := past{History: baseline.Among(known, q)}
	p.keepBefore(setup, subject.Record)
	return against(setup, subject, p)
}

func (s Setup) replayRun(r baseline.Record, known []baseline.Record, mode string) baseline.Record {
	judged := Again(s, r, mode, known).Record
	if !judged.Valid { // it counts in the store, whatever its numbers are
		return r
	}
	return judged
}
