package compare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// Schema is the version of Document. It grows when a field changes its meaning or goes.
const Schema = 1

// Document is a comparison.
type Document struct {
	Schema   int      `json:"schema"`
	A        Named    `json:"a"`
	B        Named    `json:"b"`
	Counts   Counts   `json:"counts"`
	Rows     []Row    `json:"rows"`               // the worst first
	Unfair   []Unfair `json:"unfair,omitempty"`   // what else differs than what is compared
	OnlyA    []string `json:"only_a,omitempty"`   // measured on one side only: case, or case point
	OnlyB    []string `json:"only_b,omitempty"`   //
	Warnings []string `json:"warnings,omitempty"` //
}

// Named is one of the two sides.
type Named struct {
	Given string `json:"given"`           // as it was named
	Name  string `json:"name"`            // what that is
	From  string `json:"from"`            // the store or the run directory
	Runs  int    `json:"runs"`            // that it selects, of all cases
	First string `json:"first,omitempty"` // begin of its oldest and its newest run, RFC 3339
	Last  string `json:"last,omitempty"`
}

// Counts are the rows by verdict.
type Counts struct {
	Regression   int `json:"regression"`
	Inconclusive int `json:"inconclusive"`
	Collecting   int `json:"collecting"` // too few runs are known to tell
	Improvement  int `json:"improvement"`
	Pass         int `json:"pass"`
}

// Unfair is a difference that may explain what was found as well.
type Unfair struct {
	What string `json:"what"` // "image: nightly-41 against nightly-42"
	Rows int    `json:"rows"` // that it is about
}

// Row is one metric of one case.
type Row struct {
	Case      string       `json:"case"`
	Point     string       `json:"point,omitempty"`
	Metric    string       `json:"metric"`
	Unit      string       `json:"unit"`
	Better    string       `json:"better"` // higher or lower
	Gate      bool         `json:"gate"`
	A         Level        `json:"a"`
	B         Level        `json:"b"`
	Ratio     float64      `json:"ratio"`          // B/A
	Interval  [2]float64   `json:"interval"`       // of the ratio, 5..95 %
	Worse     float64      `json:"worse"`          // relative, above 0 where B is worse
	WorseIn   [2]float64   `json:"worse_interval"` // 5..95 %
	MinEffect float64      `json:"min_effect"`     // smallest change that matters
	Verdict   verdict.Word `json:"verdict"`
	Reason    string       `json:"reason"`
	Unfair    []string     `json:"unfair,omitempty"`
}

// Level is where one side of a row stands.
type Level struct {
	Value float64           `json:"value"`
	Runs  int               `json:"runs"`  // that it was taken from
	Of    int               `json:"of"`    // that were selected
	Noise float64           `json:"noise"` // of a run, relative standard deviation
	Known int               `json:"known"` // runs that the noise was learned from
	Match map[string]string `json:"match,omitempty"`
}

// Options narrow a comparison.
type Options struct {
	Case   string        // glob of case ids, "" = all
	Metric string        // canonical name, "" = all that gate
	All    bool          // also metrics that do not gate
	Setup  judging.Setup // by which metrics gate
}

// Compare holds B against A.
func Compare(a, b Side, o Options) (Document, error) {
	doc := Document{Schema: Schema, A: a.named(), B: b.named(), Rows: []Row{}, Warnings: slices.Concat(a.Warnings, b.Warnings)}
	if err := o.check(a, b); err != nil {
		return doc, err
	}
	left, right := a.series(o), b.series(o)
	pairs, onlyA, onlyB := pairUp(left, right)
	doc.OnlyA, doc.OnlyB = onlyA, onlyB
	rows := make([]*Row, len(pairs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range pairs {
		group.Go(func() error {
			rows[i] = o.row(p)
			return nil
		})
	}
	_ = group.Wait() // none of them can fail
	for _, r := range rows {
		if r != nil {
			doc.Rows = append(doc.Rows, *r)
			doc.Counts.add(r.Verdict)
		}
	}
	slices.SortStableFunc(doc.Rows, worstFirst)
	doc.Unfair = unfairness(doc.Rows)
	if len(pairs) == 0 {
		return doc, nothingCommon(a, b, left, right)
	}
	return doc, nil
}

func (c *Counts) add(w verdict.Word) {
	switch w {
	case verdict.Regression:
		c.Regression++
	case verdict.Improvement:
		c.Improvement++
	case verdict.Pass:
		c.Pass++
	case verdict.Collecting:
		c.Collecting++
	default:
		c.Inconclusive++
	}
}

// worstFirst orders rows by verdict, then by how much worse B is; those of one size as a
// person would list them.
func worstFirst(a, b Row) int {
	order := []verdict.Word{verdict.Regression, verdict.Inconclusive, verdict.Collecting, verdict.Pass, verdict.Improvement}
	return cmp.Or(slices.Index(order, a.Verdict)-slices.Index(order, b.Verdict), cmp.Compare(b.Worse, a.Worse),
		strings.Compare(a.Case, b.Case), fold.Natural(a.Point, b.Point), strings.Compare(a.Metric, b.Metric))
}

// unfairness counts the differences of all rows, the most frequent first.
func unfairness(rows []Row) []Unfair {
	count := map[string]int{}
	for _, r := range rows {
		for _, what := range r.Unfair {
			count[what]++
		}
	}
	var out []Unfair
	for _, what := range slices.Sorted(maps.Keys(count)) {
		out = append(out, Unfair{What: what, Rows: count[what]})
	}
	slices.SortStableFunc(out, func(x, y Unfair) int { return y.Rows - x.Rows })
	return out
}

// row compares one series of each side, nil where one of them has no usable value.
func (o Options) row(p pair) *Row {
	def := p.a.metric
	a, b := p.a.logs(def.Sign()), p.b.logs(def.Sign())
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	x, y := bws.GroupOf(a, p.a.knownLogs(def.Sign())), bws.GroupOf(b, p.b.knownLogs(def.Sign()))
	shift := bws.Shift(x, y)
	gates, least := o.Setup.Gating(p.a.last(), p.a.point, def)
	sign := def.Sign()
	relative := func(v float64) float64 { return sign * math.Expm1(sign*v) }
	level := func(g bws.Group, s series) Level {
		return Level{
			Value: math.Exp(sign * g.Level.Mean), Runs: g.Runs, Of: len(s.runs), Match: s.match,
			Noise: math.Expm1(g.Sigma), Known: g.Known,
		}
	}
	r := Row{
		Case: p.a.caseID, Point: p.a.point, Metric: def.Name, Unit: def.Unit, Better: def.Better.String(), Gate: gates,
		A: level(x, p.a), B: level(y, p.b), MinEffect: least, Unfair: p.unfair(),
		Ratio: math.Exp(sign * shift.Mean), Worse: relative(shift.Mean), WorseIn: [2]float64{relative(shift.Lo), relative(shift.Hi)},
		Interval: [2]float64{math.Exp(sign * shift.Lo), math.Exp(sign * shift.Hi)},
	}
	if r.Interval[0] > r.Interval[1] {
		r.Interval[0], r.Interval[1] = r.Interval[1], r.Interval[0]
	}
	r.decide()
	if !finite(r.Ratio, r.A.Value, r.B.Value, r.Interval[0], r.Interval[1]) {
		return nil
	}
	return &r
}

func finite(values ...float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// leastOf is the share of the smallest relevant effect from which a change counts as one, as in a paired session.
const leastOf = 0.7

// decide gives the row its verdict.
func (r *Row) decide() {
	lo, hi := r.WorseIn[0], r.WorseIn[1]
	known := min(r.A.Known, r.B.Known)
	switch {
	case known < verdict.MinHistory: // as for a verdict
		r.Verdict, r.Reason = verdict.Collecting, fmt.Sprintf("%d of %d runs known that tell the noise: the interval assumes a usual one", known, verdict.MinHistory)
	case lo > 0 && r.Worse >= leastOf*r.MinEffect:
		r.Verdict, r.Reason = verdict.Regression, "the whole interval is worse"
	case hi < 0 && r.Worse <= -leastOf*r.MinEffect:
		r.Verdict, r.Reason = verdict.Improvement, "the whole interval is better"
	case lo > -r.MinEffect && hi < r.MinEffect:
		r.Verdict, r.Reason = verdict.Pass, fmt.Sprintf("no change of %.3g %% or more", 100*r.MinEffect)
	default:
		r.Verdict, r.Reason = verdict.Inconclusive, "the interval holds a change that matters, and none: more runs would tell"
	}
}

// check refuses names that neither side knows.
func (o Options) check(a, b Side) error {
	cases, metrics := map[string]bool{}, map[string]bool{}
	matched := false
	for _, r := range slices.Concat(a.Runs, b.Runs) {
		cases[r.Case] = true
		matched = matched || o.wantsCase(r.Case)
		for _, m := range r.Measurements {
			metrics[m.Metric] = true
		}
	}
	if o.Case != "" && !matched {
		return fmt.Errorf("--case %q: no case of either side%s", o.Case, near(o.Case, cases))
	}
	if o.Metric != "" && !metrics[o.Metric] {
		return fmt.Errorf("--metric %q: no metric of either side%s", o.Metric, near(o.Metric, metrics))
	}
	return nil
}

func (o Options) wantsCase(id string) bool {
	if o.Case == "" || o.Case == id {
		return true
	}
	ok, err := path.Match(o.Case, id)
	return err == nil && ok || !strings.ContainsAny(o.Case, "*?[") && strings.HasPrefix(id, o.Case)
}

// wants reports whether a metric at a point of a run is compared.
func (o Options) wants(r baseline.Record, point string, def metric.Metric) bool {
	return o.Metric == def.Name || o.Metric == "" && (o.All || o.Setup.Gates(r, point, def))
}

// nothingCommon says why two sides have nothing that can be compared.
func nothingCommon(a, b Side, left, right []series) error {
	switch {
	case len(left) == 0:
		return fmt.Errorf("side A, %s, has no measurement that is compared; --all shows metrics that do not gate", a.Name)
	case len(right) == 0:
		return fmt.Errorf("side B, %s, has no measurement that is compared; --all shows metrics that do not gate", b.Name)
	default:
		return fmt.Errorf("nothing was measured on both sides: A has %s, B has %s", some(left), some(right))
	}
}

// some names the first series of a side.
func some(all []series) string {
	const most = 2
	var out []string
	for _, s := range all {
		if name := s.name(); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if len(out) > most {
		return strings.Join(out[:most], ", ") + fmt.Sprintf(" and %d more", len(out)-most)
	}
	return strings.Join(out, ", ")
}

// named is the side as the document tells of it.
func (s Side) named() Named {
	n := Named{Given: s.Given, Name: s.Name, From: s.From, Runs: len(s.Runs)}
	at := func(r baseline.Record) string { return r.Time.UTC().Format("2006-01-02T15:04:05Z") }
	byTime := func(x, y baseline.Record) int { return x.Time.Compare(y.Time) }
	if len(s.Runs) > 0 {
		n.First, n.Last = at(slices.MinFunc(s.Runs, byTime)), at(slices.MaxFunc(s.Runs, byTime))
	}
	return n
}
