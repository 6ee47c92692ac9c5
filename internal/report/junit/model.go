package junit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
)

// Status is the class of a case. Every case is in exactly one.
type Status string

// The statuses, from best to worst.
const (
	Passed  Status = "passed"
	Skipped Status = "skipped"
	Failed  Status = "failed"
	Errored Status = "error"
)

// Red reports whether the status turns a build red.
func (s Status) Red() bool { return s == Failed || s == Errored }

// Worse reports whether s is more severe than t: error > failed > skipped > passed.
func (s Status) Worse(t Status) bool { return s.Rank() > t.Rank() }

// Rank orders statuses by severity: 0 is passed, 3 is error.
func (s Status) Rank() int {
	return max(0, slices.Index([]Status{Passed, Skipped, Failed, Errored}, s))
}

// Attr is an attribute that the model has no field for.
type Attr struct{ Name, Value string }

// Result is one <failure>, <error> or <skipped> child.
type Result struct {
	Status  Status // Failed, Errored or Skipped
	Message string
	Type    string
	Text    string
	Attrs   []Attr // all but message and type, sorted by name
}

// Rerun is one attempt that a runner reports inside the final case.
type Rerun struct {
	Kind       RerunKind
	Message    string
	Type       string
	StackTrace string
	SystemOut  string
	SystemErr  string
}

// RerunKind is the element name of a Rerun.
type RerunKind string

// The kinds: flaky when the case passed in the end, rerun when it did not.
const (
	FlakyFailure RerunKind = "flakyFailure"
	FlakyError   RerunKind = "flakyError"
	RerunFailure RerunKind = "rerunFailure"
	RerunError   RerunKind = "rerunError"
)

// Case is one <testcase>, with everything that the file says about it. All of its texts are clean, see Clean.
type Case struct {
	Suite      *Suite // nil when the case stands outside any suite; complete only after the suite's end
	Name       string
	Classname  string
	Time       time.Duration // 0 when missing or unreadable
	Attrs      []Attr        // all others, sorted by name: file, line, status, …
	Properties []Property
	Results    []Result // in file order
	Reruns     []Rerun
	SystemOut  []string // one per element
	SystemErr  []string
	Offset     int64  // of the start tag in the input, in bytes of its text in UTF-8
	Raw        []byte // of a shallow case: its bytes in the input, which can stand in a report as they are
}

// Status is the case's class, by severity over its results.
func (c *Case) Status() Status {
	s := Passed
	for _, r := range c.Results {
		if r.Status.Worse(s) {
			s = r.Status
		}
	}
	return s
}

// Attr is the value of a further attribute, "" if there is none.
func (c *Case) Attr(name string) string { return attrOf(c.Attrs, name) }

// Suite is one <testsuite>. Nested suites point at their parent.
type Suite struct {
	Parent     *Suite
	Name       string
	Attrs      []Attr // all but name, sorted by name: timestamp, hostname, declared totals, …
	Properties []Property
	Results    []Result // suite-level error or failure
	SystemOut  []string
	SystemErr  []string
	Cases      int    // direct test cases seen
	Counts     Counts // of all cases in it, those of inner suites too
	Time       time.Duration
	Complete   bool // its end tag was seen
	Pytest     bool // written by pytest: the rules of its dialect apply
	// Contradiction is what the suite declares and does not show: failures where
	// none of its cases is red, or tests where there is no case. "" = nothing.
	Contradiction string

	reruns int  // rerun elements in it, and red results of suites in it
	told   bool // it, or a suite in it, has a contradiction
}

// Attr is the value of a further attribute, "" if there is none.
func (s *Suite) Attr(name string) string { return attrOf(s.Attrs, name) }

// Declared is a total that the suite declares, more than there can be included; ok is false if it declares none.
func (s *Suite) Declared(name string) (n int, ok bool) {
	f, ok := parseFloat(strings.TrimSpace(s.Attr(name)))
	if !ok || f < 0 {
		return 0, false
	}
	return int(min(math.Ceil(f), 1<<40)), true // two may be added
}

// Hidden says what the suite counts beyond what it shows, "" = nothing: some of its failures and errors, or some of its
// tests. It is a hint and no contradiction, as there are runners that count retries, subtests or assertions. Of a suite
// that was cut off nothing is said: the rest may stand behind that.
func (s *Suite) Hidden() string {
	failures, errors, tests := s.totals()
	switch red := failures + errors - s.shown(); {
	case !s.Complete || s.told:
		return ""
	case red > 0:
		return fmt.Sprintf("counts failures or errors that none of its cases shows: %d", red)
	case tests > s.Counts.Tests:
		return fmt.Sprintf("counts %s, and shows %d", plain.Count(tests, "test"), s.Counts.Tests)
	default:
		return ""
	}
}

// totals are those that the suite declares, 0 where it declares none.
func (s *Suite) totals() (failures, errors, tests int) {
	failures, _ = s.Declared("failures")
	errors, _ = s.Declared("errors")
	tests, _ = s.Declared("tests")
	return failures, errors, tests
}

// shown is how many failures and errors the suite shows, those of reruns and its own too:
// runners that count them are not contradicted.
func (s *Suite) shown() int {
	n := s.Counts.Red() + s.reruns
	for _, r := range s.Results {
		if r.Status.Red() {
			n++
		}
	}
	return n
}

// settle compares what the suite declares with what it holds.
func (s *Suite) settle() {
	switch failures, errors, tests := s.totals(); {
	case s.told: // the inner suite has said it
	case failures+errors > 0 && s.shown() == 0:
		s.Contradiction = fmt.Sprintf("declares %s and %s, and none of its cases shows one", plain.Count(failures, "failure"), plain.Count(errors, "error"))
	case tests > 0 && s.Counts.Tests == 0 && len(s.Results) == 0:
		s.Contradiction = fmt.Sprintf("declares %s, and holds none", plain.Count(tests, "test"))
	}
	s.told = s.told || s.Contradiction != ""
}

// add takes over the counts of an inner suite.
func (s *Suite) add(inner *Suite) {
	s.Counts = s.Counts.Plus(inner.Counts)
	s.reruns += inner.shown() - inner.Counts.Red()
	s.told = s.told || inner.told
}

func attrOf(attrs []Attr, name string) string {
	for _, a := range attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// addAttr adds an attribute; of repeated ones the last stays.
func addAttr(attrs []Attr, a Attr) []Attr {
	i, found := slices.BinarySearchFunc(attrs, a.Name, func(have Attr, name string) int { return cmp.Compare(have.Name, name) })
	if found {
		attrs[i] = a
		return attrs
	}
	return slices.Insert(attrs, i, a)
}

// Counts are the number of cases per status. They are derived, never read.
type Counts struct{ Tests, Failures, Errors, Skipped int }

// Add counts one case.
func (c *Counts) Add(s Status) {
	c.Tests++
	switch s {
	case Failed:
		c.Failures++
	case Errored:
		c.Errors++
	case Skipped:
		c.Skipped++
	case Passed:
	}
}

// Plus is the sum of both.
func (c Counts) Plus(d Counts) Counts {
	return Counts{c.Tests + d.Tests, c.Failures + d.Failures, c.Errors + d.Errors, c.Skipped + d.Skipped}
}

// Passed is the number of cases that passed.
func (c Counts) Passed() int { return c.Tests - c.Failures - c.Errors - c.Skipped }

// Red is the number of failed and errored cases.
func (c Counts) Red() int { return c.Failures + c.Errors }

// String is "12 tests: 10 passed, 1 failed, 0 errors, 1 skipped".
func (c Counts) String() string {
	return fmt.Sprintf("%s: %d passed, %d failed, %s, %d skipped", plain.Count(c.Tests, "test"), c.Passed(), c.Failures, plain.Count(c.Errors, "error"), c.Skipped)
}

// File is what Read found out about one file.
type File struct {
	Name     string
	Root     string // local name of the first element, "" = none
	Outer    Suite  // what stands outside any suite: attributes, properties and output of <testsuites>
	Suites   int
	Counts   Counts
	Repaired int64 // characters that XML forbids: replaced by U+FFFD, or "<" and "&" taken for themselves
	Ours     bool  // a report of ci-disagg
}

// ProblemKind says what is wrong with a file.
type ProblemKind string

// The kinds of problem.
const (
	Empty     ProblemKind = "empty"      // no bytes, or only blanks
	NoSuites  ProblemKind = "no suites"  // no <testsuite> and no <testcase>: not JUnit
	Truncated ProblemKind = "truncated"  // ends inside an element
	Malformed ProblemKind = "malformed"  // not XML from some byte on
	TooLarge  ProblemKind = "too large"  // more than ReadOptions allow
	Unread    ProblemKind = "unreadable" // the reader failed
)

// Problem is an error of Read. Cases that were complete before it have been visited.
type Problem struct {
	File   string
	Kind   ProblemKind
	Offset int64 // byte in the input's text, as UTF-8, from which on nothing could be used
	Line   int   // of Offset, 1-based
	Cases  int   // complete test cases before it
	Detail string
	Coded  bool  // the input is not in UTF-8: its own bytes are others
	Err    error // cause, if any
}

// Error names the file, the line and the byte, and how much was salvaged.
func (p *Problem) Error() string {
	switch p.Kind {
	case Empty:
		return p.File + ": the file is empty"
	case NoSuites:
		return fmt.Sprintf("%s: no test suites: %s", p.File, p.Detail)
	default:
		return fmt.Sprintf("%s:%d: %s %s, %d complete cases before it: %s", p.File, p.Line, p.Kind, p.at(), p.Cases, p.Detail)
	}
}

// at says where in the file the problem is.
func (p *Problem) at() string {
	if p.Coded {
		return fmt.Sprintf("at line %d", p.Line)
	}
	return fmt.Sprintf("at byte %d", p.Offset)
}

// Message says in one line what is wrong with the file, under a name, and what was saved.
func (p *Problem) Message(name string) string {
	switch p.Kind {
	case Truncated, Malformed, TooLarge:
		return fmt.Sprintf("%s %s %s, %d cases salvaged", name, p.Kind, p.at(), p.Cases)
	case Empty:
		return name + " is empty"
	case NoSuites:
		return name + " is not JUnit XML: " + p.Detail
	default:
		return name + " cannot be read: " + p.Detail
	}
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }
