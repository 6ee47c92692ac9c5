package merge

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxEvidence bounds the failing tests of one role that are told to blame: the
// first ones decide.
const maxEvidence = 100

// Evidence is what the result files of an attempt say, in the form that
// blame.Judge wants: TestFailed for each red case, NoResult for a role that
// ended with 0 and left no complete result. Where a role did not end by itself,
// or with something else than 0, its end says more than its missing file.
func Evidence(r Run, o junit.ReadOptions) []blame.Event {
	var out []blame.Event
	for i := range r.Roles {
		out = append(out, roleEvidence(&r.Roles[i], o)...)
	}
	slices.SortStableFunc(out, func(a, b blame.Event) int {
		return cmp.Or(a.At.Compare(b.At), roleOrder(a.Role, b.Role))
	})
	return out
}

func roleEvidence(role *Role, o junit.ReadOptions) []blame.Event {
	var out []blame.Event
	seen := make(map[string]bool)
	failed := make(map[string]blame.Event) // by file and test: the last attempt
	var problems []string
	other := "" // a test that nobody had asked for
	for _, f := range sortedFiles(role.Files) {
		clock := testClock{role: role.RoleRecord}
		counted, healed := newTally(), make(map[string]bool)
		ofSuites := func(s *junit.Suite) {
			for _, p := range suiteProblems(s, f) {
				problems = append(problems, p.message)
			}
		}
		got, err := readFile(f, o, junit.Visitor{Case: func(c *junit.Case) error {
			if i := match(role.Expected, c.Classname, c.Name); i >= 0 {
				seen[role.Expected[i]] = true
			} else if other == "" {
				other = strings.TrimPrefix(c.Classname+"::"+c.Name, "::")
			}
			counted.add(c)
			at := clock.end(c)
			key := f.Path + "\x00" + c.Classname + "\x00" + c.Name
			_, again := failed[key]
			if !c.Status().Red() {
				if again {
					healed[key] = true // if it is an attempt of the same test
				}
				return nil
			}
			delete(healed, key)
			if again || len(failed)-len(healed) < maxEvidence {
				failed[key] = blame.Event{Role: role.Name, Kind: blame.TestFailed, At: at, Text: firstLine(c), Node: node(role), Assert: isMeasured(c)}
			}
			return nil
		}, Suite: func(s *junit.Suite) error { counted.end(s); ofSuites(s); return nil }})
		ofSuites(&got.Outer)
		if counted.attempts {
			maps.DeleteFunc(failed, func(key string, _ blame.Event) bool { return healed[key] }) // a later attempt passed
		}
		var p *junit.Problem
		switch {
		case errors.As(err, &p):
			problems = append(problems, fileMessage(p, filepath.Base(f.shown())))
		case err != nil:
			problems = append(problems, err.Error())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(failed)) {
		out = append(out, failed[key])
	}
	if !role.JUnit || role.State != rundir.RoleEnded || role.StoppedBy != "" || role.Exit != 0 || role.Signal != 0 {
		return out
	}
	if len(role.Files) == 0 {
		problems = append(problems, "no results.xml")
	}
	for _, id := range role.Expected {
		switch {
		case seen[id] || len(problems) > 0:
		case other != "":
			problems = append(problems, fmt.Sprintf("it is of another test, %s, not of %s", other, id))
		default:
			problems = append(problems, id+" was expected and not reported")
		}
	}
	if len(problems) > 0 {
		e := blame.Event{Role: role.Name, Kind: blame.NoResult, Text: strings.Join(problems, "; "), Node: node(role)}
		if role.Ended != nil {
			e.At = *role.Ended
		}
		out = append(out, e)
	}
	return out
}

func node(role *Role) string {
	if len(role.Nodes) == 1 {
		return role.Nodes[0]
	}
	return ""
}

// testClock tells when a test ended, on the agent's clock as far as that can be
// known: the session's own start if it lies within the process's life, else the
// start of the process, plus the time of all tests so far.
type testClock struct {
	role  rundir.RoleRecord
	suite *junit.Suite
	at    time.Time
}

func (t *testClock) end(c *junit.Case) time.Time {
	if c.Suite != t.suite || t.at.IsZero() {
		t.suite = c.Suite
		t.at = t.start()
	}
	if t.at.IsZero() {
		return time.Time{}
	}
	t.at = t.at.Add(c.Time)
	if e := t.role.Ended; e != nil && t.at.After(*e) {
		return *e
	}
	return t.at
}

func (t *testClock) start() time.Time {
	if t.role.Started == nil {
		return time.Time{}
	}
	from := *t.role.Started
	if t.suite == nil {
		return from
	}
	at, err := time.Parse(time.RFC3339, t.suite.Attr("timestamp")) // without a zone it says nothing
	if err != nil || at.Before(from) || t.role.Ended != nil && at.After(*t.role.Ended) {
		return from
	}
	return at.UTC()
}

// measuredAssert matches pytest's rewriting of a comparison of two numbers.
var measuredAssert = sync.OnceValue(func() *regexp.Regexp { //nolint:gochecknoglobals // compiled once, when needed
	return regexp.MustCompile(`\bassert -?\d[\d.e+-]* *(<|>|<=|>=) *-?\d`)
})

// isMeasured reports whether a failure is an assertion on measured data, such as
// an accuracy below its threshold: a finding of its own, whatever else failed. A
// count of failed requests is not; it is what the client sees of somebody else's
// end.
func isMeasured(c *junit.Case) bool {
	for _, r := range c.Results {
		if r.Status != junit.Failed {
			continue
		}
		text := strings.ToLower(r.Message)
		if strings.Contains(text, "fail") || strings.Contains(text, "error:") && !strings.HasPrefix(text, "assertionerror:") ||
			strings.Contains(text, "refused") || strings.Contains(text, "timed out") {
			return false
		}
		return measuredAssert().MatchString(text)
	}
	return false
}
