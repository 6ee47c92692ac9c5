package lastgreen

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ci-disagg/ci-disagg/internal/checkout"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Query says which run is meant.
type Query struct {
	Store string   // its URL, "" = none is configured
	Match []string // properties of a plan that identify a series; empty = all
	// Build is what is compared: its branch, and where it left that.
	Build rundir.Build
	Here  checkout.Dir // where git may know the commits
}

// night is one nightly run, as far as it measured the cases.
type night struct {
	first   baseline.Record
	red     bool
	green   bool // of what decides
	image   string
	source  string
	several bool // images or checkouts: of another build for each case
	cases   []string
	lacks   string // a case that nightly runs measure, and this one did not
}

// maxWarnings bounds what is said of a store in one line.
const maxWarnings = 3

// timeout is how long the store may take.
const timeout = time.Minute

// Find is the build of the last green nightly, or only its commit, where the build of any can be made. Where there is
// none, Why says so.
func (q Query) Find(cases []rundir.Plan, commitOnly bool) rundir.Recorded {
	if q.Store == "" {
		return none("there is no store to find it in (perf.store)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	store, err := baseline.Open(ctx, q.Store, false)
	if err != nil {
		return none("%v", err)
	}
	defer func() { _ = store.Close() }()
	nights, warnings, err := q.nights(ctx, store, cases)
	if err != nil {
		return none("%v", err)
	}
	branch := baseline.NormalBranch(q.Build.Branch)
	why := fmt.Sprintf("the store knows no nightly run of %s that measured these cases", branch)
	for i, n := range nights {
		refused := q.refuse(n)
		if refused == "" && !commitOnly {
			refused = n.refuse(ctx, q.Here)
		}
		if refused == "" {
			r := q.recorded(n, branch, warnings)
			if commitOnly {
				r.Image, r.Source = "", ""
			}
			return r
		}
		if i == 0 {
			why = "the newest nightly run of " + branch + ", " + name(n) + ", " + refused
			if len(nights) > 1 {
				why += ", and of those before it none is one, either"
			}
		}
	}
	return none("%s", why)
}

func none(format string, args ...any) rundir.Recorded {
	return rundir.Recorded{Why: fmt.Sprintf(format, args...)}
}

func name(n *night) string {
	return plain.Cut(plain.Line(n.first.Run), 80) + " of " + n.first.Time.UTC().Format(time.DateOnly)
}

// recorded is what is handed on of a run, with what the store warned of.
func (q Query) recorded(n *night, branch string, warnings []string) rundir.Recorded {
	r := rundir.Recorded{
		Commit: n.first.Build.Commit, Image: n.image, Source: n.source,
		From: fmt.Sprintf("run %s, the last green nightly of %s", name(n), branch),
	}
	switch base := q.Build.MergeBase; {
	case base == "":
		r.Doubt = fmt.Sprintf("base is %.10s, of %s, and the merge base is not known (--merge-base): whatever lies between base and the change is part of the comparison", r.Commit, r.From)
	case !rundir.SameCommit(base, r.Commit):
		r.Doubt = fmt.Sprintf("base is %.10s, of %s, and not the merge base %.10s: what came between them is part of the comparison", r.Commit, r.From, base)
	}
	if !q.Here.Has(r.Commit) {
		warnings = append([]string{fmt.Sprintf("git does not know %.10s here: whether the change comes from it is not known", r.Commit)}, warnings...)
	}
	if more := len(warnings) - maxWarnings; more > 0 {
		warnings = append(slices.Clip(warnings[:maxWarnings]), fmt.Sprintf("and %d more of the store", more))
	}
	r.Doubt = strings.TrimPrefix(strings.Join(append([]string{r.Doubt}, warnings...), "; "), "; ")
	return r
}

// nights are the runs that a change would be judged against, by the place of their commits, the newest first, with
// what the store warned of. What a run did not measure it cannot be green of: a case that crashed has no record.
func (q Query) nights(ctx context.Context, store baseline.Store, cases []rundir.Plan) (out []*night, warnings []string, err error) {
	all, warnings, err := q.history(ctx, store, cases)
	byRun := map[string]*night{}
	var measured []string // by any of them: of a new case no nightly run can be green
	for _, r := range slices.Backward(baseline.InOrder(all)) {
		n := byRun[r.Run]
		if n == nil {
			n = &night{first: r, image: r.Container, source: r.Checkout}
			byRun[r.Run] = n
			out = append(out, n)
		}
		measured, n.cases = append(measured, r.Case), append(n.cases, r.Case)
		n.green = n.green || r.Verdict.Green()
		n.red = n.red || !r.Verdict.Green() && !onlyShown(r) ||
			slices.ContainsFunc(r.Measurements, func(m baseline.Measurement) bool { return m.Open })
		n.several = n.several || r.Container != n.image || r.Checkout != n.source || r.Build.Commit != n.first.Build.Commit
	}
	slices.Sort(measured)
	measured = slices.Compact(measured)
	for _, n := range out {
		if i := slices.IndexFunc(measured, func(id string) bool { return !slices.Contains(n.cases, id) }); i >= 0 {
			n.lacks = measured[i]
		}
	}
	return out, warnings, err
}

// onlyShown reports whether a run has nothing but scores of its answers, which decide nothing.
func onlyShown(r baseline.Record) bool {
	return r.Verdict == "" && !slices.ContainsFunc(r.Measurements, func(m baseline.Measurement) bool { return !metric.IsAccuracy(m.Metric) })
}

// history is what the store has of these cases.
func (q Query) history(ctx context.Context, store baseline.Store, cases []rundir.Plan) (all []baseline.Record, warnings []string, err error) {
	for _, p := range cases {
		if p.Case.SkipReason != "" {
			continue
		}
		ask := baseline.Query{Case: p.Case.ID, Match: baseline.SelectMatch(p.Match, q.Match), Branch: q.Build.Branch, MergeBase: q.Build.MergeBase}
		if at := q.Build.MergeBaseTime; at != nil {
			ask.MergeBaseTime = *at
		}
		h, err := store.History(ctx, ask)
		if err != nil {
			return nil, nil, err
		}
		if all = append(all, h.Runs...); len(h.Runs) == 0 { // whatever is said of it is said of nothing
			continue
		}
		for _, w := range h.Warnings {
			if w = plain.Cut(plain.Line(w), 300); !slices.Contains(warnings, w) {
				warnings = append(warnings, w)
			}
		}
	}
	return all, warnings, nil
}

// head is the commit that is compared, as far as git here knows it.
func (q Query) head() string {
	if q.Build.Commit != "" && q.Here.Has(q.Build.Commit) {
		return q.Build.Commit
	}
	return "HEAD"
}

// image is what an image may be called: nothing that a shell, Slurm or pyxis would read as more than a name.
var image = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9._:/@#+~-]*$`)

// maxImage is how long that may be. In the expression it made every start of the program 15 ms longer.
const maxImage = 1000

// refuse is why a run's commit is not the one to compare with, "" = it is.
func (q Query) refuse(n *night) string {
	commit := n.first.Build.Commit
	switch {
	case n.red || !n.green:
		return "is not green"
	case n.lacks != "":
		return "has no valid measurement of " + n.lacks
	case commit == "" || !rundir.IsCommit(commit):
		return "names no commit"
	case q.Here.Has(commit) && !q.Here.Led(commit, q.head()):
		return fmt.Sprintf("is of %.10s, which the change does not come from", commit)
	default:
		return ""
	}
}

// refuse is why what a run recorded of its build does not make that again, "" = it does.
func (n *night) refuse(ctx context.Context, here checkout.Dir) string {
	switch {
	case n.several:
		return "was of several builds"
	case n.image == "" && n.source == "":
		return "recorded neither an image nor a checkout"
	case n.image != "" && (len(n.image) > maxImage || !image.MatchString(n.image)):
		return "recorded an image with another name than images have"
	default:
		return moved(ctx, here.At(n.source), n.first.Build.Commit)
	}
}

// moved is why a checkout is not what was measured, "" = it is, or there is none: a workspace is used by the next
// build.
func moved(ctx context.Context, there checkout.Dir, commit string) string {
	source := there.Path
	if source == "" {
		return ""
	}
	if !filepath.IsAbs(source) || filepath.Clean(source) != source || strings.ContainsFunc(source, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "recorded a checkout that is no path"
	}
	at, dirty, ok := there.State(ctx)
	switch {
	case !ok:
		return fmt.Sprintf("was of the checkout %s, which git cannot read here", source)
	case !rundir.SameCommit(at, commit):
		return fmt.Sprintf("was of the checkout %s, which is at %.10s now", source, at)
	case dirty:
		return fmt.Sprintf("was of the checkout %s, which has changes now", source)
	default:
		return ""
	}
}
