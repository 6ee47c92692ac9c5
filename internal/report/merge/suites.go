package merge

import (
	"cmp"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// suite is one suite of the report.
type suite struct {
	path    suitePath
	name    string
	head    head
	entries []entry
	texts   []entry // output of the suites that it is made of, as cases without a name
}

// living gives the cases that the report has: those that did not become part of others.
func (s *suite) living() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for i := range s.entries {
			if e := &s.entries[i]; !e.is(flagDead) && !yield(e) {
				return
			}
		}
	}
}

// suitePath is a suite with those around it, outermost first.
type suitePath struct {
	at   []level
	role bool // the outermost is no suite but a role
}

type level struct{ pkg, name string }

// nameless is what Jenkins calls a suite of a file that has no name.
func nameless(f *File) string { return "(" + filepath.Base(f.Shown) + ")" }

func pathOf(f *File, s *junit.Suite) suitePath {
	var at []level
	for x := s; x != nil; x = x.Parent {
		at = append(at, level{x.Attr("package"), cmp.Or(x.Name, nameless(f))})
	}
	if s == nil {
		at = []level{{"", nameless(f)}}
	}
	if f.Role != "" {
		at = append(at, level{"", f.Role})
	}
	slices.Reverse(at)
	return suitePath{at, f.Role != ""}
}

func (p suitePath) key() string { return fmt.Sprintf("%q", p.at) }

// own is the suite without those around it.
func (p suitePath) own() level { return p.at[len(p.at)-1] }

// long is the suite's name behind those of the suites around it.
func (p suitePath) long() string {
	var b strings.Builder
	for _, x := range p.at[:len(p.at)-1] {
		if x.pkg != "" {
			b.WriteString(x.pkg + ".")
		}
		b.WriteString(x.name + ".")
	}
	return b.String() + p.own().name
}

// suiteAt is the suite of the report at a path: one per name, package and suites around it.
func (m *merger) suiteAt(at suitePath) *suite {
	got := m.byPath[at.key()]
	if got == nil {
		got = &suite{path: at, name: at.own().name}
		m.suites = append(m.suites, got)
		m.byPath[at.key()] = got
	}
	return got
}

// name gives the suites their final names: their own where that is unique, else with the names of the suites around
// them, and with a number where these are the same, too.
func (m *merger) name() {
	seen := make(map[level]int)
	for _, s := range m.suites {
		seen[s.path.own()]++
	}
	suffix := " [" + labels(m.o.Labels).String() + "]"
	given := make(map[level]int)
	for _, s := range m.suites {
		if seen[s.path.own()] > 1 || s.path.role {
			s.name = s.path.long()
		}
		if len(m.o.Labels) > 0 && !strings.HasSuffix(s.name, suffix) {
			s.name += suffix
		}
		s.head.property(m.o.Labels...)
		id := level{s.path.own().pkg, s.name}
		if given[id]++; given[id] > 1 {
			s.name = fmt.Sprintf("%s (%d)", s.name, given[id])
		}
	}
}

// labels name the cell of a matrix that the report is of.
type labels []junit.Property

func (l labels) String() string {
	var all []string
	for _, p := range l {
		all = append(all, p.Name+"="+p.Value)
	}
	return strings.Join(all, " ")
}

// class is a class name in front of which the labels stand as its first package: a
// test has the history of its class and name, whatever suite it is in.
func (l labels) class(name string) string {
	prefix := junit.Clean(fold.Dotless(l.String())) + "."
	if len(l) == 0 || strings.HasPrefix(name, prefix) {
		return name
	}
	return prefix + name
}
