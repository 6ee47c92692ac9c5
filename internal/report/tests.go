package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// roleFacts are what one role of one attempt reported.
type roleFacts struct {
	tests    []test
	cases    int
	red      int           // red tests, collateral or not
	first    *junit.Case   // the first of them
	primary  *junit.Case   // the planned test, as this role reported it
	problems []FileProblem // of its files
	missing  []string      // expected ids that it did not report
	other    string        // a test that nobody had asked for
	notes    []string      // for people
}

// test is one test as a role reported it in one attempt: ranks and pytest's own
// attempts are folded.
type test struct {
	testName
	c    *junit.Case
	kept string
}

// testName identifies a test of a role.
type testName struct {
	planned     bool
	class, name string
}

// readTests reads what a role says of its tests, worst news last: a file that is
// missing or broken is part of its facts.
func readTests(role Role, caseID string, flaky Flaky) roleFacts {
	facts := roleFacts{}
	seen := map[string]bool{}
	takes := map[testName][]take{}
	kept := map[testName]string{}
	primary := testName{}
	var order []testName
	for _, f := range role.Results {
		groups := map[testName][]*junit.Case{}
		var names []testName
		for i := range f.Cases {
			facts.cases++
			c := f.Cases[i]
			name, id := identify(&c, role, caseID)
			seen[id] = true
			if id == caseID {
				primary = name
			}
			if id == "" && facts.other == "" {
				facts.other = strings.TrimPrefix(f.Cases[i].Classname+"::"+f.Cases[i].Name, "::")
			}
			oneClass(&c)
			if groups[name] == nil {
				names = append(names, name)
			}
			groups[name] = append(groups[name], &c)
		}
		attempts := listsAttempts(f)
		label := fmt.Sprintf("rank %d", f.Rank)
		for _, name := range names {
			if takes[name] == nil {
				order, kept[name] = append(order, name), f.Path
			}
			cases := thin(joinTeardowns(groups[name]))
			if attempts {
				takes[name] = append(takes[name], take{label, foldAttempts(cases, flaky)})
			} else {
				takes[name] = append(takes[name], numbered(label, cases)...)
			}
		}
		facts.addFile(f)
	}
	for _, name := range order {
		facts.addTest(test{name, foldWorst(takes[name]), kept[name]}, name == primary)
	}
	if role.JUnit && len(role.Results) == 0 {
		facts.problems = append(facts.problems, FileProblem{Message: "no results.xml"})
	}
	for _, id := range role.Expected {
		if role.JUnit && !seen[id] {
			facts.missing = append(facts.missing, id)
		}
	}
	return facts
}

func (f *roleFacts) addTest(t test, primary bool) {
	f.tests = append(f.tests, t)
	if t.c.Status().Red() {
		f.red++
		if f.first == nil {
			f.first = t.c
		}
	}
	if primary {
		f.primary = t.c
	}
}

func (f *roleFacts) addFile(file ResultFile) {
	for _, s := range file.Suites {
		f.problems = append(f.problems, suiteProblems(s, file.Name)...)
		if s.Contradiction != "" {
			f.problems = append(f.problems, FileProblem{Message: fmt.Sprintf("suite %q in %s %s", s.Name, file.Name, s.Contradiction)})
		} else if n := s.Hidden(); n > 0 {
			f.notes = append(f.notes, fmt.Sprintf("%s: suite %q counts %d failures and errors that none of its cases shows", file.Path, s.Name, n))
		}
	}
	f.problems = append(f.problems, suiteProblems(&file.Outer, file.Name)...)
	if file.Problem != nil {
		f.problems = append(f.problems, *file.Problem)
	}
	if file.Repairs > 0 {
		f.notes = append(f.notes, fmt.Sprintf("%s: %d characters that XML does not allow, or entities it does not know, were replaced", file.Path, file.Repairs))
	}
}

// identify gives a case its name and the planned id that it reports, "" if none. A
// session that ended during a test leaves a case without a name: where the process is
// known, its end is the red case.
func identify(c *junit.Case, role Role, caseID string) (testName, string) {
	if isInterrupted(c) {
		status := junit.Skipped
		if role.State == "" {
			status = junit.Errored
		}
		c.Name = "(interrupted)"
		c.Results = []junit.Result{{Status: status, Type: "ci-disagg.interrupted", Message: "the session ended during a test; the file does not say which"}}
	}
	c.Name = cmp.Or(c.Name, "(unnamed)")
	id := ""
	if i := match(role.Expected, c.Classname, c.Name); i >= 0 {
		id = role.Expected[i]
	} else if sameTest(caseID, c.Classname, c.Name) {
		id = caseID
	}
	if id != "" {
		c.Classname, c.Name = SplitID(id)
		return testName{true, c.Classname, c.Name}, id
	}
	c.Classname = cmp.Or(c.Classname, "(root)")
	return testName{false, c.Classname, c.Name}, ""
}

// listsAttempts reports whether cases of one name in a file are attempts of one test.
// pytest's plugins write a case for each attempt, and the count of the suite leaves
// those out that were repeated. Where it counts all cases, each is a test of its own
// (--keep-duplicates, --dist each, other runners), and none may hide the failure of
// another.
func listsAttempts(f ResultFile) bool {
	own := map[*junit.Suite]int{}
	for i := range f.Cases {
		switch c := &f.Cases[i]; {
		case c.Suite == nil:
			return true // nobody counts it
		case isTeardown(c), isInterrupted(c): // pytest counts the call, and nothing
		default:
			own[c.Suite]++
		}
	}
	for s, n := range own {
		if said, ok := s.Declared("tests"); !ok || said < n {
			return true
		}
	}
	return false
}

// suiteProblems are the failures and errors that stand in a suite itself, in no case:
// something went wrong around its tests.
func suiteProblems(s *junit.Suite, file string) []FileProblem {
	var out []FileProblem
	for _, r := range s.Results {
		if r.Status.Red() {
			c := junit.Case{Results: []junit.Result{r}}
			out = append(out, FileProblem{fmt.Sprintf("%s of suite %q in %s: %s", r.Status, s.Name, file, firstLine(&c)), r.Text})
		}
	}
	return out
}

// SplitID gives the class and the name under which pytest reports a node id:
// perf/test_a.py::TestB::test_c[x/y::z] is perf.test_a.TestB and test_c[x/y::z].
func SplitID(nodeID string) (class, name string) {
	path, param := nodeID, ""
	if i := strings.IndexByte(nodeID, '['); i >= 0 {
		path, param = nodeID[:i], nodeID[i:]
	}
	parts := strings.Split(path, "::")
	name = parts[len(parts)-1] + param
	file := strings.ReplaceAll(strings.TrimSuffix(parts[0], ".py"), "/", ".")
	if len(parts) == 1 {
		return file, name
	}
	return strings.Join(append([]string{file}, parts[1:len(parts)-1]...), "."), name
}

// sameTest reports whether a case of a result file is the test that a node id names.
// The class depends on the directory that pytest was started in, so one may be the end
// of the other.
func sameTest(nodeID, class, name string) bool {
	c, n := SplitID(nodeID)
	return n == name && (c == class || strings.HasSuffix(c, "."+class) || strings.HasSuffix(class, "."+c))
}

// match is the index of the id that a case reports, -1 if none. Where nothing else has
// that name, the name is enough.
func match(ids []string, class, name string) int {
	byName := -1
	for i, id := range ids {
		if sameTest(id, class, name) {
			return i
		}
		if _, n := SplitID(id); n == name {
			if byName >= 0 {
				byName = len(ids) // ambiguous
				continue
			}
			byName = i
		}
	}
	if byName >= len(ids) {
		return -1
	}
	return byName
}

// leftByForce reports whether a server was ended after a client that passed, because
// it did not leave by itself: it could not report, and its end says so.
func leftByForce(o rundir.Outcome, role Role, client string) bool {
	return o == rundir.OutcomePassed && role.StoppedBy != "" && role.Name != client
}
