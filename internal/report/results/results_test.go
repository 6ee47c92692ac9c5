package results

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const planned = "perf/test_perf_sanity.py::test_e2e[dsr1-1k1k-c2048]"

func at(seconds int) *time.Time {
	t := time.Date(2026, 11, 21, 10, 0, seconds, 0, time.UTC)
	return &t
}

// test is a test as pytest reports it; a message makes it a failure.
func test(id string, seconds int, message string) junit.Case {
	class, name := SplitID(id)
	c := junit.Case{Classname: class, Name: name, Time: time.Duration(seconds) * time.Second}
	if message != "" {
		c.Results = []junit.Result{{Status: junit.Failed, Message: message}}
	}
	return c
}

// role is one that ended by itself and left these tests, or no file.
func role(name string, ended, exit int, tests ...junit.Case) Role {
	r := Role{JUnit: true, Expected: []string{planned}}
	r.RoleRecord = rundir.RoleRecord{Name: name, State: rundir.RoleEnded, Started: at(0), Ended: at(ended), Exit: exit, Nodes: []string{"gb-n01"}}
	if len(tests) > 0 {
		names := map[string]bool{}
		for _, c := range tests {
			names[c.Classname+c.Name] = true
		}
		r.Results = []File{resultFile(name, counting(len(names), tests...))}
	}
	return r
}

// counting are cases of one suite that declares so many tests; below 0 it declares
// none.
func counting(n int, tests ...junit.Case) []junit.Case {
	s := &junit.Suite{Pytest: true, Complete: true}
	if n >= 0 {
		s.Attrs = []junit.Attr{{Name: "tests", Value: strconv.Itoa(n)}}
	}
	for i := range tests {
		tests[i].Suite = s
	}
	return tests
}

// byAnother are cases that another runner than pytest wrote.
func byAnother(tests []junit.Case) []junit.Case {
	tests[0].Suite.Pytest = false
	return tests
}

// cutOff are the cases of a suite whose end is missing.
func cutOff(tests []junit.Case) []junit.Case {
	tests[0].Suite.Complete = false
	return tests
}

func resultFile(role string, suites ...[]junit.Case) File {
	f := File{Path: role + "/results.0.xml", Name: "results.0.xml"}
	for _, cases := range suites {
		f.Cases = append(f.Cases, cases...)
		f.Suites = append(f.Suites, cases[0].Suite)
	}
	return f
}

// TestAFailureIsARerunOnlyIfItsSuiteSaysSo: a failure that a pass of the same name
// follows is red unless its own suite counts the two as one test.
func TestAFailureIsARerunOnlyIfItsSuiteSaysSo(t *testing.T) {
	t.Parallel()
	fail, pass, other := test(planned, 1, "assert 1 == 2"), test(planned, 2, ""), test("a.py::other", 1, "")
	skip, owed := test(planned, 3, ""), counting(1, fail, pass)
	skip.Results = []junit.Result{{Status: junit.Skipped}}
	owed[0].Suite.Attrs = append(owed[0].Suite.Attrs, junit.Attr{Name: "failures", Value: "1"})
	for name, tt := range map[string]struct {
		file File
		want junit.Status
	}{
		"one test, counted once":            {resultFile("r", counting(1, fail, pass)), junit.Passed},
		"one test among others":             {resultFile("r", counting(2, fail, pass, other)), junit.Passed},
		"both counted":                      {resultFile("r", counting(2, fail, pass)), junit.Failed},
		"nobody counts":                     {resultFile("r", counting(-1, fail, pass)), junit.Failed},
		"the surplus is another's":          {resultFile("r", counting(3, fail, pass, other, other)), junit.Failed},
		"another suite":                     {resultFile("r", counting(1, fail), counting(1, pass)), junit.Failed},
		"another suite that has one more":   {resultFile("r", counting(1, fail), counting(1, pass, other, other)), junit.Failed},
		"another suite that repeats itself": {resultFile("r", counting(1, fail), counting(1, fail, pass)), junit.Failed},
		"no suite of pytest's":              {resultFile("r", byAnother(counting(1, fail, pass))), junit.Failed},
		"the failure is counted":            {resultFile("r", owed), junit.Failed},
		"skipped when repeated":             {resultFile("r", counting(1, fail, skip)), junit.Failed},
		"skipped after a pass":              {resultFile("r", counting(1, fail, pass, skip)), junit.Skipped},
		"cut off":                           {resultFile("r", cutOff(counting(1, fail, pass))), junit.Failed},
	} {
		r := role("BENCHMARK", 50, 0)
		r.Results = []File{tt.file}
		told := readTests(r, planned, fold.Pass)
		require.Equal(t, tt.want, told.Primary.Status(), name)
		require.Equal(t, tt.want == junit.Failed, len(failedTests(r)) > 0, name)
	}
}

// TestATeardownChangesNoReading: a test that passed and whose teardown failed is one of those that its suite counts.
func TestATeardownChangesNoReading(t *testing.T) {
	t.Parallel()
	down := test("a.py::other", 1, "failed on teardown with x")
	down.Results[0].Status = junit.Errored
	r := role("BENCHMARK", 50, 0)
	r.Results = []File{resultFile("r", counting(2, test(planned, 1, "assert 1 == 2"), test(planned, 2, ""), down))}
	told := readTests(r, planned, fold.Pass)
	require.Equal(t, junit.Passed, told.Primary.Status())
}

// TestAttemptsOfAPytestWithANameOfItsOwn: -o junit_suite_name=X hides who wrote the suite, not
// that it counts three bare cases as one test.
func TestAttemptsOfAPytestWithANameOfItsOwn(t *testing.T) {
	t.Parallel()
	bare := test(planned, 1, "")
	for flaky, want := range map[fold.Policy]junit.Status{fold.Pass: junit.Passed, fold.Fail: junit.Failed, fold.Skip: junit.Skipped} {
		r := role("BENCHMARK", 50, 0)
		r.Results = []File{resultFile("r", byAnother(counting(1, bare, bare, bare)))}
		told := readTests(r, planned, flaky)
		require.Equal(t, want, told.Primary.Status(), flaky)
		require.Contains(t, told.Primary.SystemOut[0], "passed on attempt 3 of 3")
	}
}

// TestTheRunnersOwnRerunsAreFlakyToo: the policy holds whoever repeated the test.
func TestTheRunnersOwnRerunsAreFlakyToo(t *testing.T) {
	t.Parallel()
	pass, fail := test(planned, 2, ""), test(planned, 2, "assert 1 == 2")
	pass.Reruns = []junit.Rerun{{Kind: junit.FlakyFailure, Message: "m"}}
	fail.Reruns = []junit.Rerun{{Kind: junit.RerunFailure, Message: "m"}}
	for flaky, want := range map[fold.Policy]junit.Status{"": junit.Passed, fold.Pass: junit.Passed, fold.Fail: junit.Failed, fold.Skip: junit.Skipped} {
		for _, one := range []junit.Case{pass, fail} {
			r := role("BENCHMARK", 50, 0)
			r.Results = []File{resultFile("r", byAnother(counting(1, one)))}
			if one.Status().Red() {
				want = junit.Failed
			}
			told := readTests(r, planned, flaky)
			require.Equal(t, want, told.Primary.Status(), flaky)
			require.Len(t, told.Primary.Results, min(1, told.Primary.Status().Rank()), flaky)
			require.Len(t, r.Results[0].Cases[0].Results, min(1, one.Status().Rank()), "what was read stays")
		}
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	of := func(roles ...Role) []blame.Event {
		var told []*RoleResult
		for _, r := range roles {
			one := readTests(r, planned, fold.Pass)
			told = append(told, &one)
		}
		return evidence(told)
	}
	gen := role("GEN_0", 100, 0)
	client := role("BENCHMARK", 50, 1,
		test("a.py::t0", 4, "flaky"), test("a.py::t0", 5, ""),
		test("a.py::t1", 6, "AssertionError: assert 0.71 >= 0.75\n + where"),
		test(planned, 7, "AssertionError: assert 37 <= 0\n + where 37 = failed"))
	require.Equal(t, []blame.Event{
		{Role: "BENCHMARK", Kind: blame.TestFailed, At: *at(15), Node: "gb-n01", Text: "AssertionError: assert 0.71 >= 0.75", Assert: true},
		{Role: "BENCHMARK", Kind: blame.TestFailed, At: *at(22), Node: "gb-n01", Text: "AssertionError: assert 37 <= 0"},
		{Role: "GEN_0", Kind: blame.NoResult, At: *at(100), Node: "gb-n01", Text: "no results.xml"},
	}, of(client, gen))
	may := client
	may.Optional = true
	require.Empty(t, of(may), "who may leave, however it ends, fails nothing by its tests")
	stopped := gen
	stopped.StoppedBy = "agent"
	require.Empty(t, of(stopped), "a role that was stopped owes no result")
	require.Empty(t, of(role("GEN_0", 100, 0, test("other.py::test_e2e[dsr1-1k1k-c2048]", 1, ""))), "the name is enough where only one test has it")
	require.Equal(t, "it is of another test, other::x, not of "+planned, of(role("GEN_0", 100, 0, test("other.py::x", 1, "")))[0].Text)
}

// Kinds decide the order, not names.
func TestOrderOfRoles(t *testing.T) {
	t.Parallel()
	roles := []rundir.RoleRecord{
		{Name: "BENCHMARK", Kind: rundir.KindClient},
		{Name: "GEN_10", Kind: rundir.KindServer},
		{Name: "GEN_2", Kind: rundir.KindServer},
		{Name: "CTX_0", Kind: rundir.KindServer},
		{Name: "A_ROUTER", Kind: rundir.KindRouter},
		{Name: "GEN_0_PRECHECK", Kind: rundir.KindPrecheck},
		{Name: "INSTALL", Kind: rundir.KindInstall},
		{Name: "ANOTHER", Kind: "of a later version"},
		{Name: "GEN_02", Kind: rundir.KindServer},
	}
	slices.SortFunc(roles, func(a, b rundir.RoleRecord) int { return Order(a.Kind, a.Name, b.Kind, b.Name) })
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	require.Equal(t, []string{"INSTALL", "GEN_0_PRECHECK", "CTX_0", "GEN_02", "GEN_2", "GEN_10", "A_ROUTER", "BENCHMARK", "ANOTHER"}, names)
}

func TestNodeID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string][2]string{
		"perf/test_a.py::test_b[x/y::z]":  {"perf.test_a", "test_b[x/y::z]"},
		"test_a.py::TestC::TestD::test_b": {"test_a.TestC.TestD", "test_b"},
		"perf/test_a.py":                  {"perf.test_a", "perf/test_a.py"},
	} {
		class, name := SplitID(id)
		require.Equal(t, want, [2]string{class, name})
	}
	ids := []string{"perf/a.py::t[1]", "perf/b.py::t[1]", "perf/b.py::u"}
	require.Equal(t, 1, match(ids, "b", "t[1]"))
	require.Equal(t, 0, match(ids, "tests.perf.a", "t[1]"))
	require.Equal(t, -1, match(ids, "elsewhere", "t[1]"), "two tests have that name")
	require.Equal(t, 2, match(ids, "elsewhere", "u"))
	require.Equal(t, -1, match(ids, "elsewhere", "v"))
}

// What was measured while the job, the agent or a server was stopped is no measurement; what they were stopped before
// it began plays no part.
func TestInterruptions(t *testing.T) {
	t.Parallel()
	at := func(sec int) time.Time { return time.Date(2026, 11, 29, 10, 0, sec, 0, time.UTC) }
	end := at(50)
	a := Attempt{Result: &rundir.AttemptOutcome{}, Agent: &rundir.AgentRecord{}}
	a.Agent.Phases = []rundir.PhaseSpan{{Phase: rundir.PhaseReady, Start: at(0)}, {Phase: rundir.PhaseBenchmark, Start: at(20), End: &end}}
	require.Empty(t, a.Interruptions())
	require.Empty(t, Attempt{}.Interruptions())
	a.Agent.Stalls = []rundir.Stall{{At: at(15), For: rundir.Duration(10 * time.Second)}, {At: at(59), For: rundir.Duration(7 * time.Second)}}
	require.Empty(t, a.Interruptions(), "while it loaded, and after it")
	a.Agent.Stalls = append(a.Agent.Stalls, rundir.Stall{At: at(22), For: rundir.Duration(10 * time.Second)})
	require.Equal(t, []string{"the agent, and most likely its node, stood still for 10s until 10:00:22 while the benchmark ran"}, a.Interruptions())
	a.Agent.Stalls = []rundir.Stall{{At: at(40), For: rundir.Duration(4 * time.Second), Role: "GEN_0"}}
	require.Equal(t, []string{"somebody had stopped the server of GEN_0: it stood still for 4s until 10:00:40 while the benchmark ran"}, a.Interruptions())
	a.Result.Suspended = rundir.Duration(3 * time.Second)
	require.Equal(t, "Slurm had suspended the job for 3s", a.Interruptions()[0])
}

func TestOwnFailures(t *testing.T) {
	t.Parallel()
	const says = "ValueError: 3 of 40 answers were wrong"
	for name, tc := range map[string]struct {
		message, text string
		want          bool
	}{
		"raised in the test":       {says, "E   " + says + "\n\nperf/test_own.py:5: ValueError\n", true},
		"raised in a library":      {says, "E   " + says + "\n\n/usr/lib/python3/json/decoder.py:5: ValueError", false},
		"nobody says where":        {says, "", false},
		"because of another":       {says, "E   OSError: [Errno 28] No space left on device\n\ntest_own.py:4: OSError\n\nThe above exception was the direct cause of the following exception:\n\nE   " + says + "\n\ntest_own.py:5: ValueError", false},
		"about somebody who went":  {"RuntimeError: the server of GEN_0 ended with 1", "test_own.py:5: RuntimeError", false},
		"a comparison of statuses": {"assert 503 == 200", "test_own.py:5: AssertionError", false},
	} {
		c := junit.Case{Results: []junit.Result{{Status: junit.Failed, Message: tc.message, Text: tc.text}}}
		require.Equal(t, tc.want, isOwn(&c), name)
	}
}

// A test during which its session ended has not passed, whatever became of the exit code (`pytest … || true`).
func TestASessionThatEndedDuringATest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		how  func(*Role)
		want junit.Status
	}{
		"its process ended with 0":  {func(*Role) {}, junit.Errored},
		"nobody knows its process":  {func(r *Role) { r.State = "" }, junit.Errored},
		"its process ended with 2":  {func(r *Role) { r.Exit = 2 }, junit.Skipped},
		"its process was ended":     {func(r *Role) { r.StoppedBy = rundir.StoppedByAgent }, junit.Skipped},
		"its process died of a 137": {func(r *Role) { r.Exit, r.Signal = 137, 9 }, junit.Skipped},
	} {
		r := role("BENCHMARK", 50, 0)
		r.Expected = nil
		r.Results = []File{resultFile("BENCHMARK", counting(1, test("t.py::test_a", 5, ""), junit.Case{}))}
		tc.how(&r)
		told := readTests(r, planned, fold.Pass)
		require.Len(t, told.Tests, 2, name)
		require.Equal(t, tc.want, told.Tests[1].Case.Status(), name)
		require.Equal(t, tc.want.Red(), told.First != nil, name)
	}
}
