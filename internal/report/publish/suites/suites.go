// Package suites prints a report as JUnit XML: it names and lays out the tests that
// package report has decided, and bounds their texts.
package suites

import (
	"cmp"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Options are how a report is printed. The zero value is the default.
type Options struct {
	Caps    fold.Caps
	NoCaps  bool // cut nothing
	Metrics Metrics
}

// Metrics says which metrics are test cases of the report.
type Metrics string

// Which metrics; the zero value is AllMetrics.
const (
	AllMetrics    Metrics = "all"
	GatingMetrics Metrics = "gating"
	NoMetrics     Metrics = "none"
)

// of are those of the checks of metrics that become test cases.
func (m Metrics) of(checks []report.Check) []report.Check {
	switch m {
	case NoMetrics:
		return nil
	case GatingMetrics:
		return slices.DeleteFunc(slices.Clone(checks), func(k report.Check) bool { return !k.Gate })
	default:
		return checks
	}
}

// auditLimit is the size up to which a finished report is read again by another
// reader.
const auditLimit = 4 << 20

// Write writes the report of r to path: a temporary file, fsync, an audit, rename. A
// report that the audit rejects is kept beside it, and one red case takes its place.
// The notes are what people should know of what was left out.
func Write(path string, r report.Report, o Options) (notes []string, err error) {
	doc, notes := Document(r, o)
	err = write(path, doc, true)
	if errors.Is(err, junit.ErrAudit) {
		rejected := path + ".rejected"
		err = errors.Join(err, write(rejected, doc, false),
			write(path, junit.Rejected(doc.Name, filepath.Base(rejected), err), false))
	}
	return notes, err
}

func write(path string, doc *junit.Document, audited bool) error {
	tree, err := rundir.OpenTree(filepath.Dir(filepath.Dir(path))) // report/ may have been replaced by a link
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }() // all that was written is closed
	err = tree.WriteStream(path, rundir.FileMode, func(w io.Writer) error {
		size, err := junit.WriteDocument(w, doc)
		written, ok := w.(io.ReaderAt)
		if err != nil || !audited || !ok || size > auditLimit {
			return err
		}
		return junit.Audit(io.NewSectionReader(written, 0, size), doc.Decisions())
	})
	if err != nil { // one of before says something else
		_ = tree.RemoveAll(path)
	}
	return err
}

// printer lays out one report.
type printer struct {
	r      report.Report
	o      Options
	stage  string
	twins  map[string]int // cases by id
	cut    fold.Cutter
	suites []*suite
}

// suite is one suite of the report.
type suite struct {
	junit.DocumentSuite
	out, err []string
	from, to time.Time
}

// Document lays out the report of r.
func Document(r report.Report, o Options) (*junit.Document, []string) {
	o.Caps = o.Caps.WithDefaults()
	p := &printer{r: r, o: o, stage: fold.Dotless(cmp.Or(r.Stage, "ci-disagg")), twins: map[string]int{}, cut: fold.Cutter{Caps: o.Caps, Off: o.NoCaps}}
	for _, c := range r.Cases {
		p.twins[c.ID]++
	}
	return p.fit()
}

// layOut makes the suites of the report.
func (p *printer) layOut() {
	verdict, life, metrics, paired := p.suite(""), p.suite("lifecycle"), p.suite("metrics"), p.suite("ab")
	verdict.Suite.Properties = p.properties()
	roles := p.roles()
	for _, c := range p.r.Cases {
		slug := fold.Dotless(cmp.Or(c.Slug, "run"))
		p.add(verdict, c.Checks.Verdict, p.stage+"."+p.class(c, c.Checks.Verdict))
		for _, k := range c.Checks.Lifecycle {
			p.add(life, k, p.stage+".lifecycle."+slug)
		}
		for _, k := range p.o.Metrics.of(c.Checks.Metrics) {
			p.add(metrics, k, p.stage+".metrics."+slug)
		}
		for _, k := range c.Checks.Paired {
			p.add(paired, k, p.stage+".ab."+slug)
		}
		for _, a := range c.Attempts {
			if a.Counts && a.Started != nil && a.Ended != nil {
				verdict.span(*a.Started, *a.Ended)
				life.span(*a.Started, *a.Ended)
			}
		}
	}
	for _, k := range p.r.Checks {
		to := life
		if k.Suite == "metrics" {
			to = metrics
		}
		p.add(to, k.Check, p.stage+"."+k.Suite+".run")
	}
	p.suites = append(append([]*suite{verdict, life}, roles...), metrics, paired)
}

// properties describe the run in the verdict suite.
func (p *printer) properties() []junit.Property {
	var jobs []string
	for _, c := range p.r.Cases {
		for _, a := range c.Attempts {
			if a.JobID != "" && p.r.Backend != rundir.BackendLocal {
				jobs = append(jobs, a.JobID)
			}
		}
	}
	all := []junit.Property{
		{Name: "ci-disagg.version", Value: p.r.Tool},
		{Name: "ci-disagg.run_id", Value: p.r.RunID},
		{Name: "slurm.job_ids", Value: strings.Join(jobs, " ")},
		{Name: "build.commit", Value: p.r.Build.Commit},
		{Name: "build.url", Value: p.r.Build.URL},
		{Name: "cluster", Value: p.r.Cluster},
	}
	return slices.DeleteFunc(all, func(q junit.Property) bool { return q.Value == "" })
}

func (p *printer) suite(name string) *suite {
	s := &suite{}
	s.Suite.Name = strings.TrimSuffix(p.stage+"."+name, ".")
	return s
}

// class is the class of a test: planned ones of two cases with one id are told apart by
// their slugs, and others always are, because two cases may both report the collection
// of the same module.
func (p *printer) class(c report.CaseReport, k report.Check) string {
	switch {
	case !k.Planned:
		return fold.Dotless(c.Slug) + "." + k.Classname
	case p.twins[c.ID] > 1:
		return k.Classname + "." + fold.Dotless(c.Slug)
	default:
		return k.Classname
	}
}

// add puts a test into a suite, under a class and with its texts bounded.
func (p *printer) add(s *suite, k report.Check, class string) {
	c := k.Case
	c.Suite, c.Classname = nil, class
	p.cut.Apply(&c, k.Kept)
	s.Cases = append(s.Cases, &c)
}

// roles makes a suite of each role. One role whose tests are those that were planned
// says the same as the verdict.
func (p *printer) roles() []*suite {
	var roles []report.RoleChecks
	byRole := map[string]*suite{}
	for _, c := range p.r.Cases {
		for _, k := range c.Checks.Roles {
			if byRole[k.Role] == nil {
				byRole[k.Role] = p.suite("roles." + fold.Dotless(k.Role))
				roles = append(roles, k)
			}
			p.addRole(byRole[k.Role], c, k)
		}
	}
	if len(roles) < 2 && !p.moreThanPlanned() {
		return nil
	}
	slices.SortFunc(roles, func(a, b report.RoleChecks) int { return results.Order(a.Kind, a.Role, b.Kind, b.Role) })
	var out []*suite
	for _, k := range roles {
		out = append(out, byRole[k.Role])
	}
	return out
}

// moreThanPlanned reports whether a role has said more than how its planned test went.
func (p *printer) moreThanPlanned() bool {
	for _, c := range p.r.Cases {
		for _, k := range c.Checks.Roles {
			if len(k.Tests) > 1 || slices.ContainsFunc(k.Tests, func(t report.Check) bool { return !t.Planned }) {
				return true
			}
		}
	}
	return false
}

func (p *printer) addRole(s *suite, c report.CaseReport, k report.RoleChecks) {
	for _, t := range k.Tests {
		p.add(s, t, s.Suite.Name+"."+p.class(c, t))
	}
	for _, q := range k.Properties {
		s.property(q)
	}
	for _, host := range k.Hosts {
		s.host(host)
	}
	s.out, s.err = append(s.out, p.suiteTexts(k.Out)...), append(s.err, p.suiteTexts(k.Err)...)
	for _, a := range c.Attempts {
		for _, r := range a.Roles {
			if a.Counts && r.Name == k.Role && r.Started != nil && r.Ended != nil {
				s.span(*r.Started, *r.Ended)
			}
		}
	}
}

func (s *suite) property(q junit.Property) {
	for _, have := range s.Suite.Properties {
		if have == q {
			return
		}
	}
	s.Suite.Properties = append(s.Suite.Properties, q)
}

// host notes where a suite ran; where there are several hosts, all are properties.
func (s *suite) host(name string) {
	const attr = "hostname"
	switch have := s.Suite.Attr(attr); {
	case have == name:
	case have == "" && !s.hasProperty(attr):
		s.Suite.Attrs = append(s.Suite.Attrs, junit.Attr{Name: attr, Value: name})
	default:
		if have != "" {
			s.property(junit.Property{Name: attr, Value: have})
			s.Suite.Attrs = nil
		}
		s.property(junit.Property{Name: attr, Value: name})
	}
}

func (s *suite) hasProperty(name string) bool {
	for _, have := range s.Suite.Properties {
		if have.Name == name {
			return true
		}
	}
	return false
}

// span widens the suite's time.
func (s *suite) span(from, to time.Time) {
	if s.from.IsZero() || from.Before(s.from) {
		s.from = from
	}
	if to.After(s.to) {
		s.to = to
	}
}

// wall is the time from the first start to the last end; where that is not known, or
// cannot be of one run, the sum of its cases.
func (s *suite) wall() time.Duration {
	if w := s.to.Sub(s.from); !s.from.IsZero() && w >= 0 && w <= fold.OneRun {
		return w
	}
	var sum time.Duration
	for _, c := range s.Cases {
		sum += c.Time.Round(time.Millisecond)
	}
	return sum
}

func (p *printer) document() *junit.Document {
	doc := &junit.Document{Name: p.stage}
	all := &suite{}
	for _, s := range p.suites {
		if len(s.Cases)+len(s.out)+len(s.err) == 0 {
			continue
		}
		s.Time = s.wall()
		if !s.from.IsZero() {
			s.Suite.Attrs = append(s.Suite.Attrs, junit.Attr{Name: "timestamp", Value: timestamp(s.from)})
			all.span(s.from, s.from.Add(s.Time))
		}
		s.Suite.SystemOut, s.Suite.SystemErr = fold.OneText(s.out), fold.OneText(s.err)
		doc.Suites = append(doc.Suites, s.DocumentSuite)
		doc.Time += s.Time
	}
	if !all.from.IsZero() {
		doc.Time = all.wall()
	}
	return doc
}

// timestamp is t as JUnit writes it, in UTC.
func timestamp(t time.Time) string {
	t = t.UTC().Round(time.Millisecond)
	if t.Nanosecond() != 0 {
		return t.Format("2006-01-02T15:04:05.000Z")
	}
	return t.Format("2006-01-02T15:04:05Z")
}
