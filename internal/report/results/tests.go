package results

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// readTests reads what a role says of its tests, worst news last: a file that is
// missing or broken is part of it.
func readTests(role Role, caseID string, flaky fold.Policy) RoleResult {
	told := RoleResult{Role: role}
	runs := map[TestName][]fold.Run{}
	var order []*sameName
	for _, f := range role.Results {
		reading := readings(f)
		for _, n := range told.byName(f, caseID, flaky) {
			if runs[n.TestName] == nil {
				order = append(order, n)
			}
			var of []*junit.Case
			for _, cases := range n.bySuite() {
				of = append(of, reading[cases[0].Suite].Results(listed(cases), flaky)...)
			}
			runs[n.TestName] = append(runs[n.TestName], fold.Runs(fmt.Sprintf("rank %d", f.Rank), of...)...)
		}
		told.addFile(f)
	}
	seen := map[string]bool{}
	for _, n := range order {
		seen[n.id] = true
		told.addTest(Test{n.TestName, fold.Worst(runs[n.TestName]), n.file}, n.id == caseID)
	}
	told.owed()
	told.noteEnd()
	for _, id := range role.Expected {
		if role.JUnit && !seen[id] {
			told.Missing = append(told.Missing, id)
		}
	}
	return told
}

// owed notes when a role that was to leave results has left none.
func (t *RoleResult) owed() {
	missing := ""
	switch {
	case !t.JUnit:
	case len(t.Results) == 0 && len(t.Globs) > 0:
		missing = "no results: no file of its output folder matches " + strings.Join(t.Globs, ", ")
	case len(t.Results) == 0:
		missing = "no results.xml"
	case len(t.Globs) > 0 && t.cases == 0 && len(t.Problems) == 0:
		missing = "its results hold no test case"
	}
	if missing != "" {
		t.Problems = append(t.Problems, FileProblem{Message: missing})
	}
}

// sameName are the cases of a file that have one name.
type sameName struct {
	TestName
	id    string // of the plan, "" = it names no such test
	file  string
	cases []*junit.Case
}

// bySuite are the cases by the suite that they stand in, in the order of the first of
// each.
func (n *sameName) bySuite() [][]*junit.Case {
	var out [][]*junit.Case
	at := map[*junit.Suite]int{}
	for _, c := range n.cases {
		i, ok := at[c.Suite]
		if !ok {
			i = len(out)
			at[c.Suite] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}

// byName sorts the cases of a file by their names, in the order of the first of each.
func (t *RoleResult) byName(f File, caseID string, flaky fold.Policy) []*sameName {
	var out []*sameName
	at := map[TestName]*sameName{}
	for i := range f.Cases {
		t.cases++
		c := f.Cases[i]
		name, id := identify(&c, t.Role, caseID)
		if id == "" && t.other == "" {
			t.other = strings.TrimPrefix(f.Cases[i].Classname+"::"+f.Cases[i].Name, "::")
		}
		fold.Repeated(&c, flaky)
		fold.OneClass(&c)
		if at[name] == nil {
			at[name] = &sameName{TestName: name, id: id, file: f.Path}
			out = append(out, at[name])
		}
		at[name].cases = append(at[name].cases, &c)
	}
	return out
}

// maxListed bounds how many results of one name are listed in the case that they
// become: of more, the first and the last, and the worst of the others.
const maxListed = 1000

// listed are the results of one test in one file.
func listed(cases []*junit.Case) []*junit.Case {
	const half = maxListed / 2
	all := fold.JoinTeardowns(cases)
	n := len(all) - 2*half
	if n <= 0 {
		return all
	}
	worst := *slices.MaxFunc(all[half:half+n], func(a, b *junit.Case) int { return cmp.Compare(a.Status().Rank(), b.Status().Rank()) })
	worst.Properties = append(slices.Clip(worst.Properties), junit.Property{Name: TypePrefix + "not_listed", Value: fmt.Sprint(n)})
	return slices.Concat(all[:half], []*junit.Case{&worst}, all[half+n:])
}

// isInterrupted reports whether a case is what pytest leaves of the test during which
// its session ended (Ctrl-C, pytest.exit): a case without a name that looks passed,
// and that pytest itself does not count (docs/facts/pytest.md#interrupted-test).
func isInterrupted(c *junit.Case) bool {
	return c.Name == "" && c.Classname == "" && len(c.Results)+len(c.Attrs)+len(c.Properties)+len(c.Reruns) == 0
}

func (t *RoleResult) addTest(one Test, primary bool) {
	t.Tests = append(t.Tests, one)
	if one.Case.Status().Red() {
		t.Red++
		if t.First == nil {
			t.First = one.Case
		}
	}
	if primary {
		t.Primary = one.Case
	}
}

func (t *RoleResult) addFile(file File) {
	for _, s := range file.Suites {
		t.Problems = append(t.Problems, suiteProblems(s, file.Name)...)
		if s.Contradiction != "" {
			t.Problems = append(t.Problems, FileProblem{Message: fmt.Sprintf("suite %q in %s %s", s.Name, file.Name, s.Contradiction)})
		} else if hidden := s.Hidden(); hidden != "" {
			t.Notes = append(t.Notes, fmt.Sprintf("%s: suite %q %s", file.Path, s.Name, hidden))
		}
	}
	t.Problems = append(t.Problems, suiteProblems(&file.Outer, file.Name)...)
	if file.Problem != nil {
		t.Problems = append(t.Problems, *file.Problem)
	}
	if file.Repairs > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("%s: %d characters that XML does not allow, or entities it does not know, were replaced", file.Path, file.Repairs))
	}
}

// identify gives a case its name and the planned id that it reports, "" if none. A
// session that ended during a test leaves a case without a name: where the process is
// known to have ended otherwise than well, its end is the red case.
func identify(c *junit.Case, role Role, caseID string) (TestName, string) {
	if isInterrupted(c) {
		status := junit.Skipped
		if role.State == "" || role.endedWell() {
			status = junit.Errored
		}
		c.Name = "(interrupted)"
		c.Results = []junit.Result{{Status: status, Type: TypePrefix + "interrupted", Message: "the session ended during a test; the file does not say which"}}
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
		return TestName{true, c.Classname, c.Name}, id
	}
	c.Classname = cmp.Or(c.Classname, "(root)")
	return TestName{false, c.Classname, c.Name}, ""
}

// endedWell reports whether the role's process ended by itself and with 0.
func (r Role) endedWell() bool {
	return r.State == rundir.RoleEnded && r.StoppedBy == "" && r.Exit == 0 && r.Signal == 0 && !r.OOM
}

// readings are what cases of one name are, by the suites of a file that they stand in. Cases of two suites are never
// attempts of each other.
func readings(f File) map[*junit.Suite]fold.Reading {
	cases := map[*junit.Suite][]fold.Shown[TestName]{}
	for i := range f.Cases {
		if c := &f.Cases[i]; c.Suite != nil && !isInterrupted(c) {
			cases[c.Suite] = append(cases[c.Suite], fold.Shown[TestName]{Name: TestName{Class: c.Classname, Name: c.Name}, Status: c.Status(), Teardown: fold.IsTeardown(c)})
		}
	}
	out := map[*junit.Suite]fold.Reading{}
	for s, of := range cases {
		out[s] = fold.ReadingOf(s, slices.Values(of))
	}
	return out
}

// suiteProblems are the failures and errors that stand in a suite itself, in no case:
// something went wrong around its tests.
func suiteProblems(s *junit.Suite, file string) []FileProblem {
	var out []FileProblem
	for _, r := range s.Results {
		if r.Status.Red() {
			c := junit.Case{Results: []junit.Result{r}}
			out = append(out, FileProblem{fmt.Sprintf("%s of suite %q in %s: %s", r.Status, s.Name, file, fold.FirstLine(&c)), r.Text})
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

// LeftByForce reports whether a server was ended after a client that passed, because
// it did not leave by itself: it could not report, and its end says so.
func (e *Ended) LeftByForce(role Role, client string) bool {
	return e.Outcome == rundir.OutcomePassed && role.StoppedBy != "" && role.Name != client
}
