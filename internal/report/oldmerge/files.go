package merge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// FilesInput are JUnit files without a run around them.
type FilesInput struct {
	Name   string // of the report, and prefix of the suite for broken files
	Files  []File // in any order
	NoFold bool   // keep cases of one name apart
	// Missing are names that were to be files and are none: each is a red case.
	Missing []Missing
}

// Missing is a name that stands for no file, and why.
type Missing struct{ Name, Why string }

// Files merges JUnit files that nothing else is known about: suites of one name
// become one, in the order in which they first occur when the files are sorted;
// cases of one name become one, the worst of several files, the last of several
// attempts in a pytest file. A broken file becomes a red case beside what could
// be salvaged.
func Files(in FilesInput, path string, o Options) (Summary, error) {
	b := newBook(path, o)
	in.Name = orElse(in.Name, "merged")
	err := b.files(in, path)
	return *b.sum, errors.Join(err, b.close())
}

func (b *book) files(in FilesInput, path string) error {
	files := slices.Clone(in.Files)
	slices.SortStableFunc(files, func(x, y File) int { return Natural(x.shown(), y.shown()) })
	files = slices.CompactFunc(files, func(x, y File) bool { return x.Path == y.Path })
	p := &plain{b: b, in: in, byPath: make(map[string]*suite), paths: make(map[*suite]suitePath), pytest: make([]bool, len(files)), tally: make([]*tally, len(files))}
	b.kept = func(e *entry) string { return files[e.origin].shown() }
	for i, f := range files {
		if err := p.read(i, f); err != nil {
			return err
		}
	}
	if err := p.lifecycle(); err != nil {
		return err
	}
	if !in.NoFold {
		if err := p.fold(files); err != nil {
			return err
		}
	}
	p.name()
	return b.finish(in.Name, path)
}

func (f File) shown() string { return orElse(f.Shown, f.Path) }

// plain merges files by the names of their suites.
type plain struct {
	b      *book
	in     FilesInput
	byPath map[string]*suite // by suitePath.key
	paths  map[*suite]suitePath
	pytest []bool   // by file
	tally  []*tally // by file
	broken []brokenFile
	cases  int

	// of the current file
	file  File
	index int
	of    map[*junit.Suite]*suite
}

// brokenFile is a file that could not be read to its end, or says nothing.
type brokenFile struct {
	file    File
	index   int            // of it
	problem *junit.Problem // nil = well-formed, but without a case
}

func (p *plain) read(i int, f File) error {
	p.file, p.index, p.of = f, i, make(map[*junit.Suite]*suite)
	p.tally[i] = newTally()
	got, err := readFile(f, p.b.o.Read, junit.Visitor{Case: p.addCase, Suite: p.endSuite})
	var problem *junit.Problem
	if err != nil && !errors.As(err, &problem) {
		return err
	}
	p.cases += got.Counts.Tests
	p.b.sum.In += got.Counts.Tests
	p.pytest[i] = p.pytest[i] || attrOf(got.Attrs, "name") == "pytest tests"
	sum := FileSummary{Path: f.shown(), Cases: got.Counts.Tests}
	switch {
	case problem != nil:
		sum.Problem = problem.Error()
		p.broken = append(p.broken, brokenFile{f, i, problem})
	case got.Counts.Tests == 0:
		sum.Problem = "no test cases"
		p.broken = append(p.broken, brokenFile{f, i, nil})
	}
	if got.Repaired > 0 {
		p.b.warn("%s: %d characters that XML does not allow, or entities it does not know, were replaced", f.shown(), got.Repaired)
	}
	p.b.sum.Files = append(p.b.sum.Files, sum)
	return p.outer(got.Outer)
}

// readFile reads one result file. A file that is not there, or is older than it
// may be, is a problem of the file.
func readFile(f File, o junit.ReadOptions, v junit.Visitor) (junit.File, error) {
	r, err := os.Open(f.Path)
	if err != nil {
		return junit.File{}, unread(f, err)
	}
	info, err := r.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a directory")
	}
	if err != nil {
		return junit.File{}, errors.Join(unread(f, err), r.Close())
	}
	if !f.Since.IsZero() && info.ModTime().Before(f.Since.Add(-blame.DefaultSkew)) { // clocks of two hosts
		return junit.File{}, errors.Join(stale(f, info.ModTime()), r.Close())
	}
	got, err := junit.Read(r, f.shown(), o, v)
	return got, errors.Join(err, r.Close())
}

func unread(f File, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the path stands in front already
	}
	return &junit.Problem{File: f.shown(), Kind: junit.Unread, Line: 1, Detail: err.Error(), Err: err}
}

// staleFile says that a file is of an earlier run.
const staleFile junit.ProblemKind = "stale"

func stale(f File, at time.Time) error {
	return &junit.Problem{
		File: f.shown(), Kind: staleFile, Line: 1,
		Detail: fmt.Sprintf("last written %s, before the role started at %s", at.UTC().Format(time.RFC3339), f.Since.UTC().Format(time.RFC3339)),
	}
}

func (p *plain) addCase(c *junit.Case) error {
	to := p.suiteOf(c.Suite)
	p.tally[p.index].add(c)
	if interrupted(c) {
		nameInterrupted(c, junit.Errored)
	}
	if c.Name == "" {
		c.Name = "(unnamed)"
	}
	if c.Classname == "" {
		p.classify(c)
	}
	oneClass(c)
	p.b.cut.apply(c, p.file.shown())
	return p.b.put(to, c, "", p.index, 0)
}

// classify gives a case the class that Jenkins gives one without: the name of
// its suite, else what its own name has before the last dot.
func (p *plain) classify(c *junit.Case) {
	if c.Suite != nil && c.Suite.Name != "" {
		c.Classname = c.Suite.Name
		return
	}
	if i := strings.LastIndexByte(c.Name, '.'); i > 0 && i+1 < len(c.Name) {
		c.Classname, c.Name = c.Name[:i], c.Name[i+1:]
		return
	}
	c.Classname = dotless(p.unnamed())
}

// fold makes one case of each that occurs more than once.
func (p *plain) fold(files []File) error {
	for _, s := range p.b.suites {
		err := p.b.settle(s, true, func(g []*entry) bool { return len(g) > 1 }, func(group []*entry, cases []*junit.Case) (*junit.Case, error) {
			var takes []take
			for from := 0; from < len(cases); {
				to := from + 1
				for to < len(cases) && group[to].origin == group[from].origin {
					to++
				}
				takes = append(takes, p.takes(files[group[from].origin].shown(), int(group[from].origin), cases[from:to])...)
				from = to
			}
			c := foldWorst(takes)
			oneClass(c)
			p.b.cut.apply(c, files[group[0].origin].shown())
			return c, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// takes are the results of one test in one file: attempts in a pytest file that
// does not count them all, and otherwise just several tests of one name, which
// all count.
func (p *plain) takes(label string, file int, cases []*junit.Case) []take {
	if !p.pytest[file] {
		return numbered(label, cases, p.b.weights)
	}
	cases = joinTeardowns(cases)
	if !p.tally[file].attempts {
		return numbered(label, cases, p.b.weights)
	}
	return []take{{label, foldAttempts(cases, p.b.weights, p.b.o.Flaky)}}
}

// lifecycle says what was wrong with the files.
func (p *plain) lifecycle() error {
	if len(p.broken)+len(p.in.Missing) == 0 && p.cases > 0 {
		return nil
	}
	name := dotless(p.in.Name) + ".lifecycle"
	s := p.suiteAt(suitePath{[]string{name}, []string{""}}) // a report of ours may have been an input
	for _, f := range p.broken {
		c := &junit.Case{Name: f.file.shown(), Classname: name + ".files", Results: []junit.Result{fileResult(f.problem, f.file.shown())}}
		if f.problem == nil && p.cases == 0 { // green needs evidence
			c.Results[0] = junit.Result{Status: junit.Errored, Type: "ci-disagg.no-tests", Message: f.file.shown() + ": the file holds no test case"}
		}
		if err := p.b.put(s, c, "", f.index, flagSynthetic); err != nil {
			return err
		}
	}
	missing := slices.SortedFunc(slices.Values(p.in.Missing), func(x, y Missing) int { return Natural(x.Name, y.Name) })
	if len(p.broken)+len(missing) == 0 {
		missing = []Missing{{"(no files)", "no result files were given"}}
	}
	for _, one := range missing {
		res := junit.Result{Status: junit.Errored, Type: "ci-disagg.no-results", Message: one.Name + ": " + one.Why}
		c := &junit.Case{Name: one.Name, Classname: name + ".files", Results: []junit.Result{res}}
		if err := p.b.put(s, c, "", 0, flagSynthetic); err != nil {
			return err
		}
	}
	return nil
}

// fileResult is the result of the case that stands for a broken file.
func fileResult(problem *junit.Problem, shown string) junit.Result {
	if problem == nil {
		return junit.Result{Status: junit.Skipped, Type: "ci-disagg.no-tests", Message: shown + ": the file holds no test case"}
	}
	kind := strings.ReplaceAll(string(problem.Kind), " ", "-")
	if problem.Kind == junit.NoSuites {
		kind = "not-junit"
	}
	r := junit.Result{Status: junit.Errored, Type: "ci-disagg.results-" + kind, Message: fileMessage(problem, shown), Text: problem.Error()}
	return r
}

// fileMessage says in one line what is wrong with a file and what was saved.
func fileMessage(p *junit.Problem, shown string) string {
	switch p.Kind {
	case junit.Truncated, junit.Malformed, junit.TooDeep, junit.TooLarge:
		return fmt.Sprintf("%s %s %s, %d cases salvaged", shown, p.Kind, p.At(), p.Cases)
	case junit.Empty:
		return shown + " is empty"
	case junit.NoSuites:
		return shown + " is not JUnit XML: " + p.Detail
	case staleFile:
		return shown + " is stale: " + p.Detail
	default:
		return shown + " cannot be read: " + p.Detail
	}
}

func attrOf(attrs []junit.Attr, name string) string {
	for _, a := range attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}
