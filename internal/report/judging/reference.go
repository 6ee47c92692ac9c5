package judging

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Reference is a pinned build that is measured again and again: what it shows is the
// environment and nothing else.
type Reference struct{ Case, Commit string }

// ParseReference reads CASE@COMMIT; "" is none.
func ParseReference(text string) (Reference, error) {
	if text == "" {
		return Reference{}, nil
	}
	at := strings.LastIndex(text, "@")
	ref := Reference{Case: strings.TrimSpace(text[:max(at, 0)]), Commit: strings.TrimSpace(text[at+1:])}
	if at < 0 || ref.Case == "" || ref.Commit == "" || !rundir.IsCommit(ref.Commit) {
		return Reference{}, fmt.Errorf("%q is not CASE@COMMIT, the id of a case and a commit id of 7 or more digits", text)
	}
	return ref, nil
}

// Check says what keeps a build from being a measure of the reference.
func (f Reference) Check(commit string) error {
	switch {
	case f.Case == "":
		return errors.New("--mode reference measures the build that perf.reference names (CASE@COMMIT), and the config names none")
	case !rundir.SameCommit(f.Commit, commit):
		return fmt.Errorf("--mode reference measures commit %s (perf.reference), and --commit is %q: the same build has to run each time", f.Commit, commit)
	default:
		return nil
	}
}

// is reports whether a record is a run of the reference.
func (f Reference) is(r baseline.Record) bool {
	return r.Kind == baseline.KindRun && r.Valid && r.Build.Mode == baseline.ModeReference && r.Case == f.Case && f.Check(r.Build.Commit) == nil
}

func (f Reference) String() string {
	return fmt.Sprintf("%s@%.12s", baseline.Shorten(f.Case), f.Commit)
}

// command measures the reference.
func (f Reference) command() string {
	return fmt.Sprintf("ci-disagg run --mode reference --commit %s '%s'", f.Commit, strings.ReplaceAll(f.Case, "'", `'\''`))
}

const (
	// referenceSince is how far back its runs are compared.
	referenceSince = 180 * 24 * time.Hour
	// referenceBefore and referenceAfter bound how many of them, on both sides.
	referenceBefore, referenceAfter = 8, 4
	// referenceEvery is how old the newest of them may be: a week, less what one night begins earlier than another.
	referenceEvery = 7*24*time.Hour - 12*time.Hour
	// referenceNoise is the least noise that few runs are believed to have.
	referenceNoise = 0.005
	// referenceSure is how many times its uncertainty a move has to be.
	referenceSure = 3
)

// Environment is what the runs of the reference say of a change.
type Environment struct {
	Text   string  // for people; "" = there is no reference
	Moved  bool    // the pinned build itself has become worse
	Worse  float64 // by so much, in logs
	spread float64 // its uncertainty
}

// environment compares the reference before a moment with the reference since.
func environment(ctx context.Context, s Setup, r baseline.Record, onset time.Time) Environment {
	if s.Reference.Case == "" || s.Store == nil {
		return Environment{}
	}
	runs, err := s.referenceRuns(ctx, r)
	if err != nil {
		return Environment{Text: fmt.Sprintf("What the reference %s shows is not known: %v.", s.Reference, err)}
	}
	at, _ := slices.BinarySearchFunc(runs, onset, func(o baseline.Record, t time.Time) int { return o.Time.Compare(t) })
	before, since := runs[max(0, at-referenceBefore):at], runs[at:min(len(runs), at+referenceAfter)]
	switch {
	case len(runs) == 0:
		return Environment{Text: fmt.Sprintf("The reference %s was never measured here, so that the environment cannot be told from the change: %s", s.Reference, s.Reference.command())}
	case len(since) == 0:
		return Environment{Text: fmt.Sprintf("The reference %s was last measured on %s, before this began. Whether the environment has moved is told by: %s",
			s.Reference, before[len(before)-1].Time.UTC().Format("2 Jan"), s.Reference.command())}
	case len(before) < 2:
		return Environment{Text: fmt.Sprintf("The reference %s was measured %d times before this began, which is too little to compare with.", s.Reference, len(before))}
	}
	worse, spread, sign, ok := s.moved(before, since)
	if !ok {
		return Environment{Text: fmt.Sprintf("The runs of the reference %s have no metric in common.", s.Reference)}
	}
	e := Environment{Worse: worse, spread: spread}
	low, high := percent(sign, worse-1.645*spread), percent(sign, worse+1.645*spread)
	size := fmt.Sprintf("%.1f %% (%.1f to %.1f %%; runs since: %d, before: %d)", percent(sign, worse), low, high, len(since), len(before))
	switch {
	case worse > max(referenceSure*spread, 0.7*s.leastEffect()):
		e.Moved = true
		e.Text = fmt.Sprintf("The environment has moved: the reference %s, the same build as ever, is worse by %s. No change to the software explains that.", s.Reference, size)
	case worse+1.645*spread < s.leastEffect():
		e.Text = fmt.Sprintf("The environment has not moved: the reference %s is where it was, with a difference of %s.", s.Reference, size)
	default:
		e.Text = fmt.Sprintf("Whether the environment has moved is open: the reference %s is worse by %s.", s.Reference, size)
	}
	return e
}

// ReferenceDue says why the reference is to be measured now on a cluster, "" = it need not
// be: it is a week since, or a case is not green that still was when it was measured
// last. began is when each case that is not green became so.
func (s Setup) ReferenceDue(ctx context.Context, cluster string, now time.Time, began map[string]time.Time) (string, error) {
	if s.Reference.Case == "" || s.Store == nil {
		return "", nil
	}
	runs, err := s.referenceRuns(ctx, baseline.Record{Cluster: cluster, Time: now})
	if err != nil {
		return "", err
	}
	if len(runs) == 0 {
		return "it was never measured here", nil
	}
	last := runs[len(runs)-1].Time
	since := "it was last measured on " + last.UTC().Format("2 Jan 15:04")
	for _, id := range slices.Sorted(maps.Keys(began)) {
		if began[id].After(last) {
			return fmt.Sprintf("%s is not green, and %s, before that began", baseline.Shorten(id), since), nil
		}
	}
	if now.Sub(last) >= referenceEvery {
		return since, nil
	}
	return "", nil
}

// leastEffect is what matters of throughput.
func (s Setup) leastEffect() float64 {
	def, _ := s.Metrics.Lookup("output_token_throughput")
	_, effect := s.Policy.Gating(def)
	return effect
}

// referenceRuns are the reference's runs on the cluster of a run, oldest first.
func (s Setup) referenceRuns(ctx context.Context, r baseline.Record) ([]baseline.Record, error) {
	var runs []baseline.Record
	f := baseline.Filter{Kinds: []baseline.Kind{baseline.KindRun}, Case: s.Reference.Case, Mode: baseline.ModeReference, Since: r.Time.Add(-referenceSince)}
	_, err := s.Store.Each(ctx, f, func(o baseline.Record) error {
		if s.Reference.is(o) && o.Rehomed(r.Match).ID != r.ID && o.Cluster == r.Cluster {
			runs = append(runs, o)
		}
		return nil
	})
	slices.SortFunc(runs, func(a, b baseline.Record) int { return a.Time.Compare(b.Time) })
	return runs, err
}

// moved is the median over the metrics that gate of how much worse the reference has
// become, in logs, with the uncertainty of one of them: those of a case share their noise.
// sign is that of most of them.
func (s Setup) moved(before, since []baseline.Record) (worse, spread, sign float64, ok bool) {
	var moves, spreads []float64
	for _, m := range since[0].Measurements {
		def, known := s.Metrics.Lookup(m.Metric)
		if !known || !s.Gates(since[0], m.Point, def) {
			continue
		}
		old, now := logsOf(before, m.Point, m.Metric, def.Sign()), logsOf(since, m.Point, m.Metric, def.Sign())
		if len(old) < 2 || len(now) == 0 {
			continue
		}
		level := bws.Median(old, nil)
		var off []float64
		for _, z := range old {
			off = append(off, math.Abs(z-level))
		}
		noise := max(referenceNoise, 1.4826*bws.Median(off, nil))
		sign += def.Sign()
		moves = append(moves, bws.Median(now, nil)-level)
		spreads = append(spreads, noise*math.Sqrt(1.3/float64(len(old))+1.3/float64(len(now))))
	}
	if len(moves) == 0 {
		return 0, 0, 0, false
	}
	return bws.Median(moves, nil), bws.Median(spreads, nil), sign, true
}

// percent is how much worse a metric of that sign is, of a change in logs: a throughput falls by less percent than its
// time grows.
func percent(sign, worse float64) float64 {
	if sign < 0 {
		return -100 * math.Expm1(-worse)
	}
	return 100 * math.Expm1(worse)
}

// logsOf are a metric's values of runs, up is worse.
func logsOf(runs []baseline.Record, point, name string, sign float64) []float64 {
	var out []float64
	for _, r := range runs {
		if m, ok := r.Find(point, name); ok && m.Value() > 0 {
			out = append(out, sign*math.Log(m.Value()))
		}
	}
	return out
}

// inEnvironment holds a run that is not green against the reference: what the
// environment explains is nobody's regression. It is no pass either: nothing is known of
// the change behind it.
func inEnvironment(ctx context.Context, s Setup, subject Subject, j Judgement) Judgement {
	if !verdict.Worst(j.Rows).MayBeWorse() {
		return j
	}
	began := subject.Record.Time
	if j.Case.Onset != nil {
		began = j.Case.Onset.Time
	}
	j.Environment = environment(ctx, s, subject.Record, began)
	if !j.Environment.Moved {
		return j
	}
	for k := range j.Rows {
		j.Rows[k] = j.Environment.explain(j.Rows[k], s, subject.Record)
	}
	// The store keeps the regression with its level: what is open is ended by who accepts it
	// or by runs that are back, not by the scan having got used to it.
	j.Record.Verdict = verdict.Worst(j.Rows)
	if !j.Record.Valid {
		j.Record.Verdict = verdict.Invalid
	}
	j.Case = remaining(j.Case, j.Rows)
	if !j.Case.Alarm {
		j.Record.Changed = ""
	}
	return j
}

// OfEnvironment reports whether the environment has moved and explains all that is worse.
func (j Judgement) OfEnvironment() bool { return j.Environment.Moved && len(j.Case.Moved) == 0 }

// remaining is what the case still says once the environment has explained some rows.
func remaining(c verdict.Case, rows []verdict.Row) verdict.Case {
	since := c.Since
	c.Alarm, c.Open, c.Since, c.Moved = false, false, "", nil
	for _, r := range rows {
		if r.Advisory || r.Verdict != verdict.Regression {
			continue
		}
		c.Moved = append(c.Moved, strings.TrimPrefix(r.Point+"/"+r.Metric, "/"))
		c.Alarm = c.Alarm || r.Alarm && r.Onset != "" // as the case's own
		c.Open = c.Open || r.Open
		if r.Open && (c.Since == "" || r.Since == since) { // the case's own, if its row is among them
			c.Since = r.Since
		}
	}
	if o := c.Onset; o != nil && len(c.Moved) == 0 { // no commit did it
		c.Onset = &verdict.Onset{Run: o.Run, Time: o.Time}
	}
	return c
}

// explain is a red row in the light of an environment that has moved: what is left of it
// has to be a regression by itself.
func (e Environment) explain(row verdict.Row, s Setup, r baseline.Record) verdict.Row {
	if row.Verdict != verdict.Regression || row.Rule != string(verdict.RuleBWS) || row.Worse == nil {
		return row
	}
	def, _ := s.Metrics.Lookup(row.Metric)
	_, effect := s.Gating(r, row.Point, def)
	sign := def.Sign()
	left := sign*math.Log1p(max(sign**row.Worse, -0.99)) - e.Worse // a throughput falls by less percent than its time grows
	if left > 0.7*effect+1.645*e.spread {
		row.Reason += fmt.Sprintf(". The environment explains %.1f %% of it", percent(sign, e.Worse))
		return row
	}
	row.Verdict, row.Alarm, row.Open, row.Slow = verdict.Inconclusive, false, false, false
	row.Reason = "the environment has moved by as much, by the reference: nobody's change is to blame, and nothing is known of the one under test. Accept the new level, or wait for the old one"
	return row
}
