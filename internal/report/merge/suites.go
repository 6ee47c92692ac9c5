package merge

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// suite is one suite of the report.
type suite struct {
	path       suitePath
	name       string
	attrs      []junit.Attr // hostname, …
	hosts      []string
	properties properties
	times      times
	entries    []entry
	texts      []entry      // output of the suites it was made of, as cases without name
	groups     map[int]plan // of entries that stand for several
}

// suitePath is a suite with those around it, outermost first.
type suitePath struct {
	names, packages []string
	role            bool // the outermost is no suite but a role
}

// name is what Jenkins calls a suite of the file that has no name.
func (f File) name() string { return "(" + filepath.Base(f.Shown) + ")" }

func pathOf(f File, s *junit.Suite) suitePath {
	var at suitePath
	for x := s; x != nil; x = x.Parent {
		at.names = append(at.names, cmp.Or(x.Name, f.name()))
		at.packages = append(at.packages, x.Attr("package"))
	}
	if s == nil {
		at.names, at.packages = []string{f.name()}, []string{""}
	}
	if at.role = f.Role != ""; at.role {
		at.names, at.packages = append(at.names, f.Role), append(at.packages, "")
	}
	slices.Reverse(at.names)
	slices.Reverse(at.packages)
	return at
}

func (at suitePath) key() string {
	return strings.Join(at.names, "\x00") + "\x00\x00" + strings.Join(at.packages, "\x00")
}

func (at suitePath) last() string { return at.names[len(at.names)-1] }

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

// suiteAt is the suite of the report at a path: one per name, package and suites
// around it.
func (m *merger) suiteAt(at suitePath) *suite {
	got := m.byPath[at.key()]
	if got == nil {
		got = &suite{path: at, name: at.last()}
		m.suites = append(m.suites, got)
		m.byPath[at.key()] = got
	}
	return got
}

// recounted reports whether an attribute is a total that the report counts anew.
func recounted(name string) bool {
	switch name {
	case "tests", "failures", "errors", "skipped", "disabled", "time", "id":
		return true
	default:
		return false
	}
}

// maxSuiteAttrs bounds the attributes of a suite; further ones are properties.
const maxSuiteAttrs = 100

// add takes over the attributes and properties of a suite of a file, and those of
// the suites around it. Where two suites disagree about an attribute, all values
// are kept as properties.
func (s *suite) add(from *junit.Suite) {
	host := from.Attr("hostname")
	if host != "" && !slices.Contains(s.hosts, host) {
		s.hosts = append(s.hosts, host)
	}
	s.properties.add(host, from.Properties...)
	for _, a := range from.Attrs {
		if _, ok := junit.ParseTimestamp(a.Value); a.Name == "timestamp" && ok || recounted(a.Name) {
			continue
		}
		i := slices.IndexFunc(s.attrs, func(have junit.Attr) bool { return have.Name == a.Name })
		switch {
		case i < 0 && !s.properties.has(a.Name) && len(s.attrs) < maxSuiteAttrs:
			s.attrs = append(s.attrs, a)
		case i < 0:
			s.properties.add("", junit.Property(a))
		case a.Name == "assertions":
			s.attrs[i].Value = sum(s.attrs[i].Value, a.Value)
		case s.attrs[i].Value != a.Value:
			s.properties.add("", junit.Property(s.attrs[i]), junit.Property(a))
			s.attrs = slices.Delete(s.attrs, i, i+1)
		}
	}
	prefix := "outer."
	for x := from.Parent; x != nil; x, prefix = x.Parent, prefix+"outer." {
		s.properties.add("", junit.Property{Name: prefix + "name", Value: x.Name})
		for _, a := range x.Attrs {
			if !recounted(a.Name) {
				s.properties.add("", junit.Property{Name: prefix + a.Name, Value: a.Value})
			}
		}
	}
}

// sum adds two numbers; what is none is kept beside the other.
func sum(a, b string) string {
	x, err := strconv.ParseInt(a, 10, 32)
	y, err2 := strconv.ParseInt(b, 10, 32)
	if err != nil || err2 != nil {
		return strings.TrimSpace(a + " " + b)
	}
	return strconv.FormatInt(x+y, 10)
}

// properties is a list of properties without repetitions, in the order in which
// they came, each with the host that it was said of.
type properties struct {
	list []hostProperty
	seen map[hostProperty]bool
}

type hostProperty struct {
	host string
	junit.Property
}

func (p *properties) add(host string, more ...junit.Property) {
	if p.seen == nil {
		p.seen = make(map[hostProperty]bool)
	}
	for _, one := range more {
		if hp := (hostProperty{host, one}); !p.seen[hp] {
			p.seen[hp] = true
			p.list = append(p.list, hp)
		}
	}
}

func (p *properties) has(name string) bool {
	return slices.ContainsFunc(p.list, func(one hostProperty) bool { return one.Name == name })
}

// of gives the properties as the report has them. What is true of one of several
// hosts and not of all is marked with it.
func (p *properties) of(hosts []string) (out []junit.Property) {
	given := make(map[junit.Property]bool)
	for _, one := range p.list {
		for _, host := range hosts {
			if one.host != "" && !p.seen[hostProperty{host, one.Property}] {
				one.Name += "@" + one.host
				break
			}
		}
		if !given[one.Property] {
			given[one.Property] = true
			out = append(out, one.Property)
		}
	}
	return out
}

// times collects when a suite began and how long it took.
type times struct {
	first, last time.Time
	parts       time.Duration // of all parts
	unknown     bool          // a part that took time does not say when
}

// add takes over the times of a suite of a file: from its timestamp as long as it
// says, or its cases took; without one the larger of both counts. It reports false
// of a timestamp that is none.
func (t *times) add(s *junit.Suite) bool {
	declared := junit.ParseTime(s.Attr("time"))
	stamp := s.Attr("timestamp")
	start, ok := junit.ParseTimestamp(stamp)
	took := max(declared, s.Time)
	if ok && s.Attr("time") != "" {
		took = declared
	}
	t.part(start, took)
	return ok || stamp == ""
}

func (t *times) part(start time.Time, took time.Duration) {
	t.parts += took
	switch end := start.Add(took); {
	case start.IsZero():
		t.unknown = t.unknown || took > 0
	case t.first.IsZero():
		t.first, t.last = start, end
	default:
		if start.Before(t.first) {
			t.first = start
		}
		if end.After(t.last) {
			t.last = end
		}
	}
}

// oneRun is the longest time that parts of one run can lie apart.
const oneRun = 7 * 24 * time.Hour

// wall is the time from the first start to the last end; the sum of the parts
// where that is not known, or they cannot be of one run.
func (t *times) wall() time.Duration {
	if w := t.last.Sub(t.first); !t.unknown && !t.first.IsZero() && w <= oneRun {
		return w
	}
	return min(t.parts, junit.MaxTime) // readers take no more
}

// name gives the suites their final names: their own where that is unique, else
// with the names of the suites around them, and with a number where these are
// the same, too.
func (m *merger) name() {
	own := func(s *suite) string { return s.path.packages[len(s.path.packages)-1] + "\x00" + s.path.last() }
	seen := make(map[string]int)
	for _, s := range m.suites {
		seen[own(s)]++
	}
	var label []string
	for _, p := range m.o.Labels {
		label = append(label, p.Name+"="+p.Value)
	}
	suffix := " [" + strings.Join(label, " ") + "]"
	given := make(map[string]int)
	for _, s := range m.suites {
		if seen[own(s)] > 1 || s.path.role {
			s.name = s.path.long()
		}
		if len(label) > 0 && !strings.HasSuffix(s.name, suffix) {
			s.name += suffix
		}
		s.properties.add("", m.o.Labels...)
		id := s.path.packages[len(s.path.packages)-1] + "\x00" + s.name
		if given[id]++; given[id] > 1 {
			s.name = fmt.Sprintf("%s (%d)", s.name, given[id])
		}
	}
}
