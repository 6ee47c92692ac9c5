package merge

import (
	"cmp"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// suite is one suite of the report.
type suite struct {
	path    suitePath
	name    string
	head    head
	entries []entry
	texts   []entry // output of the suites it was made of, as cases without name
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
	names, packages []string
	role            bool // the outermost is no suite but a role
}

// nameless is what Jenkins calls a suite of a file that has no name.
func nameless(f File) string { return "(" + filepath.Base(f.Shown) + ")" }

func pathOf(f File, s *junit.Suite) suitePath {
	var at suitePath
	for x := s; x != nil; x = x.Parent {
		at.names = append(at.names, cmp.Or(x.Name, nameless(f)))
		at.packages = append(at.packages, x.Attr("package"))
	}
	if s == nil {
		at.names, at.packages = []string{nameless(f)}, []string{""}
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

// name gives the suites their final names: their own where that is unique, else
// with the names of the suites around them, and with a number where these are
// the same, too.
func (m *merger) name() {
	own := func(s *suite) string { return s.path.packages[len(s.path.packages)-1] + "\x00" + s.path.last() }
	seen := make(map[string]int)
	for _, s := range m.suites {
		seen[own(s)]++
	}
	suffix := " [" + labels(m.o.Labels).String() + "]"
	given := make(map[string]int)
	for _, s := range m.suites {
		if seen[own(s)] > 1 || s.path.role {
			s.name = s.path.long()
		}
		if len(m.o.Labels) > 0 && !strings.HasSuffix(s.name, suffix) {
			s.name += suffix
		}
		s.head.property(m.o.Labels...)
		id := s.path.packages[len(s.path.packages)-1] + "\x00" + s.name
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
	prefix := junit.Clean(dotless(l.String())) + "."
	if len(l) == 0 || strings.HasPrefix(name, prefix) {
		return name
	}
	return prefix + name
}
