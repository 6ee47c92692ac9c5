package trendpages

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"html/template"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Folders of the site.
const (
	casesDir  = "cases"
	seriesDir = "series"
	groupsDir = "by"
)

//go:embed templates
var templates embed.FS

//nolint:gochecknoglobals // immutable, built once
var pages = sync.OnceValue(func() *template.Template {
	return look.Pages(template.FuncMap{
		"tone": look.Tone, "quantity": look.Quantity, "percent": look.Percent, "day": day, "word": words.Verdict, "age": age, "list": func(v ...any) []any { return v },
	}, templates)
})

// Site is what is printed.
type Site struct {
	trends.Gathered
	Options trends.Options
	Owner   func(caseID string) string // "" = nobody is named
	Tool    string
	Now     time.Time

	all    [][]trends.Series // by history
	groups []group
}

// group is the histories of one cluster and branch.
type group struct {
	Cluster, Branch string
	at              []int // places of its histories
}

func (g group) title() string { return strings.TrimPrefix(g.Cluster+", "+g.Branch, ", ") }
func (g group) page() string {
	return filepath.Join(groupsDir, rundir.Slug(g.Cluster+"-"+g.Branch)+".html")
}

// Written is what printing did.
type Written struct{ Pages, Series, Open int }

// Write prints the site into dir, which is made. Pages of cases that are no longer there are removed.
func (s *Site) Write(dir string) (Written, error) {
	s.prepare()
	if err := rundir.WriteFile(filepath.Join(dir, look.StyleFile), look.Style(), rundir.FileMode); err != nil {
		return Written{}, err
	}
	tree, err := rundir.OpenTree(dir)
	if err != nil {
		return Written{}, err
	}
	defer func() { _ = tree.Close() }() // all that was written is closed
	p := printer{site: s, tree: tree, dir: dir, kept: map[string]bool{}}
	for _, sub := range []string{casesDir, seriesDir, groupsDir} {
		if err := tree.MkdirAll(filepath.Join(dir, sub)); err != nil {
			return Written{}, err
		}
	}
	if err := p.cases(); err != nil {
		return Written{}, err
	}
	open, err := p.overviews()
	if err != nil {
		return Written{}, err
	}
	out := Written{Pages: len(p.kept), Open: open}
	for _, all := range s.all {
		out.Series += len(all)
	}
	return out, p.sweep()
}

// prepare finds the series of every history, and the groups.
func (s *Site) prepare() {
	s.all = make([][]trends.Series, len(s.Histories))
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i, h := range s.Histories {
		work.Go(func() error {
			s.all[i] = h.Series(s.Options)
			return nil
		})
	}
	_ = work.Wait() // none of them can fail
	for i, h := range s.Histories {
		at := slices.IndexFunc(s.groups, func(g group) bool { return g.Cluster == h.Cluster && g.Branch == h.Branch })
		if at < 0 {
			at = len(s.groups)
			s.groups = append(s.groups, group{Cluster: h.Cluster, Branch: h.Branch})
		}
		s.groups[at].at = append(s.groups[at].at, i)
	}
	slices.SortStableFunc(s.groups, func(a, b group) int {
		mainFirst := func(g group) int {
			if g.Branch == baseline.DefaultBranch {
				return 0
			}
			return 1
		}
		return cmp.Or(mainFirst(a)-mainFirst(b), strings.Compare(a.title(), b.title()))
	})
}

// printer writes the files of a site.
type printer struct {
	site *Site
	tree *rundir.Tree
	dir  string

	mu   sync.Mutex
	kept map[string]bool
}

// page renders a template into a file.
func (p *printer) page(name, file string, data any) error {
	var b bytes.Buffer
	if err := pages().ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	p.mu.Lock()
	p.kept[file] = true
	p.mu.Unlock()
	text := look.Clean(b.Bytes())
	return p.tree.WriteDerived(filepath.Join(p.dir, file), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// sweep removes pages that this site did not write.
func (p *printer) sweep() error {
	var errs []error
	for _, sub := range []string{casesDir, seriesDir, groupsDir} {
		entries, err := p.tree.List(filepath.Join(p.dir, sub))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if name := filepath.Join(sub, e.Name()); !p.kept[name] {
				errs = append(errs, p.tree.RemoveAll(filepath.Join(p.dir, name)))
			}
		}
	}
	return errors.Join(errs...)
}

// head is what every page has.
type head struct {
	Title, Up, Tool, Store, When string
}

func (p *printer) head(title, up string) head {
	return head{Title: title, Up: up, Tool: p.site.Tool, Store: p.site.Store, When: look.Stamp(p.site.Now)}
}

// casePage is the page of a history.
func casePage(h *trends.History) string { return filepath.Join(casesDir, caseSlug(h)+".html") }

func caseSlug(h *trends.History) string {
	return rundir.Slug(h.Case + "-" + baseline.MatchKey(h.Match) + "-" + h.Branch)
}

// seriesPage is the page of a series.
func seriesPage(s trends.Series) string {
	return filepath.Join(seriesDir, rundir.Slug(caseSlug(s.History)+"-"+s.Point+"-"+s.Metric.Name)+".html")
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// age is a long time for people.
func age(d time.Duration) string {
	switch days := int(d.Hours() / 24); days {
	case 0:
		return "today"
	default:
		return plain.Count(days, "day")
	}
}
