package results

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxEvidence bounds the failing tests of one role that are told to blame: the first
// ones decide.
const maxEvidence = 100

// evidence is what the result files of an attempt say, in the form that blame.Judge
// wants, roles in the given order where the times are the same: TestFailed for each red case, NoResult for a role that
// ended with 0 and left no complete result. Where a role did not end by itself, or with something else than
// 0, its end says more than its missing file.
func evidence(roles []*RoleResult) []blame.Event {
	var out []blame.Event
	for _, r := range roles {
		if !r.Optional { // its tests are shown, and decide nothing
			out = append(out, failedTests(r.Role)...)
		}
		if e, ok := r.noResult(); ok {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b blame.Event) int { return a.At.Compare(b.At) })
	return out
}

// failedTests are the red cases of a role's files: of the attempts of one test the
// last one.
func failedTests(role Role) []blame.Event {
	failed := map[string]blame.Event{} // by file and test
	for _, f := range role.Results {
		clock, reading := testClock{role: role.RoleRecord}, readings(f)
		healed := map[string]bool{} // if later cases are attempts of the same test
		for i := range f.Cases {
			c := &f.Cases[i]
			at := clock.end(c)
			key := f.Path + "\x00" + c.Classname + "\x00" + c.Name
			if i := slices.Index(f.Suites, c.Suite); i > 0 { // cases of two suites are two tests
				key += "\x00" + strconv.Itoa(i)
			}
			_, again := failed[key]
			if !c.Status().Red() {
				if again && c.Status() == junit.Passed && reading[c.Suite] == fold.LastCounts {
					healed[key] = true
				}
				continue
			}
			delete(healed, key)
			if again || len(failed)-len(healed) < maxEvidence {
				failed[key] = blame.Event{Role: role.Name, Kind: blame.TestFailed, At: at, Text: fold.FirstLine(c), Node: onlyNode(role), Assert: isMeasured(c), Own: isOwn(c)}
			}
		}
		maps.DeleteFunc(failed, func(key string, _ blame.Event) bool { return healed[key] })
	}
	var out []blame.Event
	for _, key := range slices.Sorted(maps.Keys(failed)) {
		out = append(out, failed[key])
	}
	return out
}

// noResult is the event of a role that ended well and did not leave the results that
// it owes.
func (t *RoleResult) noResult() (blame.Event, bool) {
	if !t.JUnit || t.Optional || t.State != rundir.RoleEnded || t.StoppedBy != "" || t.Exit != 0 || t.Signal != 0 {
		return blame.Event{}, false
	}
	var problems []string
	for _, p := range t.Problems {
		problems = append(problems, p.Message)
	}
	switch {
	case len(problems) > 0 || len(t.Missing) == 0:
	case t.other != "":
		problems = append(problems, fmt.Sprintf("it is of another test, %s, not of %s", t.other, t.Missing[0]))
	default:
		problems = append(problems, t.Missing[0]+" was expected and not reported")
	}
	if len(problems) == 0 {
		return blame.Event{}, false
	}
	e := blame.Event{Role: t.Name, Kind: blame.NoResult, Text: strings.Join(problems, "; "), Node: onlyNode(t.Role)}
	if t.Ended != nil {
		e.At = *t.Ended
	}
	return e, true
}

func onlyNode(role Role) string {
	if len(role.Nodes) == 1 {
		return role.Nodes[0]
	}
	return ""
}

// testClock tells when a test ended, on the agent's clock as far as that can be known:
// the session's own start if it lies within the process's life, else the start of the
// process, plus the time of all tests so far.
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

// isMeasured reports whether a failure is an assertion on measured data: a finding of its own, whatever else failed.
func isMeasured(c *junit.Case) bool {
	for _, r := range c.Results {
		if r.Status != junit.Failed {
			continue
		}
		return blame.OwnAssertion(r.Message)
	}
	return false
}

// isOwn reports whether the test raised its failure itself to say what it has found wrong, and not for another
// exception.
func isOwn(c *junit.Case) bool {
	for _, r := range c.Results {
		lines := strings.Split(strings.TrimSpace(r.Text), "\n")
		if !r.Status.Red() {
			continue
		}
		return blame.TestFile(blame.RaisedIn(lines[len(lines)-1])) && blame.OwnWords(r.Message) && !strings.Contains(r.Text, "above exception")
	}
	return false
}
