package trends

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/changed"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Night is one recorded run of a case, as far as pages show it.
type Night struct {
	ID, Run, Commit, URL, Image string
	Time, CommitTime            time.Time
	Depth                       int
	Verdict                     verdict.Word
	Why                         string // it is not valid, "" = it is
	Changed                     string // beside the commit, where the run raised a regression
	Nodes                       []string
	Facts                       map[string]string // of the machine, nil = nobody looked
	Suspects                    []string          // why the measurement may be the machine's
	Values                      []Value
	Hours                       map[string]float64 // GPU-hours by cause, nil = not recorded
}

// Value is one metric of a night.
type Value struct {
	Point, Metric, Unit string
	Value               float64
	Reps                int
	Verdict             verdict.Word
	Open                bool
	Level               float64
	Onset               string
}

// History is all nights of one case with the same match values on one branch.
type History struct {
	Case, Branch, Cluster string
	CaseMode              string // of the newest night, as its record has it
	Match                 map[string]string
	Nights                []Night // in the order of their commits
	Acts                  []baseline.Record
}

// Gathered is what a store holds, case by case.
type Gathered struct {
	Store     string
	Histories []*History
	Warnings  []string
	Read      int // records that were read now; the others were known

	texts texts
}

// maxWhy bounds what a night keeps of why it is not valid.
const maxWhy = 300

// overlap is how long before the newest known run the store is read again: a night's runs end
// in any order, and are stored when they end.
const overlap = 14 * 24 * time.Hour

// Gather reads a store. What known holds is not read again but for its newest days; nil
// reads everything, and so does an act by which people have changed stored runs since.
func Gather(ctx context.Context, store baseline.Store, since time.Time, known *Cache) (Gathered, error) {
	out := Gathered{Store: store.String(), texts: texts{}}
	acts, rewritten, err := readActs(ctx, store, &out)
	if err != nil {
		return out, err
	}
	from := since
	if known.fits(out.Store, since, rewritten) {
		if at := known.Newest.Add(-overlap); at.After(from) {
			from = at
		}
		out.Histories = known.Histories
	} else {
		known = nil
	}
	index := map[string]*History{}
	for _, h := range out.Histories {
		h.Nights = slices.DeleteFunc(h.Nights, func(n Night) bool { return !n.Time.Before(from) || n.Time.Before(since) })
		index[h.key()] = h
	}
	warnings, err := store.Each(ctx, baseline.Filter{Kinds: []baseline.Kind{baseline.KindRun}, Mode: baseline.ModeNightly, Since: from}, func(r baseline.Record) error {
		out.Read++
		out.add(index, r)
		return nil
	})
	out.Warnings = append(out.Warnings, warnings...)
	if err != nil {
		return out, err
	}
	out.arrange(acts)
	return out, nil
}

// readActs reads what people did. rewritten is when runs were last changed in place.
func readActs(ctx context.Context, store baseline.Store, out *Gathered) (acts []baseline.Record, rewritten time.Time, err error) {
	kinds := []baseline.Kind{baseline.KindAccept, baseline.KindWithdraw, baseline.KindPrune, baseline.KindImport, baseline.KindSplit, baseline.KindReplay}
	out.Warnings, err = store.Each(ctx, baseline.Filter{Kinds: kinds}, func(r baseline.Record) error {
		switch r.Kind {
		case baseline.KindAccept, baseline.KindWithdraw:
			acts = append(acts, r)
		default:
			if r.Act.At.After(rewritten) {
				rewritten = r.Act.At
			}
		}
		return nil
	})
	return acts, rewritten, err
}

func (h *History) key() string {
	return strings.Join([]string{h.Case, baseline.MatchKey(h.Match), h.Branch}, "\x00")
}

// record is a run of the history as far as all of them are alike.
func (h *History) record() baseline.Record {
	return baseline.Record{Case: h.Case, Match: h.Match, Beside: baseline.Beside{CaseMode: h.CaseMode}}
}

// run is a night as the store knows it, as far as its id and its place in the history go.
func (h *History) run(n Night) baseline.Record {
	r := h.record()
	r.Kind, r.ID, r.Run, r.Time = baseline.KindRun, n.ID, n.Run, n.Time
	r.Build = rundir.Build{Mode: baseline.ModeNightly, Branch: h.Branch, Commit: n.Commit, Depth: n.Depth}
	if !n.CommitTime.IsZero() {
		r.Build.CommitTime = &n.CommitTime
	}
	return r
}

// add notes a run.
func (g *Gathered) add(index map[string]*History, r baseline.Record) {
	h := &History{Case: r.Case, Branch: r.Branch(), Match: r.Match}
	if known, ok := index[h.key()]; ok {
		h = known
	} else {
		index[h.key()] = h
		g.Histories = append(g.Histories, h)
	}
	if c := r.Cluster; c != "" {
		h.Cluster = c
	}
	h.CaseMode = r.CaseMode // they come from old to new
	n := Night{
		ID: r.ID, Run: r.Run, Commit: r.Build.Commit, URL: r.Build.URL, Image: r.Container, Time: r.Time, Depth: r.Build.Depth,
		Verdict: r.Verdict, Changed: r.Changed, Hours: r.GPUHours,
	}
	if r.Build.CommitTime != nil {
		n.CommitTime = *r.Build.CommitTime
	}
	if !r.Valid {
		n.Verdict = verdict.Invalid
		if len(r.Problems) > 0 {
			n.Why = plain.Cut(r.Problems[0], maxWhy)
		}
	}
	for _, rep := range r.Repetitions {
		n.Nodes = append(n.Nodes, rep.Nodes...)
		if rep.Machine == nil {
			continue
		}
		if n.Facts == nil {
			n.Facts = rep.Machine.Facts
		}
		for _, s := range rep.Machine.Suspects {
			n.Suspects = append(n.Suspects, s.Text)
		}
	}
	if r.Valid {
		n.Values = make([]Value, 0, len(r.Measurements))
		for _, m := range r.Measurements {
			n.Values = append(n.Values, Value{
				Point: m.Point, Metric: m.Metric, Unit: m.Unit, Value: m.Value(), Reps: len(m.Values),
				Verdict: m.Verdict, Open: m.Open, Level: m.Level, Onset: m.Onset,
			})
		}
	}
	h.append(n, g.texts)
}

// append adds a night. What it says in the words of others it shares with them: a year of nights says the same few
// thousand words a million times.
func (h *History) append(n Night, in texts) {
	for _, s := range []*string{&n.Run, &n.Commit, &n.URL, &n.Image, &n.Why, (*string)(&n.Verdict)} {
		*s = in.shared(*s)
	}
	for i := range n.Nodes {
		n.Nodes[i] = in.shared(n.Nodes[i])
	}
	for i := range n.Values {
		v := &n.Values[i]
		for _, s := range []*string{&v.Point, &v.Metric, &v.Unit, &v.Onset, (*string)(&v.Verdict)} {
			*s = in.shared(*s)
		}
	}
	if last := len(h.Nights) - 1; last >= 0 && n.Facts != nil && maps.Equal(h.Nights[last].Facts, n.Facts) {
		n.Facts = h.Nights[last].Facts
	}
	h.Nights = append(h.Nights, n)
}

// texts are kept once each.
type texts map[string]string

// shared is the first text that was like s.
func (t texts) shared(s string) string {
	if s == "" {
		return ""
	}
	if known, ok := t[s]; ok {
		return known
	}
	s = strings.Clone(s) // not the whole record that it is cut from
	t[s] = s
	return s
}

// arrange orders the nights, and gives each history what people did to it. Histories of older
// versions that others go on with are joined by nobody: they stand for themselves.
func (g *Gathered) arrange(acts []baseline.Record) {
	withdrawn := baseline.Withdrawn{}
	accepts := map[string][]baseline.Record{}
	for _, a := range acts {
		if a.Kind == baseline.KindWithdraw {
			withdrawn[a.Act.Target] = true
			continue
		}
		key := (&History{Case: a.Case, Branch: a.Branch(), Match: a.Match}).key()
		accepts[key] = append(accepts[key], a)
	}
	for _, h := range g.Histories {
		h.Nights = slices.DeleteFunc(h.Nights, func(n Night) bool { return withdrawn.Has(h.run(n)) })
		h.order()
		h.Acts = accepts[h.key()]
	}
	g.Histories = slices.DeleteFunc(g.Histories, func(h *History) bool { return len(h.Nights) == 0 })
	slices.SortStableFunc(g.Histories, func(a, b *History) int {
		return strings.Compare(a.Case+"\x00"+a.Cluster+"\x00"+a.Branch, b.Case+"\x00"+b.Cluster+"\x00"+b.Branch)
	})
}

// order sorts the nights by their place in the branch's history, as a verdict does.
func (h *History) order() {
	records := make([]baseline.Record, len(h.Nights))
	byID := make(map[string]Night, len(h.Nights))
	for i, n := range h.Nights {
		records[i], byID[n.ID] = h.run(n), n
	}
	slices.SortStableFunc(records, func(a, b baseline.Record) int { return a.Time.Compare(b.Time) })
	for i, r := range baseline.InOrder(records) {
		h.Nights[i] = byID[r.ID]
	}
}

// Machine is a change of what a case ran on.
type Machine struct {
	Night        Night
	Fact         string
	Before, Then string
}

// Machines are the changes of what the nights ran on, newest first. Nodes change every night
// and are none.
func (h *History) Machines() []Machine {
	var out []Machine
	for i := 1; i < len(h.Nights); i++ {
		before, then := h.Nights[i-1], h.Nights[i]
		if before.Image == then.Image && maps.Equal(before.Facts, then.Facts) {
			continue
		}
		for _, item := range changed.Between([]changed.Run{before.software()}, []changed.Run{then.software()}).Items {
			out = append(out, Machine{Night: then, Fact: item.Fact, Before: item.Before, Then: item.After})
		}
	}
	slices.Reverse(out)
	return out
}

// software is what is known of a night's software and machines, but its nodes.
func (n Night) software() changed.Run {
	r := changed.Run{Commit: n.Commit, Image: n.Image}
	if len(n.Facts) > 0 {
		r.Facts = []map[string]string{n.Facts}
	}
	return r
}

// Series is one metric of a history.
type Series struct {
	*History
	Point  string
	Metric metric.Metric
	Gates  bool    // by the settings; the others are advisory: shown, never red
	Nights []Point // those that measured it
	Spells []Spell // regressions, oldest first
	Levels []Level
}

// Point is one night of a series.
type Point struct {
	Night *Night
	*Value
}

// Options say what is gathered.
type Options struct {
	Setup judging.Setup // by which metrics gate
	All   bool          // also metrics that do not gate
}

// Series are the metrics of a history that are shown: those that gate, and those that have been
// judged a regression.
func (h *History) Series(o Options) []Series {
	type key struct{ point, metric string }
	index := map[key]int{}
	var out []Series
	for i := range h.Nights {
		n := &h.Nights[i]
		for k := range n.Values {
			v := &n.Values[k]
			at, seen := index[key{v.Point, v.Metric}]
			if !seen {
				def, known := o.Setup.Metrics.Lookup(v.Metric)
				if !known {
					def = metric.Metric{Name: v.Metric, Unit: v.Unit}
				}
				at = len(out)
				index[key{v.Point, v.Metric}] = at
				out = append(out, Series{History: h, Point: v.Point, Metric: def, Nights: make([]Point, 0, len(h.Nights)-i)})
			}
			out[at].Nights = append(out[at].Nights, Point{Night: n, Value: v})
		}
	}
	told := map[*Night]bool{} // red by a series that gates
	for i := range out {
		s := &out[i]
		s.Gates = o.Setup.Gates(h.record(), s.Point, s.Metric)
		for _, p := range s.Nights {
			if s.Gates && p.red() {
				told[p.Night] = true
			}
		}
	}
	out = slices.DeleteFunc(out, func(s Series) bool { return !o.All && !s.Gates && !slices.ContainsFunc(s.Nights, Point.red) })
	for i := range out {
		out[i].spells(told)
		out[i].levels()
	}
	return out
}

func (p Point) red() bool { return p.Verdict == verdict.Regression }

// Name is the series within its case.
func (s Series) Name() string { return strings.TrimPrefix(s.Point+" "+s.Metric.Name, " ") }

// Where is the cluster and the branch.
func (h *History) Where() string {
	if h.Cluster == "" {
		return h.Branch
	}
	return fmt.Sprintf("%s, %s", h.Cluster, h.Branch)
}
