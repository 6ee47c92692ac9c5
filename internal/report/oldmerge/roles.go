package merge

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// readAll reads the result files of all attempts that count.
func (m *merger) readAll() error {
	for ci, c := range m.in.Cases {
		facts := &caseFacts{runs: make([]runFacts, len(c.Runs))}
		if c.NodeID == "" {
			facts.logical = newLogical()
		}
		m.cases = append(m.cases, facts)
		for ri, r := range c.Runs {
			facts.runs[ri].roles = make([]roleFacts, len(r.Roles))
			if !r.Counts {
				continue
			}
			order := make([]int, len(r.Roles))
			for i := range order {
				order[i] = i
			}
			slices.SortFunc(order, func(x, y int) int { return roleOrder(r.Roles[x].Name, r.Roles[y].Name) })
			for _, i := range order {
				if err := m.readRole(ci, ri, i); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readRole reads the files of one role, worst news last: a file that is missing
// or broken is part of its facts.
func (m *merger) readRole(ci, ri, i int) error {
	role := &m.in.Cases[ci].Runs[ri].Roles[i]
	facts := &m.cases[ci].runs[ri].roles[i]
	facts.seen = make(map[string]bool)
	for fi, f := range sortedFiles(role.Files) {
		o := origin{c: ci, run: ri, role: i, file: fi, label: fmt.Sprintf("rank %d", f.Rank), kept: m.kept(role, f)}
		if err := m.readRoleFile(role, facts, f, o); err != nil {
			return err
		}
	}
	if role.JUnit && len(role.Files) == 0 {
		facts.problems = append(facts.problems, fileProblem{message: "no results.xml"})
	}
	for _, id := range role.Expected {
		if !facts.seen[id] && role.JUnit {
			if !leftByForce(m.in.Cases[ci].Runs[ri], role) {
				facts.missing = append(facts.missing, id)
			}
			if err := m.putMissing(ci, ri, role, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// leftByForce reports whether a server was ended after a client that passed, because it did not leave by itself: it could
// not report, and its end says so.
func leftByForce(r Run, role *Role) bool {
	return r.Outcome == rundir.OutcomePassed && role.StoppedBy != "" && !rundir.Works(role.Kind)
}

func sortedFiles(files []File) []File {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(x, y File) int {
		if x.Rank != y.Rank {
			return x.Rank - y.Rank
		}
		return Natural(x.shown(), y.shown())
	})
	return slices.CompactFunc(files, func(x, y File) bool { return x.Path == y.Path })
}

// kept is where all of a text can be found, relative to the run directory.
func (m *merger) kept(role *Role, f File) string {
	p := f.shown()
	if rel, err := filepath.Rel(m.in.Root, p); m.in.Root != "" && err == nil && !strings.HasPrefix(rel, "..") {
		p = rel
	}
	if p == "" {
		return role.Log
	}
	return p
}

func (m *merger) readRoleFile(role *Role, facts *roleFacts, f File, o origin) error {
	index := len(m.origins)
	o.tally = newTally()
	m.origins = append(m.origins, o)
	to := m.suites[role.Name]
	c := m.in.Cases[o.c]
	got, err := readFile(f, m.b.o.Read, junit.Visitor{
		Case: func(jc *junit.Case) error {
			facts.cases++
			o.tally.add(jc)
			flags := m.identify(jc, c, role, facts)
			oneClass(jc)
			return m.b.put(to, jc, c.Slug, index, flags)
		},
		Suite: func(s *junit.Suite) error {
			o.tally.end(s)
			m.b.warnHidden(o.tally, s, o.kept)
			facts.problems = append(facts.problems, suiteProblems(s, f)...)
			return m.addSuiteText(to, s, index)
		},
	})
	facts.problems = append(facts.problems, suiteProblems(&got.Outer, f)...)
	var problem *junit.Problem
	if err != nil && !errors.As(err, &problem) {
		return err
	}
	m.b.sum.In += got.Counts.Tests
	sum := FileSummary{Path: o.kept, Role: role.Name, Slug: c.Slug, Cases: got.Counts.Tests}
	if problem != nil {
		sum.Problem = problem.Error()
		facts.problems = append(facts.problems, fileProblem{fileMessage(problem, filepath.Base(f.shown())), problem.Error()})
	}
	if got.Repaired > 0 {
		m.b.warn("%s: %d characters that XML does not allow, or entities it does not know, were replaced", o.kept, got.Repaired)
	}
	m.b.sum.Files = append(m.b.sum.Files, sum)
	return nil
}

// identify gives a case its name in the report and says whether it is the test
// that the plan names. A test that the plan does not name is kept apart by its
// case: two cases may both report the collection of the same module.
func (m *merger) identify(jc *junit.Case, c Case, role *Role, facts *roleFacts) uint8 {
	if interrupted(jc) {
		nameInterrupted(jc, role.interruptedAs()) // an exit code says it, too
	}
	if jc.Name == "" {
		jc.Name = "(unnamed)"
	}
	prefix := m.stage + ".roles." + dotless(role.Name)
	if i := match(role.Expected, jc.Classname, jc.Name); i >= 0 {
		id := role.Expected[i]
		facts.seen[id] = true
		class, name := split(id)
		jc.Classname, jc.Name = prefix+"."+m.caseClass(c, class), name
		if id == c.NodeID {
			return flagPrimary
		}
		return 0
	}
	if c.NodeID != "" && sameTest(c.NodeID, jc.Classname, jc.Name) {
		class, name := split(c.NodeID)
		jc.Classname, jc.Name = prefix+"."+m.caseClass(c, class), name
		return flagPrimary
	}
	class := orElse(jc.Classname, "(root)")
	if c.Slug != "" {
		class = dotless(c.Slug) + "." + class
	}
	jc.Classname = prefix + "." + class
	return 0
}

// interruptedAs is the status of a test during which the session ended: where
// the process is known, its end is the red case.
func (r *Role) interruptedAs() junit.Status {
	if r.State == "" {
		return junit.Errored
	}
	return junit.Skipped
}

// caseClass is the class of a planned test; two cases of one node id are told
// apart by their slugs.
func (m *merger) caseClass(c Case, class string) string {
	n := 0
	for _, other := range m.in.Cases {
		if other.NodeID == c.NodeID {
			n++
		}
	}
	if n > 1 {
		return class + "." + dotless(c.Slug)
	}
	return class
}

// addSuiteText keeps what a role's suites say beside their cases.
func (m *merger) addSuiteText(to *suite, s *junit.Suite, index int) error {
	if host := s.Attr("hostname"); host != "" {
		to.addAttrs(&junit.Suite{Attrs: []junit.Attr{{Name: "hostname", Value: host}}})
	}
	to.properties.add(s.Properties...)
	if len(s.SystemOut)+len(s.SystemErr) == 0 {
		return nil
	}
	c := &junit.Case{
		SystemOut: m.b.cut.texts(s.SystemOut, m.b.o.Caps.FailOut, m.origins[index].kept),
		SystemErr: m.b.cut.texts(s.SystemErr, m.b.o.Caps.FailOut, m.origins[index].kept),
	}
	at, err := m.b.encode(c)
	to.text = append(to.text, entry{off: at.off, n: uint32(at.n), origin: uint32(index)}) //nolint:gosec // an index
	return err
}

// putMissing adds the case of an expected test that a role did not report. It is
// not red: the lifecycle or the verdict says why.
func (m *merger) putMissing(ci, ri int, role *Role, id string) error {
	c := m.in.Cases[ci]
	class, name := split(id)
	why := "not reported"
	if leftByForce(c.Runs[ri], role) {
		why += ": stopped by " + stopper(role) + " after the client was through"
	} else if f := c.Runs[ri].Finding; f != nil && (f.Root != "" || f.Kind != "") {
		why += ": the attempt ended with " + orElse(f.Root, f.Kind)
	}
	jc := &junit.Case{
		Name: name, Classname: m.stage + ".roles." + dotless(role.Name) + "." + m.caseClass(c, class),
		Time:    took(role.RoleRecord),
		Results: []junit.Result{{Status: junit.Skipped, Type: "ci-disagg.not-reported", Message: why}},
	}
	index := len(m.origins)
	m.origins = append(m.origins, origin{c: ci, run: ri, role: slices.IndexFunc(c.Runs[ri].Roles, func(r Role) bool { return r.Name == role.Name }), label: "missing"})
	return m.b.put(m.suites[role.Name], jc, c.Slug, index, flagSynthetic)
}

// settleRoles folds ranks, attempts and repetitions, learns what is red, and
// turns what is collateral into skipped cases.
func (m *merger) settleRoles() error {
	for _, role := range m.roles {
		s := m.suites[role]
		err := m.b.settle(s, true, func(g []*entry) bool {
			first := m.origins[g[0].origin]
			return len(g) > 1 || statusOf(g[0].status).Red() || g[0].flags&flagPrimary != 0 ||
				m.cases[first.c].logical != nil || !m.b.o.NoCaps && int(g[0].n) > m.b.o.Caps.PassOut
		}, func(group []*entry, cases []*junit.Case) (*junit.Case, error) {
			return m.settleGroup(role, group, cases), nil
		})
		if err != nil {
			return err
		}
		m.roleTimes(role, s)
	}
	return nil
}

// settleGroup makes one case of all that one role reported of one test.
func (m *merger) settleGroup(role string, group []*entry, cases []*junit.Case) *junit.Case {
	ci := m.origins[group[0].origin].c
	c := m.in.Cases[ci]
	var reps []take
	for from := 0; from < len(cases); {
		run := m.origins[group[from].origin].run
		to := from + 1
		for to < len(cases) && m.origins[group[to].origin].run == run {
			to++
		}
		one := m.foldRun(group[from:to], cases[from:to])
		m.learn(group[from], one)
		excuse(c.Runs[run].Finding, role, one)
		reps = append(reps, take{fmt.Sprintf("rep %d", c.Runs[run].Rep), one})
		from = to
	}
	kept := foldWorst(reps)
	knownBug(c, kept)
	oneClass(kept)
	if l := m.cases[ci].logical; l != nil {
		l.add(role, kept, strings.TrimPrefix(kept.Classname, m.stage+".roles."+dotless(role)+"."))
	} else if kept.Status().Red() {
		m.cases[ci].addRed(role, kept)
	}
	m.b.cut.apply(kept, m.origins[group[0].origin].kept)
	return kept
}

// foldRun makes one case of the ranks and pytest attempts of one job.
func (m *merger) foldRun(group []*entry, cases []*junit.Case) *junit.Case {
	var ranks []take
	for from := 0; from < len(cases); {
		to := from + 1
		for to < len(cases) && group[to].origin == group[from].origin {
			to++
		}
		o := m.origins[group[from].origin]
		one := joinTeardowns(cases[from:to])
		if o.tally == nil || o.tally.attempts {
			ranks = append(ranks, take{o.label, foldAttempts(one, m.b.weights, m.b.o.Flaky)})
		} else {
			ranks = append(ranks, numbered(o.label, one, m.b.weights)...)
		}
		from = to
	}
	// a test that was reported was not "not reported", whatever another file says
	if reported := slices.DeleteFunc(slices.Clone(ranks), func(t take) bool { return t.label == "missing" }); len(reported) > 0 {
		ranks = reported
	}
	return foldWorst(ranks)
}

// learn adds what a role reported to the facts.
func (m *merger) learn(e *entry, c *junit.Case) {
	o := m.origins[e.origin]
	facts := &m.cases[o.c].runs[o.run].roles[o.role]
	copied := *c
	copied.Results = slices.Clone(c.Results)
	if c.Status().Red() {
		facts.red++
		if facts.first == nil {
			facts.first = &copied
		}
	}
	if e.flags&flagPrimary != 0 {
		facts.primary = &copied
	}
}

// excuse makes a red case skipped if its role is collateral of another one. Its
// own text stays, as the evidence.
func excuse(f *rundir.Finding, role string, c *junit.Case) {
	if !c.Status().Red() || !isCollateral(f, role) {
		return
	}
	demote(c, fmt.Sprintf("collateral of %s: %s", rootName(f), firstLine(c)), "ci-disagg.collateral")
}

// knownBug makes a red case skipped if the plan knows the failure.
func knownBug(c Case, jc *junit.Case) {
	if c.KnownBug == "" || !jc.Status().Red() {
		return
	}
	demote(jc, "known failure "+c.KnownBug+": "+firstLine(jc), "ci-disagg.known-failure")
}

// demote turns the results of a case into a skip with everything in its body.
func demote(c *junit.Case, message, kind string) {
	var text strings.Builder
	for _, r := range c.Results {
		fmt.Fprintf(&text, "%s: %s\n%s\n", orElse(r.Type, string(r.Status)), r.Message, r.Text)
	}
	c.Results = []junit.Result{{Status: junit.Skipped, Type: kind, Message: message, Text: strings.TrimSpace(text.String())}}
}

func (f *caseFacts) addRed(role string, c *junit.Case) {
	r := c.Results[0]
	f.reds = append(f.reds, redPlace{role: role, status: c.Status(), kind: r.Type, message: r.Message, text: r.Text})
}

// roleTimes gives a role's suite the time from its first start to its last end.
func (m *merger) roleTimes(role string, s *suite) {
	known := false
	for _, c := range m.in.Cases {
		for _, r := range c.Runs {
			for _, one := range r.Roles {
				if one.Name == role && r.Counts && one.Started != nil && one.Ended != nil {
					s.times.span(*one.Started, *one.Ended)
					known = true
				}
			}
		}
	}
	s.times.unknown = !known
}

// isRoot reports whether the finding names the role as a cause.
func isRoot(f *rundir.Finding, role string) bool {
	return f != nil && (f.Root == role || slices.Contains(f.Roots, role))
}

// isCollateral reports whether the finding proves that the role failed because
// of another one.
func isCollateral(f *rundir.Finding, role string) bool {
	if f == nil || isRoot(f, role) {
		return false
	}
	_, ok := f.Collateral[role]
	return ok
}

// jobName stands for the job as a whole.
const jobName = "JOB"

func rootName(f *rundir.Finding) string {
	if f == nil || f.Root == "" {
		return jobName
	}
	return f.Root
}

// firstLine is the first line that a red case says about itself.
func firstLine(c *junit.Case) string {
	for _, r := range c.Results {
		if !r.Status.Red() {
			continue
		}
		for _, text := range []string{r.Message, r.Text, r.Type} {
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); line != "" {
					return line
				}
			}
		}
	}
	return "no message"
}
