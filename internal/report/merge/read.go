package merge

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/merge/source"
)

// fileRead is the reading of one file.
type fileRead struct {
	m        *merger
	index    int // of the file
	file     File
	nameless string // its suites without a name
	open     map[*junit.Suite]*openPart
	last     *openPart    // of the case before
	lastOf   *junit.Suite // whose it is
	suites   []*suite     // that the file has added to
	rebased  bool         // attachments get other paths
	told     bool         // something says already that the file holds nothing good
}

// openPart is a suite of the file that has not ended.
type openPart struct {
	index int    // into parts
	name  string // of the suite in the file
	suite *suite
	bare  []int // entries without any name
}

// read makes entries of the cases of a file.
func (m *merger) read(i int) error {
	f := m.in.Files[i]
	p := &fileRead{m: m, index: i, file: f, nameless: nameless(f), open: make(map[*junit.Suite]*openPart), rebased: m.rebase(f) != ""}
	got, err := m.src.Read(f, m.o.Read, junit.Visitor{Case: p.testCase, Suite: p.end, Shallow: true})
	var problem *junit.Problem
	if err != nil && !errors.As(err, &problem) {
		return err
	}
	m.sum.In += got.Counts.Tests
	if got.Repaired > 0 {
		m.warn("%s: %d characters that XML does not allow, or entities it does not know, were replaced", f.Shown, got.Repaired)
	}
	if err := p.outer(&got); err != nil {
		return err
	}
	sum := FileResult{Path: f.Shown, Cases: got.Counts.Tests}
	switch {
	case problem != nil:
		sum.Problem = problem.Error()
		m.problem("files", f.Shown, fileResult(problem))
	case got.Counts.Tests == 0 && !p.told:
		sum.Problem = "no test cases"
		m.problem("files", f.Shown, m.emptyResult(f.Shown))
	}
	m.sum.Files = append(m.sum.Files, sum)
	return nil
}

// testCase makes an entry of a case.
func (p *fileRead) testCase(c *junit.Case) error {
	m := p.m
	o := p.part(c.Suite)
	status := c.Status()
	class, name := identity(o.name, p.nameless, c.Classname, c.Name)
	e := entry{
		Span: source.Span{Off: c.Offset + m.src.Base(p.index), N: uint32(len(c.Raw)), Sum: source.Sum(c.Raw), File: uint32(p.index)}, //nolint:gosec // bounded by MaxCase; an index
		part: uint32(o.index), status: uint8(status.Rank()), time: c.Time, key: m.key(class, name), flags: m.flags(c, p.rebased),     //nolint:gosec // an index; 0 to 3
	}
	if len(c.Reruns) > 0 && m.flaky(status, 2) != status {
		e.status, e.flags = uint8(m.flaky(status, 2).Rank()), e.flags|flagFlaky //nolint:gosec // 0 to 3
	}
	if c.Name == "" && c.Classname == "" && len(c.Attrs)+len(c.Properties)+len(c.Results)+len(c.Reruns) == 0 {
		o.bare = append(o.bare, len(o.suite.entries))
	}
	o.suite.entries = append(o.suite.entries, e)
	m.parts[o.index].cases++
	if e.is(flagTeardown) {
		m.parts[o.index].down++
	}
	return nil
}

// flags are those that the form of a case gives. It can be copied if that is plain, and
// its texts are within the bounds.
func (m *merger) flags(c *junit.Case, rebased bool) (f uint16) {
	caps, text := &m.o.Caps, 0 // the longest
	short := true
	for _, r := range c.Results {
		text = max(text, len(r.Text))
		short = short && len(r.Text) <= caps.Body && len(r.Message) <= caps.Message && fold.OneLine(r.Message) == r.Message
	}
	limit := caps.Output(c.Status())
	for _, list := range [...][]string{c.SystemOut, c.SystemErr} {
		for _, out := range list {
			text, short = max(text, len(out)), short && len(out) <= limit
		}
	}
	asIs := c.Plain && c.Classname != "" && len(m.o.Labels) == 0 && (short || m.o.NoCaps)
	if text > 0 || len(c.Reruns) > 0 {
		f |= flagText
	}
	if fold.IsTeardown(c) {
		f |= flagTeardown
	}
	if asIs && (!rebased || !fold.Attached(c.Raw)) {
		f |= flagAsIs
	}
	return f
}

// identity is the class and the name that a case has in the report: without a
// class it has the one that Jenkins gives it, the name of its suite, else what
// its own name has before the last dot, else the file.
func identity(suite, file, class, name string) (c, n string) {
	name = cmp.Or(name, unnamed)
	if class = cmp.Or(class, suite); class != "" {
		return class, name
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 && i+1 < len(name) {
		return name[:i], name[i+1:]
	}
	return fold.Dotless(file), name
}

// Names of cases that have none.
const (
	unnamed     = "(unnamed)"
	interrupted = "(interrupted)"
)

// part is the open part of a suite, nil for what stands outside any.
func (p *fileRead) part(s *junit.Suite) *openPart {
	if p.last != nil && p.lastOf == s {
		return p.last
	}
	o := p.open[s]
	if o == nil {
		to := p.m.suiteAt(pathOf(p.file, s))
		o = &openPart{index: len(p.m.parts), suite: to}
		one := part{file: p.index, declared: -1, unnamed: true}
		if s != nil {
			o.name, one.pytest, one.unnamed = s.Name, s.Pytest, s.Name == ""
		}
		p.open[s] = o
		p.m.parts = append(p.m.parts, one)
		if !slices.Contains(p.suites, to) {
			p.suites = append(p.suites, to)
		}
	}
	p.last, p.lastOf = o, s
	return o
}

// end takes over what a suite says beside its cases.
func (p *fileRead) end(s *junit.Suite) error {
	m := p.m
	if hidden := s.Hidden(); hidden != "" {
		m.warn("%s: suite %q %s", p.file.Shown, s.Name, hidden)
	}
	if s.Contradiction != "" {
		p.contradiction(p.file.Shown+": "+cmp.Or(s.Name, p.nameless), fmt.Sprintf("suite %q", s.Name), s)
	}
	if s.Cases == 0 && len(s.Properties)+len(s.Results)+len(s.SystemOut)+len(s.SystemErr) == 0 {
		return nil // it held other suites, or nothing
	}
	o := p.part(s)
	p.last = nil
	delete(p.open, s)
	one := &m.parts[o.index]
	one.complete = s.Complete
	if n, ok := s.Declared("tests"); ok {
		one.declared = n
	}
	one.start, _ = junit.ParseTimestamp(s.Attr("timestamp"))
	p.interrupt(o, s)
	if !o.suite.head.add(s) {
		m.warn("%s: suite %q has the timestamp %q, which is none", p.file.Shown, s.Name, s.Attr("timestamp"))
	}
	return p.beside(o.suite, s)
}

// interrupt names what pytest leaves of the test during which its session ended
// (Ctrl-C, pytest.exit): a case without a name that looks passed, and that the
// suite does not count.
func (p *fileRead) interrupt(o *openPart, s *junit.Suite) {
	one := &p.m.parts[o.index]
	if !one.pytest || one.declared >= one.cases {
		return
	}
	for _, i := range o.bare {
		e := &o.suite.entries[i]
		class, name := identity(s.Name, p.nameless, "", interrupted)
		e.key = p.m.key(class, name)
		e.status, e.flags = uint8(junit.Errored.Rank()), e.flags&^flagAsIs|flagInterrupted //nolint:gosec // 3
		one.cases--
	}
}

// contradiction adds the case that says what a suite or a file declares.
func (p *fileRead) contradiction(name, what string, s *junit.Suite) {
	p.told = true
	p.m.problem("suites", name, junit.Result{
		Status: junit.Errored, Type: "ci-disagg.declared", Message: fmt.Sprintf("%s: %s %s", p.file.Shown, what, s.Contradiction),
	})
}

// beside takes over the results and the output of a suite: an error that stands
// in the suite itself is a case, as for Jenkins.
func (p *fileRead) beside(to *suite, s *junit.Suite) error {
	for i, r := range s.Results {
		c := &junit.Case{Name: "(suite)", Classname: to.path.own().name, Results: []junit.Result{r}}
		if i > 0 {
			c.Name = fmt.Sprintf("(suite %d)", i+1)
		}
		p.told = p.told || r.Status.Red()
		if err := p.m.put(to, p.index, c); err != nil {
			return err
		}
	}
	if len(s.SystemOut)+len(s.SystemErr) == 0 {
		return nil
	}
	k, limit := &p.m.cut, p.m.o.Caps.FailOut
	span, err := p.m.src.Keep(&junit.Case{SystemOut: k.OneText(s.SystemOut, limit, p.file.Shown), SystemErr: k.OneText(s.SystemErr, limit, p.file.Shown)})
	to.texts = append(to.texts, entry{Span: span, part: uint32(p.index)}) //nolint:gosec // an index: of the file, as there is no part
	return err
}

// outer takes over what stands outside of all suites, and the name and the
// attributes of the root: each of the file's suites has them as properties.
func (p *fileRead) outer(f *junit.File) error {
	s := &f.Outer
	if s.Contradiction != "" {
		p.contradiction(p.file.Shown, "the file", s)
	}
	if len(s.Properties)+len(s.SystemOut)+len(s.SystemErr)+len(s.Results) > 0 || s.Cases > 0 {
		to := p.part(nil).suite
		to.head.property(s.Properties...)
		to.head.took(s.Time)
		if err := p.beside(to, s); err != nil {
			return err
		}
	}
	for _, a := range s.Attrs {
		for _, to := range p.suites {
			if !recounted(a.Name) && !f.Ours { // its name is a label that this merge gives, too
				to.head.property(junit.Property{Name: "testsuites." + a.Name, Value: a.Value})
			}
		}
	}
	return nil
}

// put adds a case to a suite that stands in no file, but is about one.
func (m *merger) put(to *suite, file int, c *junit.Case) error {
	c.Classname = labels(m.o.Labels).class(c.Classname)
	e := entry{key: m.key(c.Classname, c.Name), part: uint32(len(m.parts))} //nolint:gosec // an index
	m.parts = append(m.parts, part{file: file, declared: -1})
	err := m.keep(&e, c)
	to.entries = append(to.entries, e)
	m.sum.Synthetic++
	return err
}

// problem adds a case that says what is wrong with an input.
func (m *merger) problem(kind, name string, r junit.Result) {
	c := &junit.Case{Name: name, Classname: fold.Dotless(m.in.Name) + ".lifecycle." + kind}
	if r.Status != junit.Passed {
		c.Results = []junit.Result{r}
	}
	m.problems = append(m.problems, c)
}

// lifecycle makes cases of what is wrong with the inputs.
func (m *merger) lifecycle() error {
	missing := slices.SortedFunc(slices.Values(m.in.Missing), func(x, y Missing) int { return fold.Natural(x.Name, y.Name) })
	if len(m.in.Files)+len(missing) == 0 {
		missing = []Missing{{"(no files)", "no result files were given"}}
	}
	for _, one := range missing {
		m.problem("files", one.Name, junit.Result{Status: junit.Errored, Type: "ci-disagg.no-results", Message: one.Name + ": " + one.Why})
	}
	if len(m.problems) == 0 {
		return nil
	}
	s := m.suiteAt(suitePath{at: []level{{"", fold.Dotless(m.in.Name) + ".lifecycle"}}}) // a report of ours may have been an input
	for _, c := range m.problems {
		if err := m.put(s, source.Spool, c); err != nil {
			return err
		}
	}
	return nil
}

// emptyResult is the result of the case that stands for a file without a case.
func (m *merger) emptyResult(shown string) junit.Result {
	s := map[Policy]junit.Status{fold.Skip: junit.Skipped, fold.Pass: junit.Passed}[m.o.Empty]
	return junit.Result{Status: cmp.Or(s, junit.Errored), Type: "ci-disagg.no-tests", Message: shown + ": the file holds no test case"}
}

// fileResult is the result of the case that stands for a broken file.
func fileResult(p *junit.Problem) junit.Result {
	kind := strings.ReplaceAll(string(p.Kind), " ", "-")
	if p.Kind == junit.NoSuites {
		kind = "not-junit"
	}
	return junit.Result{Status: junit.Errored, Type: "ci-disagg.results-" + kind, Message: p.Message(p.File), Text: p.Error()}
}

// rebase is what leads from the report to the directory of a file, "" if nothing
// has to: the relative paths of attachments begin there.
func (m *merger) rebase(f File) string {
	if m.o.Dir == "" || f.Content != nil {
		return ""
	}
	rel, err := filepath.Rel(m.o.Dir, filepath.Dir(f.Path))
	if err != nil || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel)
}
