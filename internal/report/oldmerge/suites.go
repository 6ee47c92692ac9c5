package merge

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// suiteOf is the suite of the report that a suite of the file belongs to: one
// per name, package and suites around it.
func (p *plain) suiteOf(s *junit.Suite) *suite {
	if got, ok := p.of[s]; ok {
		return got
	}
	var at suitePath
	for x := s; x != nil; x = x.Parent {
		at.names = append(at.names, orElse(x.Name, p.unnamed()))
		at.packages = append(at.packages, x.Attr("package"))
	}
	if s == nil {
		at = suitePath{[]string{p.unnamed()}, []string{""}}
	}
	slices.Reverse(at.names)
	slices.Reverse(at.packages)
	if s != nil && s.Name == "pytest" {
		p.pytest[p.index] = true
	}
	got := p.suiteAt(at)
	p.of[s] = got
	return got
}

// unnamed is what Jenkins calls a suite without a name.
func (p *plain) unnamed() string { return "(" + filepath.Base(p.file.shown()) + ")" }

// suitePath is a suite with those around it, outermost first.
type suitePath struct{ names, packages []string }

func (at suitePath) key() string {
	return strings.Join(at.names, "\x00") + "\x00\x00" + strings.Join(at.packages, "\x00")
}

// own is the suite's own name as Jenkins sees it: package and name.
func (at suitePath) own() string {
	n := len(at.names) - 1
	return at.packages[n] + "\x00" + at.names[n]
}

// long is the suite's name behind those of the suites around it.
func (at suitePath) long() string {
	n := len(at.names) - 1
	var b strings.Builder
	for i, name := range at.names[:n] {
		if at.packages[i] != "" {
			b.WriteString(at.packages[i] + ".")
		}
		b.WriteString(name + ".")
	}
	return b.String() + at.names[n]
}

func (p *plain) suiteAt(at suitePath) *suite {
	got := p.byPath[at.key()]
	if got == nil {
		got = p.b.addSuite(at.names[len(at.names)-1])
		p.byPath[at.key()], p.paths[got] = got, at
	}
	return got
}

// endSuite takes over what a suite says beside its cases.
func (p *plain) endSuite(s *junit.Suite) error {
	p.tally[p.index].end(s)
	p.b.warnHidden(p.tally[p.index], s, p.file.shown())
	if s.Cases == 0 && len(s.Properties)+len(s.Results)+len(s.SystemOut)+len(s.SystemErr) == 0 {
		return nil // it held other suites, or nothing
	}
	to := p.suiteOf(s)
	to.properties.add(s.Properties...)
	to.addAttrs(s)
	to.addTimes(s)
	delete(p.of, s) // it may come again under another pointer, never under this one
	if err := p.text(to, s.SystemOut, s.SystemErr); err != nil {
		return err
	}
	return p.suiteResults(to, s.Results)
}

// suiteResults makes a case of an error that stands in the suite itself, as
// Jenkins does.
func (p *plain) suiteResults(to *suite, results []junit.Result) error {
	for i, r := range results {
		c := &junit.Case{Name: "(suite)", Classname: to.name, Results: []junit.Result{r}}
		if i > 0 {
			c.Name = fmt.Sprintf("(suite %d)", i+1)
		}
		p.b.cut.apply(c, p.file.shown())
		if err := p.b.put(to, c, "", p.index, flagSynthetic); err != nil {
			return err
		}
	}
	return nil
}

// text puts the output of a suite into the spool.
func (p *plain) text(to *suite, out, errs []string) error {
	if len(out)+len(errs) == 0 {
		return nil
	}
	c := &junit.Case{SystemOut: out, SystemErr: errs}
	c.SystemOut = p.b.cut.texts(out, p.b.o.Caps.FailOut, p.file.shown())
	c.SystemErr = p.b.cut.texts(errs, p.b.o.Caps.FailOut, p.file.shown())
	at, err := p.b.encode(c)
	if err != nil {
		return err
	}
	to.text = append(to.text, entry{off: at.off, n: uint32(at.n), origin: uint32(p.index)}) //nolint:gosec // an index
	return nil
}

// outer takes over what stands outside of all suites.
func (p *plain) outer(s junit.Suite) error {
	if len(s.Properties)+len(s.SystemOut)+len(s.SystemErr)+len(s.Results) == 0 {
		return nil
	}
	to := p.suiteOf(nil)
	to.properties.add(s.Properties...)
	if err := p.text(to, s.SystemOut, s.SystemErr); err != nil {
		return err
	}
	return p.suiteResults(to, s.Results)
}

// maxSuiteAttrs bounds the attributes of a suite; further ones are properties.
const maxSuiteAttrs = 100

// addAttrs takes over the attributes of a suite that are not recounted. Where
// two suites disagree, all values are kept as properties.
func (s *suite) addAttrs(from *junit.Suite) {
	for _, a := range from.Attrs {
		switch a.Name {
		case "tests", "failures", "errors", "skipped", "disabled", "time", "id", "timestamp", "assertions", "warnings":
			continue // recounted, or a sum that would be wrong
		}
		i := slices.IndexFunc(s.attrs, func(have junit.Attr) bool { return have.Name == a.Name })
		switch {
		case i < 0 && !s.conflicting(a.Name) && len(s.attrs) < maxSuiteAttrs:
			s.attrs = append(s.attrs, a)
		case i < 0:
			s.properties.add(junit.Property(a))
		case s.attrs[i].Value != a.Value:
			s.properties.add(junit.Property(s.attrs[i]), junit.Property(a))
			s.attrs = slices.Delete(s.attrs, i, i+1)
		}
	}
}

// conflicting reports whether suites disagreed about an attribute before.
func (s *suite) conflicting(name string) bool {
	return slices.ContainsFunc(s.properties.list, func(p junit.Property) bool { return p.Name == name })
}

func (s *suite) addTimes(from *junit.Suite) {
	start, ok := parseTimestamp(from.Attr("timestamp"))
	if !ok {
		s.times.unknown = true
		return
	}
	took := junit.ParseTime(from.Attr("time"))
	s.times.span(start, start.Add(took.Round(time.Millisecond)))
}

// parseTimestamp reads the forms that runners write. Without a zone it is UTC,
// as for Jenkins.
func parseTimestamp(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Round(time.Millisecond), true
		}
	}
	return time.Time{}, false
}

// name gives the suites their final names: their own where that is unique, else
// with the names of the suites around them, and with a number where these are
// the same, too.
func (p *plain) name() {
	seen := make(map[string]int)
	for _, s := range p.b.suites {
		seen[p.paths[s].own()]++
	}
	given := make(map[string]int)
	for _, s := range p.b.suites {
		at := p.paths[s]
		if seen[at.own()] > 1 {
			s.name = at.long()
		}
		id := at.packages[len(at.packages)-1] + "\x00" + s.name
		if given[id]++; given[id] > 1 {
			s.name = fmt.Sprintf("%s (%d)", s.name, given[id])
		}
	}
}
