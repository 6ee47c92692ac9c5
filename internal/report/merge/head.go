package merge

import (
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// head is what several suites say that become one: attributes, properties, times.
type head struct {
	attrs      []junit.Attr
	properties properties
	times      times
}

// recounted reports whether an attribute is a total that the report counts anew.
func recounted(name string) bool {
	return slices.Contains([]string{"tests", "failures", "errors", "skipped", "disabled", "time", "id"}, name)
}

// maxSuiteAttrs bounds the attributes of a suite; further ones are properties.
const maxSuiteAttrs = 100

// add takes over what a suite of a file says, and the suites around it. Where two suites disagree about an attribute,
// all values are kept as properties. It reports false of a timestamp that is none.
func (s *head) add(from *junit.Suite) bool {
	s.properties.add(from.Attr("hostname"), from.Properties)
	for _, a := range from.Attrs {
		if _, ok := junit.ParseTimestamp(a.Value); a.Name == "timestamp" && ok || recounted(a.Name) {
			continue
		}
		i := slices.IndexFunc(s.attrs, func(have junit.Attr) bool { return have.Name == a.Name })
		switch {
		case i < 0 && !s.properties.names[a.Name] && len(s.attrs) < maxSuiteAttrs:
			s.attrs = append(s.attrs, a)
		case i < 0:
			s.property(junit.Property(a))
		case a.Name == "assertions":
			s.attrs[i].Value = sum(s.attrs[i].Value, a.Value)
		case s.attrs[i].Value != a.Value:
			s.property(junit.Property(s.attrs[i]), junit.Property(a))
			s.attrs = slices.Delete(s.attrs, i, i+1)
		}
	}
	prefix := "outer."
	for x := from.Parent; x != nil; x, prefix = x.Parent, prefix+"outer." {
		s.property(junit.Property{Name: prefix + "name", Value: x.Name})
		for _, a := range x.Attrs {
			if !recounted(a.Name) {
				s.property(junit.Property{Name: prefix + a.Name, Value: a.Value})
			}
		}
	}
	return s.times.add(from)
}

// property adds properties that are true of all hosts.
func (s *head) property(props ...junit.Property) { s.properties.add("", slices.Clone(props)) }

// took adds a time of which nobody says when it was.
func (s *head) took(d time.Duration) { s.times.part(time.Time{}, d) }

// when is when the suite began, if that is known, and how long it took.
func (s *head) when() (start time.Time, took time.Duration) { return s.times.first, s.times.wall() }

// suite is the suite as the report has it.
func (s *head) suite(name string) *junit.Suite {
	out := &junit.Suite{Name: name, Properties: s.properties.marked()}
	if !s.times.first.IsZero() {
		out.Attrs = append(out.Attrs, junit.Attr{Name: "timestamp", Value: junit.Timestamp(s.times.first)})
	}
	for _, a := range s.attrs {
		if a.Name != "timestamp" || s.times.first.IsZero() {
			out.Attrs = append(out.Attrs, a)
		}
	}
	slices.SortFunc(out.Attrs, func(a, b junit.Attr) int { return strings.Compare(a.Name, b.Name) })
	return out
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

// properties are those of a suite, each once, in the order in which they came, and of which hosts they were said. There
// may be very many: of each little is kept that the collector has to look at.
type properties struct {
	list  []junit.Property
	first []int32           // index into hosts, of each
	more  map[int32][]int32 // further ones, by the index into list; a host may be there again
	at    map[uint64]int32  // index of each by its hash
	names map[string]bool
	seed  maphash.Seed
	hosts []string         // "" = all of them
	host  map[string]int32 // index of each
}

// add takes over more.
func (p *properties) add(host string, more []junit.Property) {
	if p.at == nil {
		p.at, p.seed, p.more = make(map[uint64]int32, len(more)), maphash.MakeSeed(), map[int32][]int32{}
		p.names, p.host = map[string]bool{}, map[string]int32{}
		p.list, p.first = more[:0], make([]int32, 0, len(more))
	}
	here, ok := p.host[host]
	if !ok {
		here = int32(len(p.hosts)) //nolint:gosec // a host has more bytes
		p.hosts, p.host[host] = append(p.hosts, host), here
	}
	for _, one := range more {
		key := maphash.Comparable(p.seed, one)
		i, ok := p.at[key]
		if !ok || p.list[i] != one { // equal hashes prove nothing
			p.at[key] = int32(len(p.list)) //nolint:gosec // a property has more bytes
			p.list, p.first, p.names[one.Name] = append(p.list, one), append(p.first, here), true
			continue
		}
		if of := p.more[i]; p.first[i] != here && (len(of) == 0 || of[len(of)-1] != here) {
			p.more[i] = append(of, here)
		}
	}
}

// marked gives the properties as the report has them. What is not true of all of several
// hosts is marked with those that it is true of.
func (p *properties) marked() []junit.Property {
	all := int32(slices.Index(p.hosts, "")) //nolint:gosec // an index
	named := len(p.hosts)
	if all >= 0 {
		named--
	}
	if named < 2 {
		return p.list
	}
	var out []junit.Property
	for i, one := range p.list {
		of := append([]int32{p.first[i]}, p.more[int32(i)]...) //nolint:gosec // an index
		slices.Sort(of)
		of = slices.Compact(of)
		if len(of) == named || slices.Contains(of, all) {
			out = append(out, one)
			continue
		}
		for _, host := range of {
			out = append(out, junit.Property{Name: one.Name + "@" + p.hosts[host], Value: one.Value})
		}
	}
	return fold.Unlike(out, nil) // what is marked may be there already
}

// times collects when a suite began and how long it took.
type times struct {
	first, last time.Time
	parts       time.Duration // of all parts
	unknown     bool          // a part that took time does not say when
}

// add takes over the times of a suite of a file: from its timestamp as long as it says, or its cases took; without one
// the larger of both counts. It reports false of a timestamp that is none.
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

// part takes over one part; a zero start is unknown.
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

// wall is the time from the first start to the last end; the sum of the parts
// where that is not known, or they cannot be of one run.
func (t *times) wall() time.Duration {
	if w := t.last.Sub(t.first); !t.unknown && !t.first.IsZero() && w <= fold.OneRun {
		return w
	}
	return min(t.parts, junit.MaxTime) // readers take no more
}
