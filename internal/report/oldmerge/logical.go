package merge

import (
	"fmt"
	"strings"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// logical collects the tests that roles reported, where no plan names them: one
// verdict for each.
type logical struct {
	order []string
	tests map[string]*logicalTest
}

type logicalTest struct {
	class, name string
	roles       []logicalRole
}

// logicalRole is what one role reported of a test.
type logicalRole struct {
	role   string
	status junit.Status
	c      junit.Case // without output
}

func newLogical() *logical { return &logical{tests: make(map[string]*logicalTest)} }

func (l *logical) add(role string, c *junit.Case, class string) {
	key := class + "\x00" + c.Name
	t := l.tests[key]
	if t == nil {
		t = &logicalTest{class: class, name: c.Name}
		l.tests[key] = t
		l.order = append(l.order, key)
	}
	slim := junit.Case{Name: c.Name, Time: c.Time, Results: append([]junit.Result{}, c.Results...), Reruns: c.Reruns}
	t.roles = append(t.roles, logicalRole{role, c.Status(), slim})
}

// logicalVerdicts makes one verdict case per test that any role reported, and
// one for the files where they say that something is missing.
func (m *merger) logicalVerdicts(ci int, l *logical) error {
	for _, key := range l.order {
		jc := m.logicalVerdict(l.tests[key])
		m.b.cut.apply(jc, "")
		m.summarize(m.in.Cases[ci].Slug, jc)
		if err := m.b.put(m.verdict, jc, "", 0, flagSynthetic); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) logicalVerdict(t *logicalTest) *junit.Case {
	jc := &junit.Case{Name: t.name, Classname: m.stage + "." + t.class}
	var words []string
	var reds []logicalRole
	skipped := 0
	for _, r := range t.roles {
		words = append(words, r.role+"="+string(r.status))
		jc.Time = max(jc.Time, r.c.Time)
		for _, rerun := range r.c.Reruns {
			rerun.Message = prefixed(r.role, rerun.Message)
			jc.Reruns = append(jc.Reruns, rerun)
		}
		switch {
		case r.status.Red():
			reds = append(reds, r)
		case r.status == junit.Skipped:
			skipped++
		}
	}
	jc.Properties = []junit.Property{{Name: "roles", Value: strings.Join(words, " ")}}
	switch {
	case len(reds) == 1:
		res := reds[0].c.Results[0]
		res.Message = prefixed(reds[0].role, res.Message)
		jc.Results = []junit.Result{res}
	case len(reds) > 1:
		var names []string
		var text strings.Builder
		for _, r := range reds {
			names = append(names, r.role)
			fmt.Fprintf(&text, "[%s] %s\n%s\n\n", r.role, r.c.Results[0].Message, r.c.Results[0].Text)
		}
		jc.Results = []junit.Result{errorResult("ci-disagg.unattributed",
			fmt.Sprintf("[%s] %s", strings.Join(names, ", "), firstLine(&reds[0].c)), text.String())}
	case skipped == len(t.roles):
		jc.Results = t.roles[0].c.Results
	}
	return jc
}
