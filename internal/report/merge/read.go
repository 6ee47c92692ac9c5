package merge

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/merge/source"
	"github.com/ci-disagg/ci-disagg/internal/report/reruns"
)

// fileRead is the reading of one file.
type fileRead struct {
	m        *merger
	file     *File
	nameless string // its suites without a name
	first    int    // of its parts
	open     map[*junit.Suite]*part
	prefix   string // of the paths of attachments
	told     bool   // something says already that the file holds nothing good
}

// read makes entries of the cases of a file.
func (m *merger) read(i int) error {
	f := &m.in.Files[i]
	p := &fileRead{m: m, file: f, nameless: nameless(f), first: len(m.parts), open: make(map[*junit.Suite]*part), prefix: m.rebase(f)}
	got, err := source.Read(*f, m.o.Read, junit.Visitor{Case: p.testCase, Suite: p.end, Shallow: len(m.o.Labels) == 0})
	var problem *junit.Problem
	if err != nil && !errors.As(err, &problem) {
		return err
	}
	m.sum.In += got.Counts.Tests
	if got.Repaired > 0 {
		m.warn("%s: %d characters that XML does not allow, or entities it does not know, were replaced", f.Shown, got.Repaired)
	}
	p.outer(&got)
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

// testCase makes an entry of a case, with the names that it has in the report.
func (p *fileRead) testCase(c *junit.Case) error {
	m, o := p.m, p.part(c.Suite)
	e := entry{part: o.index}
	if c.Name == "" && c.Classname == "" && len(c.Attrs)+len(c.Properties)+len(c.Results)+len(c.Reruns) == 0 {
		e.flags = flagBare
	}
	if c.Raw != nil && p.prefix != "" && fold.Attached(c.Raw) {
		var err error
		if c, err = junit.ReadCase(c.Raw); err != nil {
			return fmt.Errorf("%s: %w", p.file.Shown, err)
		}
	}
	if c.Raw == nil {
		fold.Repeated(c, m.o.Flaky)
		p.identify(o, c)
		if p.prefix != "" {
			fold.Rebase(c, p.prefix)
		}
	}
	m.store(&e, c)
	o.suite.entries = append(o.suite.entries, e)
	o.cases++
	o.down = o.down || e.is(flagTeardown)
	return nil
}

// store makes an entry stand for a case, which goes into the spool.
func (m *merger) store(e *entry, c *junit.Case) {
	e.key, e.status = maphash.Comparable(m.seed, [2]string{c.Classname, c.Name}), uint8(c.Status().Rank()) //nolint:gosec // 0 to 3
	e.flags = e.flags&(flagMade|flagBare) | m.flags(c)
	e.Span = m.spool.Keep(c)
}

// flags are those that the form of a case gives. It can be copied if it has one of each
// that readers take only one of, and its texts are within the bounds.
func (m *merger) flags(c *junit.Case) (f uint16) {
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
	single := len(c.Results) < 2 && len(c.SystemOut) < 2 && len(c.SystemErr) < 2
	if text > 0 || len(c.Reruns) > 0 {
		f |= flagText
	}
	if fold.IsTeardown(c) {
		f |= flagTeardown
	}
	if single && (m.o.NoCaps || short && len(c.Reruns) == 0) {
		f |= flagAsIs
	}
	return f
}

// identify gives a case the class and the name that it has in the report: without a class it has the one that Jenkins
// gives it, the name of its suite, else what its own name has before the last dot, else the file.
func (p *fileRead) identify(o *part, c *junit.Case) {
	c.Name, c.Classname = cmp.Or(c.Name, unnamed), cmp.Or(c.Classname, o.name)
	if i := strings.LastIndexByte(c.Name, '.'); c.Classname == "" && i > 0 && i+1 < len(c.Name) {
		c.Classname, c.Name = c.Name[:i], c.Name[i+1:]
	}
	c.Classname = labels(p.m.o.Labels).class(cmp.Or(c.Classname, fold.Dotless(p.nameless)))
}

// Names of cases that have none.
const (
	unnamed     = "(unnamed)"
	interrupted = "(interrupted)"
)

// part is the open part of a suite, nil for what stands outside any.
func (p *fileRead) part(s *junit.Suite) *part {
	o := p.open[s]
	if o == nil {
		o = p.m.part(p.file, p.m.suiteAt(pathOf(p.file, s)))
		if s != nil {
			o.name, o.pytest = s.Name, s.Pytest
		}
		p.open[s] = o
	}
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
	delete(p.open, s)
	o.place.Start = reruns.MomentOf(s.Attr("timestamp"))
	if counts, ok := s.Declared("tests"); !ok || !s.Complete || counts < o.cases || o.down {
		o.reading = fold.ReadingOf(s, o.shown())
		o.pytest = o.pytest || o.reading == fold.LastCounts
		if o.pytest && counts < o.cases {
			if err := p.interrupt(o); err != nil {
				return err
			}
		}
	}
	if !o.suite.head.add(s) {
		m.warn("%s: suite %q has the timestamp %q, which is none", p.file.Shown, s.Name, s.Attr("timestamp"))
	}
	p.beside(o, s)
	return nil
}

// interrupt names what pytest leaves of the test during which its session ended (Ctrl-C, pytest.exit): a case without a
// name that looks passed, and that the suite does not count.
func (p *fileRead) interrupt(o *part) error {
	for e := range o.entries {
		if !e.is(flagBare) {
			continue
		}
		c, err := p.m.value(e)
		if err != nil {
			return err
		}
		c.Classname, c.Name = "", interrupted
		p.identify(o, c)
		c.Results = []junit.Result{{Status: junit.Errored, Type: "ci-disagg.interrupted", Message: "the session ended during a test; the file does not say which"}}
		p.m.store(e, c)
	}
	return nil
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
func (p *fileRead) beside(o *part, s *junit.Suite) {
	for i, r := range s.Results {
		c := &junit.Case{Name: "(suite)", Classname: o.suite.path.own().name, Results: []junit.Result{r}}
		if i > 0 {
			c.Name = fmt.Sprintf("(suite %d)", i+1)
		}
		p.told = p.told || r.Status.Red()
		p.m.put(o.suite, p.file, c)
	}
	if len(s.SystemOut)+len(s.SystemErr) > 0 {
		k, limit := &p.m.cut, p.m.o.Caps.FailOut
		c := &junit.Case{SystemOut: k.OneText(s.SystemOut, limit, p.file.Shown), SystemErr: k.OneText(s.SystemErr, limit, p.file.Shown)}
		o.suite.texts = append(o.suite.texts, entry{Span: p.m.spool.Keep(c), part: o.index})
	}
}

// outer takes over what stands outside of all suites, and the name and the
// attributes of the root: each of the file's suites has them as properties.
func (p *fileRead) outer(f *junit.File) {
	s := &f.Outer
	if s.Contradiction != "" {
		p.contradiction(p.file.Shown, "the file", s)
	}
	if len(s.Properties)+len(s.SystemOut)+len(s.SystemErr)+len(s.Results) > 0 || s.Cases > 0 {
		o := p.part(nil)
		o.suite.head.property(s.Properties...)
		o.suite.head.took(s.Time)
		p.beside(o, s)
	}
	for _, a := range s.Attrs {
		for _, o := range p.m.parts[p.first:] {
			if !recounted(a.Name) && !f.Ours { // its name is a label that this merge gives, too
				o.suite.head.property(junit.Property{Name: "testsuites." + a.Name, Value: a.Value})
			}
		}
	}
}

// part is a new part of a suite.
func (m *merger) part(file *File, of *suite) *part {
	o := &part{index: uint32(len(m.parts)), file: file, suite: of, first: len(of.entries)} //nolint:gosec // an index
	o.place = reruns.Place{File: file.Nth, Shown: cmp.Or(file.Shown, m.in.Name)}
	m.parts = append(m.parts, o)
	return o
}

// put adds a case to a suite that stands in no file, but is about one.
func (m *merger) put(to *suite, file *File, c *junit.Case) {
	c.Classname = labels(m.o.Labels).class(c.Classname)
	e := entry{part: m.part(file, to).index}
	m.keep(&e, c)
	to.entries = append(to.entries, e)
	m.sum.Synthetic++
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
func (m *merger) lifecycle() {
	missing := slices.SortedFunc(slices.Values(m.in.Missing), func(x, y Missing) int { return fold.Natural(x.Name, y.Name) })
	if len(m.in.Files)+len(missing) == 0 {
		missing = []Missing{{"(no files)", "no result files were given"}}
	}
	for _, one := range missing {
		m.problem("files", one.Name, junit.Result{Status: junit.Errored, Type: "ci-disagg.no-results", Message: one.Name + ": " + one.Why})
	}
	if len(m.problems) == 0 {
		return
	}
	s := m.suiteAt(suitePath{at: []level{{"", fold.Dotless(m.in.Name) + ".lifecycle"}}}) // a report of ours may have been an input
	for _, c := range m.problems {
		m.put(s, &File{}, c)
	}
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
func (m *merger) rebase(f *File) string {
	if m.o.Dir == "" || f.Content != nil {
		return ""
	}
	rel, err := filepath.Rel(m.o.Dir, filepath.Dir(f.Path))
	if err != nil || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel)
}
