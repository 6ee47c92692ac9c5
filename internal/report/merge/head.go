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
	hosts      []string
	properties properties
	times      times
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

// add takes over what a suite of a file says, and the suites around it. Where two
// suites disagree about an attribute, all values are kept as properties. It reports
// false of a timestamp that is none.
func (s *head) add(from *junit.Suite) bool {
	host := from.Attr("hostname")
	if host != "" && !slices.Contains(s.hosts, host) {
		s.hosts = append(s.hosts, host)
	}
	s.properties.add(host, from.Properties)
	for _, a := range from.Attrs {
		if _, ok := junit.ParseTimestamp(a.Value); a.Name == "timestamp" && ok || recounted(a.Name) {
			continue
		}
		i := slices.IndexFunc(s.attrs, func(have junit.Attr) bool { return have.Name == a.Name })
		switch {
		case i < 0 && !s.properties.has(a.Name) && len(s.attrs) < maxSuiteAttrs:
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
	out := &junit.Suite{Name: name, Properties: s.properties.marked(s.hosts)}
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

// properties are those of a suite, each once, in the order in which they came. There
// may be very many: nothing is kept of each that the collector has to look at but its
// texts.
type properties struct {
	list []junit.Property
	of   []int32          // index into hosts, of each
	at   map[uint64]int32 // index of each by its hash
	seed maphash.Seed
	// hosts are the sets of hosts that something was said of, each once: with many hosts that say the same, a list of
	// them for each property would be quadratic.
	hosts []hostSet
	known map[hostSet]int32 // index into hosts
}

// hostSet is a host, "" = all of them, and the set that it joined.
type hostSet struct {
	host   string
	before int32 // index into hosts, negative = none
}

// set is the index of a set of hosts.
func (p *properties) set(s hostSet) int32 {
	i, ok := p.known[s]
	if !ok {
		i = int32(len(p.hosts)) //nolint:gosec // a suite has more bytes
		p.hosts, p.known[s] = append(p.hosts, s), i
	}
	return i
}

// with is the set that a host makes of another: itself where the host is in it.
func (p *properties) with(set int32, host string) int32 {
	for i := set; i >= 0; i = p.hosts[i].before {
		if p.hosts[i].host == host {
			return set
		}
	}
	return p.set(hostSet{host, set})
}

// in are the hosts of a set, in the order in which they joined.
func (p *properties) in(set int32) []string {
	var out []string
	for ; set >= 0; set = p.hosts[set].before {
		out = append(out, p.hosts[set].host)
	}
	slices.Reverse(out)
	return out
}

// add takes over more.
func (p *properties) add(host string, more []junit.Property) {
	if p.at == nil {
		p.at, p.seed, p.known = make(map[uint64]int32, len(more)), maphash.MakeSeed(), map[hostSet]int32{}
		p.list, p.of = more[:0], make([]int32, 0, len(more))
	}
	here, joined := p.set(hostSet{host, -1}), map[int32]int32{}
	for _, one := range more {
		key := maphash.Comparable(p.seed, one)
		i, ok := p.at[key]
		if !ok || p.list[i] != one { // equal hashes prove nothing
			p.at[key] = int32(len(p.list)) //nolint:gosec // as above
			p.list, p.of = append(p.list, one), append(p.of, here)
			continue
		}
		to, ok := joined[p.of[i]]
		if !ok { // asked once for all that were said of the same hosts
			to = p.with(p.of[i], host)
			joined[p.of[i]] = to
		}
		p.of[i] = to
	}
}

func (p *properties) has(name string) bool {
	return slices.ContainsFunc(p.list, func(one junit.Property) bool { return one.Name == name })
}

// marked gives the properties as the report has them. What is not true of all of several
// hosts is marked with those that it is true of.
func (p *properties) marked(hosts []string) []junit.Property {
	if len(hosts) < 2 {
		return p.list
	}
	var out []junit.Property
	for i, one := range p.list {
		of := p.in(p.of[i])
		if slices.Contains(of, "") || len(of) == len(hosts) {
			of = []string{""}
		}
		for _, host := range of {
			if host != "" {
				host = "@" + host
			}
			out = append(out, junit.Property{Name: one.Name + host, Value: one.Value})
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
