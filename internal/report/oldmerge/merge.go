package merge

import (
	"errors"
	"slices"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// Merge writes the report of in to path: temporary file, fsync, re-read,
// rename. There is always at least one case in it.
func Merge(in Input, path string, o Options) (Summary, error) {
	b := newBook(path, o)
	m := &merger{b: b, in: in, stage: dotless(orElse(in.Stage, "ci-disagg"))}
	b.kept = func(e *entry) string { return m.origins[e.origin].kept }
	err := m.run(path)
	return *b.sum, errors.Join(err, b.close())
}

// merger makes the suites of a run.
type merger struct {
	b     *book
	in    Input
	stage string // without dots

	verdict, life, metrics *suite
	roles                  []string          // in report order
	suites                 map[string]*suite // by role
	origins                []origin          // by entry.origin
	cases                  []*caseFacts      // as in.Cases
}

// origin is where a case was read.
type origin struct {
	c, run, role int // indices into Input.Cases, Case.Runs, Run.Roles
	file         int // index into Role.Files
	tally        *tally
	label        string
	kept         string // where all of a cut text can be found
}

// caseFacts are what the result files and records of one case say.
type caseFacts struct {
	runs    []runFacts // as Case.Runs
	logical *logical   // tests found, where the plan does not name one
	reds    []redPlace // red cases outside of the verdict suite, in report order
}

type runFacts struct{ roles []roleFacts }

// roleFacts are what one role of one attempt left.
type roleFacts struct {
	cases    int
	red      int             // red cases, collateral or not
	first    *junit.Case     // the first of them
	primary  *junit.Case     // the planned test, as this role reported it
	problems []fileProblem   // of its files
	missing  []string        // expected ids that it did not report
	seen     map[string]bool // expected ids that it did
}

// fileProblem is a result file that is missing or broken.
type fileProblem struct{ message, text string }

// redPlace is a red case somewhere.
type redPlace struct {
	role    string // or "metrics", "JOB"
	status  junit.Status
	kind    string // type attribute
	message string
	text    string
}

func (m *merger) run(path string) error {
	m.verdict = m.b.addSuite(m.stage)
	m.life = m.b.addSuite(m.stage + ".lifecycle")
	m.addRoleSuites()
	m.metrics = m.b.addSuite(m.stage + ".metrics")
	for _, step := range []func() error{m.readAll, m.settleRoles, m.lifecycle, m.metricCases, m.verdicts} {
		if err := step(); err != nil {
			return err
		}
	}
	m.verdict.properties.add(m.in.Properties...)
	m.dropSuites()
	return m.b.finish(m.stage, path)
}

func (m *merger) addRoleSuites() {
	m.suites = make(map[string]*suite)
	for _, c := range m.in.Cases {
		for _, r := range c.Runs {
			for _, role := range r.Roles {
				if !slices.Contains(m.roles, role.Name) {
					m.roles = append(m.roles, role.Name)
				}
			}
		}
	}
	slices.SortFunc(m.roles, roleOrder)
	for _, r := range m.roles {
		m.suites[r] = m.b.addSuite(m.stage + ".roles." + dotless(r))
	}
}

// dropSuites takes out what the report is not to show: with one role its own
// cases say the same as the verdict; in verdict mode everything else does.
func (m *merger) dropSuites() {
	gone := func(s *suite) bool {
		return m.b.o.Verdict && s != m.verdict || len(m.roles) < 2 && slices.ContainsFunc(m.roles, func(r string) bool { return m.suites[r] == s })
	}
	m.b.suites = slices.DeleteFunc(m.b.suites, func(s *suite) bool {
		if !gone(s) {
			return false
		}
		for _, e := range s.entries.all {
			if e.flags&flagSynthetic != 0 {
				m.b.sum.Synthetic--
			} else {
				m.b.sum.Folded++
			}
		}
		return true
	})
}
