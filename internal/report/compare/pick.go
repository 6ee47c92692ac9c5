package compare

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Kinds of what a side may be named by.
const (
	kindRun     = "run"
	kindCommit  = "commit"
	kindBranch  = "branch"
	kindCluster = "cluster"
	kindDate    = "date"
)

func kinds() []string { return []string{kindRun, kindCommit, kindBranch, kindCluster, kindDate} }

// Finder finds what the two sides are.
type Finder struct {
	Store   string    // URL of the store in which runs, commits, … are looked for, "" = none
	Since   time.Time // older runs are not looked at; zero = all are
	Window  string    // the same for people
	Dir     string    // what relative paths are relative to
	RunsDir string    // where run directories are, "" = not known

	shelves map[string]shelf
}

// Compare finds both sides and holds B against A.
func (f *Finder) Compare(ctx context.Context, a, b string, o Options) (Document, error) {
	left, err := f.Find(ctx, a)
	if err != nil {
		return Document{}, fmt.Errorf("side A: %w", err)
	}
	right, err := f.Find(ctx, b)
	if err != nil {
		return Document{}, fmt.Errorf("side B: %w", err)
	}
	return Compare(left, right, o)
}

func (f *Finder) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(f.Dir, name)
}

// shelf is what a store holds.
type shelf struct {
	name     string
	runs     []baseline.Record // usable ones, oldest first
	warnings []string
}

// Find is the side that a text names.
func (f *Finder) Find(ctx context.Context, text string) (Side, error) {
	if strings.TrimSpace(text) == "" {
		return Side{}, fmt.Errorf("an empty name is no run: %s", howToName)
	}
	if isStore(text) {
		if baseline.HasPassword(text) {
			return Side{}, fmt.Errorf("a password on a command line can be read by everyone on this host: put it into $PGPASSWORD or ~/.pgpass")
		}
		if dir, ok := strings.CutPrefix(text, "dir:"); ok {
			text = "dir:" + f.path(dir)
		}
		sh, err := f.shelf(ctx, text)
		if err != nil {
			return Side{}, err
		}
		return sh.pick(text, []term{{kind: kindBranch, value: baseline.DefaultBranch}}, f.Window)
	}
	if dir, ok := f.runDir(text); ok {
		side, err := fromRunDir(text, dir)
		if err == nil && f.Store != "" {
			f.addKnown(ctx, &side)
		}
		return side, err
	}
	if looksLikePath(text) {
		return Side{}, fmt.Errorf("%s is not a run directory: it has no run.json%s", text, f.nearDirs(text))
	}
	terms, err := parseTerms(text)
	if err != nil {
		return Side{}, err
	}
	if f.Store == "" {
		return Side{}, fmt.Errorf("%q is no run directory, and there is no store to look for it in: give --store, $CI_DISAGG_STORE, or perf.store in the config", text)
	}
	sh, err := f.shelf(ctx, f.Store)
	if err != nil {
		return Side{}, err
	}
	return sh.pick(text, terms, f.Window)
}

const howToName = "give a run directory, a store, or run:ID, commit:ID, branch:NAME, cluster:NAME, date:2026-01-31, several with commas between them"

func isStore(s string) bool {
	return strings.HasPrefix(s, "dir:") || strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

func looksLikePath(s string) bool {
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || strings.HasSuffix(s, "/")
}

// runDir is the run directory that a text names: its path, or the id of a run in runs_dir.
func (f *Finder) runDir(text string) (rundir.Dir, bool) {
	id := strings.TrimPrefix(text, kindRun+":")
	places := []string{f.path(text)}
	if f.RunsDir != "" && !looksLikePath(text) {
		places = append(places, filepath.Join(f.RunsDir, rundir.Slug(id)))
	}
	for _, dir := range places {
		if hasRun(dir) {
			return rundir.Dir(dir), true
		}
	}
	return "", false
}

func hasRun(dir string) bool {
	tree, err := rundir.OpenTree(dir)
	if err != nil {
		return false
	}
	defer func() { _ = tree.Close() }()
	return tree.Has(rundir.Dir(dir).RunFile())
}

// addKnown looks in the store for the noise of what a run directory measured. Where it cannot be read, the run's own
// report has to do.
func (f *Finder) addKnown(ctx context.Context, s *Side) {
	sh, err := f.shelf(ctx, f.Store)
	if err != nil {
		s.Warnings = append(s.Warnings, "the noise is that of the run's own report: "+err.Error())
		return
	}
	s.Known = sh.alike(s.Runs)
}

// nearDirs names the run directory that was probably meant.
func (f *Finder) nearDirs(text string) string {
	path := f.path(text)
	parent := filepath.Dir(path)
	tree, err := rundir.OpenTree(parent)
	if err != nil {
		return ""
	}
	defer func() { _ = tree.Close() }()
	entries, err := tree.List(parent)
	if err != nil {
		return ""
	}
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = e.IsDir()
	}
	maps.DeleteFunc(names, func(name string, dir bool) bool { return !dir || !hasRun(filepath.Join(parent, name)) })
	return near(filepath.Base(path), names)
}

// shelf reads the usable runs of a store, once.
func (f *Finder) shelf(ctx context.Context, url string) (shelf, error) {
	if sh, ok := f.shelves[url]; ok {
		return sh, nil
	}
	store, err := baseline.Open(ctx, url, false)
	if err != nil {
		return shelf{}, err
	}
	defer func() { _ = store.Close() }() // only read
	sh := shelf{name: store.String()}
	withdrawn := baseline.Withdrawn{}
	sh.warnings, err = store.Each(ctx, baseline.Filter{Kinds: []baseline.Kind{baseline.KindRun, baseline.KindWithdraw}, Since: f.Since}, func(r baseline.Record) error {
		switch {
		case r.Kind == baseline.KindWithdraw:
			withdrawn[r.Act.Target] = true
		case r.Valid:
			sh.runs = append(sh.runs, r)
		}
		return nil
	})
	if err != nil {
		return shelf{}, err
	}
	sh.runs = slices.DeleteFunc(sh.runs, withdrawn.Has)
	if f.shelves == nil {
		f.shelves = map[string]shelf{}
	}
	f.shelves[url] = sh
	return sh, nil
}

// term is one condition on runs. A bare word has no kind until a shelf has been looked at.
type term struct{ kind, value string }

// parseTerms reads a text such as branch:main,date:2026-01-31.
func parseTerms(text string) ([]term, error) {
	var out []term
	for part := range strings.SplitSeq(text, ",") {
		kind, value, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			kind, value = "", kind
		}
		if ok && !slices.Contains(kinds(), kind) {
			if strings.Contains(value, "/") || strings.Contains(kind, " ") {
				return nil, fmt.Errorf("%q is neither a run directory nor a store: %s", text, howToName)
			}
			known := map[string]bool{}
			for _, k := range kinds() {
				known[k] = true
			}
			return nil, fmt.Errorf("%q: %s is nothing that runs are told by%s; %s", text, kind, near(kind, known), howToName)
		}
		if value == "" {
			return nil, fmt.Errorf("%q names nothing after %s: %s", text, kind, howToName)
		}
		if kind == kindDate {
			if _, _, err := days(value); err != nil {
				return nil, err
			}
		}
		out = append(out, term{kind, value})
	}
	return out, nil
}

// days reads 2026-01-31 or 2026-01-01..2026-01-31, the last day included.
func days(s string) (from, to time.Time, err error) {
	first, last, ranged := strings.Cut(s, "..")
	if !ranged {
		last = first
	}
	from, errFrom := time.Parse(time.DateOnly, first)
	to, errTo := time.Parse(time.DateOnly, last)
	if errFrom != nil || errTo != nil || to.Before(from) {
		return from, to, fmt.Errorf("date %q: give a day such as 2026-01-31, or two with .. between them, the earlier first", s)
	}
	return from, to.AddDate(0, 0, 1), nil
}

// pick selects the runs that all terms are true of.
func (sh shelf) pick(given string, terms []term, window string) (Side, error) {
	side := Side{Given: given, From: sh.name, Warnings: sh.warnings}
	var names []string
	for i, t := range terms {
		if t.kind == "" {
			kind, err := sh.kindOf(t.value, window)
			if err != nil {
				return Side{}, err
			}
			terms[i].kind = kind
		}
		names = append(names, terms[i].name())
		side.kinds = append(side.kinds, terms[i].kind)
	}
	side.Name = strings.Join(names, ", ")
	// A run or a commit is meant whatever its branch and mode; else it is the history of a branch.
	exact := slices.Contains(side.kinds, kindRun) || slices.Contains(side.kinds, kindCommit)
	if !exact && !slices.Contains(side.kinds, kindBranch) {
		terms = append(terms, term{kindBranch, baseline.DefaultBranch})
		side.Name += " of " + baseline.DefaultBranch
	}
	for _, r := range sh.runs {
		if (exact || r.Counts()) && !slices.ContainsFunc(terms, func(t term) bool { return !t.fits(r) }) {
			side.Runs = append(side.Runs, r)
		}
	}
	if len(side.Runs) == 0 {
		return side, sh.nothing(given, terms, window)
	}
	side.Runs, side.Known = inOrder(side.Runs), sh.alike(side.Runs)
	return side, nil
}

// inOrder is the runs, case by case in the order of their commits.
func inOrder(runs []baseline.Record) []baseline.Record {
	byCase := map[string][]baseline.Record{}
	for _, r := range runs {
		byCase[headOf(r)] = append(byCase[headOf(r)], r)
	}
	var out []baseline.Record
	for _, key := range slices.Sorted(maps.Keys(byCase)) {
		out = append(out, baseline.InOrder(byCase[key])...)
	}
	return out
}

// alike are the counting runs of the series that some runs belong to.
func (sh shelf) alike(runs []baseline.Record) []baseline.Record {
	heads := map[string]string{} // series → branch
	for _, r := range runs {
		heads[headOf(r)] = r.Branch()
		if !r.Counts() {
			heads[headOf(r)] = baseline.DefaultBranch
		}
	}
	var out []baseline.Record
	for _, r := range sh.runs {
		if branch, ok := heads[headOf(r)]; ok && r.Counts() && r.Branch() == branch {
			out = append(out, r)
		}
	}
	return inOrder(out)
}

func (t term) name() string {
	switch t.kind {
	case kindCommit:
		return t.kind + " " + words.ShortCommit(t.value)
	case kindDate:
		return t.value
	default:
		return t.kind + " " + t.value
	}
}

func (t term) fits(r baseline.Record) bool {
	switch t.kind {
	case kindRun:
		return r.Run == t.value || r.ID == t.value
	case kindCommit:
		return rundir.SameCommit(r.Build.Commit, t.value)
	case kindBranch:
		return r.Branch() == baseline.NormalBranch(t.value)
	case kindCluster:
		return r.Cluster == t.value || r.Match[baseline.ClusterKey] == t.value
	default:
		from, to, err := days(t.value)
		return err == nil && !r.Time.Before(from) && r.Time.Before(to)
	}
}

// kindOf is what a bare word names in the store.
func (sh shelf) kindOf(word, window string) (string, error) {
	if _, _, err := days(word); err == nil {
		return kindDate, nil
	}
	var is []string
	for _, kind := range []string{kindRun, kindCommit, kindBranch, kindCluster} {
		if kind == kindCommit && !rundir.IsCommit(word) {
			continue
		}
		if slices.ContainsFunc(sh.runs, term{kind, word}.fits) {
			is = append(is, kind)
		}
	}
	switch len(is) {
	case 1:
		return is[0], nil
	case 0:
		return "", sh.unknown(word, window)
	default:
		return "", fmt.Errorf("%q is a %s: say which, such as %s:%s", word, strings.Join(is, " and a "), is[0], word)
	}
}

func (sh shelf) unknown(word, window string) error {
	known := map[string]bool{}
	for _, kind := range kinds() {
		maps.Copy(known, sh.values(kind))
	}
	return fmt.Errorf("%q is no run directory here, and no run, commit, branch or cluster of %s%s (%s)", word, sh.name, near(word, known), looked(window))
}

// values are what runs of the shelf are called by in one kind.
func (sh shelf) values(kind string) map[string]bool {
	known := map[string]bool{}
	for _, r := range sh.runs {
		switch kind {
		case kindRun:
			known[r.Run] = true
		case kindCommit:
			known[r.Build.Commit] = true
		case kindBranch:
			known[r.Branch()] = true
		case kindCluster:
			known[r.Cluster] = true
		default:
			known[r.Time.UTC().Format(time.DateOnly)] = true
		}
	}
	delete(known, "")
	return known
}

// nothing says why no run fits.
func (sh shelf) nothing(given string, terms []term, window string) error {
	if len(sh.runs) == 0 {
		return fmt.Errorf("%s: %s has no usable run (%s)", given, sh.name, looked(window))
	}
	for _, t := range terms {
		if !slices.ContainsFunc(sh.runs, t.fits) {
			return fmt.Errorf("%s has no run of %s %q%s (%s)", sh.name, t.kind, t.value, near(t.value, sh.values(t.kind)), looked(window))
		}
	}
	return fmt.Errorf("%s has no run that all of %q is true of; branch:NAME names another branch than %s", sh.name, given, baseline.DefaultBranch)
}

func looked(window string) string {
	if window == "" {
		return "all runs were looked at"
	}
	return "the last " + window + " were looked at; --since looks further back"
}

// near names what was probably meant.
func near(name string, known map[string]bool) string {
	names := slices.Sorted(maps.Keys(known))
	if meant := strictyaml.DidYouMean(name, names); meant != "" {
		return meant
	}
	for _, n := range names {
		if len(name) >= 3 && (strings.Contains(strings.ToLower(n), strings.ToLower(name)) || strings.Contains(strings.ToLower(name), strings.ToLower(n)) && len(n) >= 3) {
			return fmt.Sprintf("; did you mean %q?", n)
		}
	}
	const most = 5
	if len(names) > 0 && len(names) <= most {
		return "; there are " + strings.Join(names, ", ")
	}
	return ""
}
