package baseline

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Passes reports whether the filter selects the record.
func (f Filter) Passes(r Record) bool {
	switch {
	case len(f.IDs) > 0 && !slices.Contains(f.IDs, r.ID),
		len(f.Kinds) > 0 && !slices.Contains(f.Kinds, r.Kind),
		f.Case != "" && r.Case != f.Case,
		f.Branch != "" && r.Branch() != NormalBranch(f.Branch),
		f.Counts && !r.Counts(),
		f.Mode != "" && (r.Kind != KindRun || r.Build.Mode != f.Mode),
		!f.Since.IsZero() && r.Time.Before(f.Since),
		!f.Before.IsZero() && !r.Time.Before(f.Before):
		return false
	}
	for k, v := range f.Match {
		if r.Match[k] != v {
			return false
		}
	}
	return true
}

// picker takes the records of a series from new to old and keeps those that a
// query asks for.
type picker struct {
	identity
	q         Query
	withdrawn Withdrawn
	acts      []Record
	atBase    []Record // from the newest run of the merge base on
	byTime    []Record // begun when the merge base was committed, or before
	newest    []Record
}

func newPicker(q Query) *picker {
	return &picker{q: q, identity: identityOf(q.Match), withdrawn: Withdrawn{}}
}

func (p *picker) act(r Record) {
	if !p.sameSeries(r) {
		return
	}
	switch r.Kind {
	case KindWithdraw:
		p.withdrawn[r.Act.Target] = true
	case KindAccept:
		p.acts = append(p.acts, r)
	default:
	}
}

// sameSeries guards against two cases that share a slug, too.
func (p *picker) sameSeries(r Record) bool { return r.Case == p.q.Case && p.has(r) }

// run is false once the query is answered.
func (p *picker) run(r Record) bool {
	q := p.q
	if !r.Counts() || !p.sameSeries(r) || r.Branch() != NormalBranch(q.Branch) || p.excepts(r) || p.isWithdrawn(r) ||
		!q.Before.IsZero() && !r.Time.Before(q.Before) || !q.Since.IsZero() && r.Time.Before(q.Since) || p.elsewhere(r) {
		return true
	}
	want := q.runs()
	if q.MergeBase == "" {
		p.newest = append(p.newest, r)
		return len(p.newest) < want
	}
	if len(p.atBase) > 0 || rundir.SameCommit(r.Build.Commit, q.MergeBase) {
		p.atBase = append(p.atBase, r)
		return len(p.atBase) < want
	}
	if len(p.newest) < want {
		p.newest = append(p.newest, r)
	}
	if len(p.byTime) < want && !q.MergeBaseTime.IsZero() && !r.Time.After(q.MergeBaseTime) {
		p.byTime = append(p.byTime, r)
	}
	return true
}

// inherits reports whether any run so far was kept under the match values of an earlier version.
func (p *picker) inherits() bool {
	return slices.ContainsFunc(slices.Concat(p.newest, p.atBase, p.byTime), func(r Record) bool { return !maps.Equal(r.Match, p.match) })
}

// excepts reports whether a run is the one being judged, also where it was stored as one of an older series.
func (p *picker) excepts(r Record) bool {
	same := p.q.Except != "" && (r.ID == p.q.Except || r.Rehomed(p.match).ID == p.q.Except)
	if same {
		p.twins[r.ID] = p.q.Except
	}
	return same
}

// isWithdrawn reports whether a run is not to be counted, under whichever match values of the series that was said.
func (p *picker) isWithdrawn(r Record) bool {
	return p.withdrawn.Has(r) || len(p.withdrawn) > 0 && p.withdrawn.Has(r.Rehomed(p.match))
}

// history is the answer, oldest first.
func (p *picker) history() History {
	h := History{Runs: p.newest, Acts: p.acts}
	if p.q.MergeBase != "" {
		switch {
		case len(p.atBase) > 0:
			h.Runs = p.atBase
		case !p.q.MergeBaseTime.IsZero():
			h.Runs = p.byTime
		default:
			h.Warnings = append(h.Warnings, fmt.Sprintf(
				"no run of the merge base %.12s is in the history and its commit time is unknown: compared with the newest runs of %s",
				p.q.MergeBase, NormalBranch(p.q.Branch)))
		}
	}
	var doubt string
	if h.Runs, doubt = p.own(h.Runs); doubt != "" {
		h.Warnings = append(h.Warnings, doubt)
	}
	slices.Reverse(h.Runs)
	h.Runs = InOrder(h.Runs)
	h.Acts = slices.DeleteFunc(h.Acts, func(r Record) bool { return p.refused[r.Act.Target] })
	for i, a := range h.Acts { // what was accepted of a run goes with it
		if twin := p.twins[a.Act.Target]; twin != "" {
			act := *a.Act
			act.Target, h.Acts[i].Act = twin, &act
		}
	}
	slices.Reverse(h.Acts)
	for end := len(h.Runs); end > 0 && len(p.atBase) > 0; end-- {
		if rundir.SameCommit(h.Runs[end-1].Build.Commit, p.q.MergeBase) {
			return h.Until(end, p.newest...) // later commits may have been measured before the base was measured again
		}
	}
	return h
}

// Until is the history up to a place in it. What was accepted at a later place, or of one of the runs besides, says
// nothing of what is left.
func (h History) Until(end int, besides ...Record) History {
	later := slices.Concat(h.Runs[end:], besides)
	h.Runs = h.Runs[:end:end]
	h.Acts = slices.DeleteFunc(slices.Clone(h.Acts), func(a Record) bool {
		return slices.ContainsFunc(later, func(r Record) bool { return r.ID == a.Act.Target })
	})
	return h
}
