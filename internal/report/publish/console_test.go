package publish

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestConsoleIsShortAndPlain(t *testing.T) {
	t.Parallel()
	for name, d := range documents() {
		text := Console(d, "/r", Style{})
		require.LessOrEqual(t, strings.Count(text, "\n"), 30, name)
		if name != "hostile" {
			require.NotContains(t, text, "\x1b", name)
		}
		require.Contains(t, Console(d, "/r", Style{Colour: true}), "\x1b[", name)
		for _, colour := range []bool{false, true} {
			style := Style{Colour: colour, Width: 80}
			wrapped := Console(d, "/shared/runs/jenkins-perf-gate-4711/report", style)
			lines := strings.Split(strings.TrimSuffix(wrapped, "\n"), "\n")
			require.LessOrEqual(t, painter(style).height(lines), 30, "%s on a terminal of 80 columns:\n%s", name, wrapped)
			require.Equal(t, lines[len(lines)-1], last(Console(d, "/shared/runs/jenkins-perf-gate-4711/report", Style{Colour: colour})), "commands are never cut")
		}
	}
	text := Console(crashDocument(), "/r", Style{})
	require.Regexp(t, `^TEST FAILED  `, text)
	require.Contains(t, text, "GEN_0 failed first")
	require.Contains(t, text, "roles/GEN_0/output.log:4242: E RuntimeError: CUDA error")
	require.Regexp(t, `next:   less \+4242 /shared/runs/.*/roles/GEN_0/output.log\n$`, text)
	require.Regexp(t, `next:   ci-disagg baseline show -c /shared/ci-disagg.yaml --case 'perf/.*'\n$`, Console(regressionDocument(), "/r", Style{}))
	require.Regexp(t, `next:   ci-disagg run -c /shared/ci-disagg.yaml --cluster gb200 'perf/.*'\n$`, Console(infraDocument(), "/r", Style{}))
	require.Contains(t, Console(infraDocument(), "/r", Style{}), "not your change")
}

// What a job has printed is no command for the build server that shows the console.
func TestConsoleCommandsNobody(t *testing.T) {
	t.Parallel()
	const command = "##vso[task.complete result=Succeeded;]"
	d := crashDocument()
	d.Headline, d.Warnings = command, []string{command}
	for i := range d.Cases {
		d.Cases[i].ID, d.Cases[i].Message = command, command
		if f := d.Cases[i].Finding; f != nil {
			f.Message = command
			if f.Line != nil {
				f.Line.Text = command
			}
		}
	}
	text := Console(d, "/r", Style{})
	require.NotContains(t, text, "##vso")
	require.Contains(t, text, "# #vso[task.complete")
}

// TestWarningsAreSeen: on the console and in the comment as in the report, but
// never more than a few.
func TestWarningsAreSeen(t *testing.T) {
	t.Parallel()
	d := passDocument()
	d.Warnings = nil
	require.NotContains(t, Console(d, "/r", Style{})+Summary(d), "warning")
	for i := range 9 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("doubt %d of @all | <b>: ", i)+strings.Repeat("long ", 200))
	}
	text := Console(d, "/r", Style{})
	require.Contains(t, text, "\nwarning: doubt 0 ")
	require.Contains(t, text, "\nwarning: doubt 1 ")
	require.Contains(t, text, "\n… and 7 more warnings, in the report\nreport: /r/index.html\n")
	require.LessOrEqual(t, strings.Count(text, "\n"), consoleLines)
	s := Summary(d)
	require.Contains(t, s, "<summary>9 warnings</summary>")
	require.Contains(t, s, "- doubt 4 of @\u200ball \\| &lt;b&gt;: long")
	require.Contains(t, s, "- … and 4 more, in the report\n")
	require.Less(t, len(s), 4000)
}

// TestConsoleSaysWhyThereIsNoVerdict: the numbers alone do not.
func TestConsoleSaysWhyThereIsNoVerdict(t *testing.T) {
	t.Parallel()
	c := newCase(0)
	c.Result, c.ExitCode, c.Verdict, c.Message = report.ResultNoVerdict, 5, verdict.Invalid, "not a valid measurement: con16 was planned but there is no result"
	for i := range c.Metrics {
		c.Metrics[i].Verdict = verdict.Invalid
	}
	d := document(5, report.ResultNoVerdict, "1 case", c)
	require.Contains(t, Console(d, "/r", Style{}), "\n      not a valid measurement: con16 was planned but there is no result\n      output_token_throughput")
	require.Contains(t, Summary(d), "con16 was planned")
}

// TestLongNamesLeaveTheNumbers: of names of any length the console shows the end,
// by which they differ, and the value behind them.
func TestLongNamesLeaveTheNumbers(t *testing.T) {
	t.Parallel()
	d := regressionDocument()
	c := &d.Cases[0]
	c.ID = "perf/test.py::test_e2e[" + strings.Repeat("disagg_upload_", 30) + "con99]"
	for i := range c.Metrics {
		c.Metrics[i].Point = strings.Repeat("isl8192_", 30) + "con99"
	}
	text := Console(d, "/r", Style{})
	require.Contains(t, text, "con99]\n")
	require.Contains(t, text, "con99: 12.91 ms, 13.2 % worse than 11.40\n")
}

// TestRepetitionsAreNumbered: all of them, where there are several.
func TestRepetitionsAreNumbered(t *testing.T) {
	t.Parallel()
	c := newCase(0)
	require.Equal(t, "Attempt 1", viewAttempt(c, c.Attempts[0], "").Name)
	c.Attempts = append(c.Attempts, attempt(c, 1, 1))
	require.Equal(t, "Repetition 1, attempt 1", viewAttempt(c, c.Attempts[0], "").Name)
	require.Equal(t, "Repetition 2, attempt 1", viewAttempt(c, c.Attempts[1], "").Name)
}

// TestColourOfAnAttempt: what ends a case as infrastructure is no red of the change.
func TestColourOfAnAttempt(t *testing.T) {
	t.Parallel()
	c := newCase(0)
	for outcome, want := range map[rundir.Outcome]string{
		rundir.OutcomePassed: "good", rundir.OutcomeInfra: "infra", rundir.OutcomeLost: "infra", rundir.OutcomeCancelled: "infra",
		rundir.TimeoutOf(rundir.PhaseQueue): "infra", rundir.TimeoutOf(rundir.PhaseSetup): "infra",
		rundir.TimeoutOf(rundir.PhaseReady): "bad", rundir.OutcomeTestFailed: "bad",
	} {
		a := c.Attempts[0]
		a.Outcome = outcome
		require.Equal(t, want, viewAttempt(c, a, "").Tone, outcome)
	}
}

// TestConsoleFitsWhateverItSays: 30 lines of the screen also where every text is as
// long as texts get.
func TestConsoleFitsWhateverItSays(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a long word ", 60)
	d := suiteDocument(40)
	d.Stage, d.Headline, d.Warnings = long, long, []string{long, long, long, long}
	for i := range d.Cases {
		c := &d.Cases[i]
		c.ID += long
		if c.Finding != nil {
			f := *c.Finding
			f.Message, f.Line, f.Root = long, &rundir.LogLine{File: long, Number: 1, Text: long}, long
			c.Finding, c.Message = &f, long
		}
		for k := range c.Metrics {
			c.Metrics[k].Metric += long
		}
	}
	d.Next = "less " + strings.Repeat("x", 300)
	for _, width := range []int{0, 60, 80, 132} {
		style := Style{Width: width}
		text := strings.TrimSuffix(Console(d, "/r", style), "\n")
		require.LessOrEqual(t, painter(style).height(strings.Split(text, "\n")), consoleLines, "%d columns:\n%s", width, text)
		require.True(t, strings.HasSuffix(text, d.Next))
	}
}

// TestLastLineIsNoErrorLine: the end of a log that explains nothing is not shown
// as the reason.
func TestLastLineIsNoErrorLine(t *testing.T) {
	t.Parallel()
	c := crash(newCase(0), classInfra)
	c.Finding.Message = "[GEN_0] killed by SIGKILL (exit 137) on gb200-r1-n1 after 620 s; SIGKILL that neither ci-disagg nor Slurm sent"
	c.Finding.Line.Text, c.Finding.Line.Last = "iter = 210", true
	c.Message = c.Finding.Message
	c.Attempts[0].Roles[0].Tail = []string{"iter = 209", "iter = 210"}
	d := document(3, report.ResultInfra, "1 case", c)
	require.Contains(t, Console(d, "/r", Style{}), "SIGKILL that neither ci-disagg nor Slurm sent\n      last line: roles/GEN_0/output.log:4242: iter = 210\n")
	require.Contains(t, Summary(d), "> iter = 210\n> last line: roles/")
	_, files := written(t, d)
	page := string(files[casePath(c)])
	require.Contains(t, page, "<figcaption>last line: <a href=")
	require.NotContains(t, page, "<mark>")
}

// TestNextGoesOnWithWhatIsNotOver: after the death of a driver its run is gone on
// with; nobody submits a second job for a live one.
func TestNextGoesOnWithWhatIsNotOver(t *testing.T) {
	t.Parallel()
	c := crash(newCase(0), classInfra)
	c.Attempts[0].Ended, c.Attempts[0].Finding, c.Finding = nil, nil, nil
	never := newCase(1)
	never.Result, never.Attempts = report.ResultInfra, nil
	for _, c := range []report.CaseReport{c, never} {
		require.Equal(t, "ci-disagg resume /shared/runs/jenkins-perf-gate-4711", document(3, report.ResultInfra, "x", c).Next)
	}
	require.Equal(t, "ci-disagg resume /shared/runs/jenkins-perf-gate-4711", document(130, report.ResultInterrupted, "x", newCase(0)).Next)
}

// TestConsoleShowsNoEscapeOfALog: a log must not move the cursor of who reads.
func TestConsoleShowsNoEscapeOfALog(t *testing.T) {
	t.Parallel()
	for _, r := range Console(hostileDocument(), "/r", Style{}) {
		require.True(t, r == '\n' || !look.Unprintable(r), "%q", r)
	}
}

func last(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[len(lines)-1]
}

// TestOneCauseIsToldOnce: twenty cases on one broken container are one thing to
// understand; another line, class or result is another thing.
func TestOneCauseIsToldOnce(t *testing.T) {
	t.Parallel()
	var cases []report.CaseReport
	for i := range 6 {
		c := crash(newCase(i), classTest)
		line := *c.Finding.Line
		line.Text = fmt.Sprintf("RuntimeError: rank %d at 0x%x", i, 4096*i)
		c.Finding.Line = &line
		cases = append(cases, c)
	}
	cases[4].Finding.Line = &rundir.LogLine{File: "x", Number: 1, Text: "another error"}
	cases[5] = crash(newCase(5), classInfra)
	groups := alike(cases)
	require.Len(t, groups, 3)
	require.Len(t, groups[0].More, 3)
	d := document(1, report.ResultTestFailed, "6 cases", cases...)
	require.Contains(t, Console(d, "/r", Style{}), "the same in 3 more cases: disagg_upload")
	require.Contains(t, Summary(d), "The same in 3 more cases: disagg")
	require.Equal(t, 3, strings.Count(Summary(d), "### "))
	red := regressionDocument().Cases[0]
	require.Len(t, alike([]report.CaseReport{red, red}), 2, "regressions stand alone")
}

// TestReasonKeepsItsNumbers: why there is no verdict is said in several lines, not cut in the middle.
func TestReasonKeepsItsNumbers(t *testing.T) {
	t.Parallel()
	c := newCase(0)
	c.Result, c.ExitCode, c.Verdict = report.ResultNoVerdict, 5, verdict.Inconclusive
	c.Message = "request_throughput at SET: the median of 3 repetitions, 1492 req/s is 94.1 % worse than 25135 req/s, the level of 7 earlier runs " +
		"(noise 64.2 % per run); a step has probability 0.58: too much to pass, less than the 0.85 needed for a regression. 2 further repetitions did not " +
		"settle it and no other one can run. Judged strictly: the history has 8 runs, fewer than 16"
	for _, width := range []int{0, 80, 132} {
		text := Console(document(5, report.ResultNoVerdict, "1 case", c), "/r", Style{Width: width})
		require.Contains(t, strings.Join(strings.Fields(text), " "), c.Message, "%d columns:\n%s", width, text)
		require.LessOrEqual(t, painter{Width: width}.height(strings.Split(text, "\n")), consoleLines)
	}
}
