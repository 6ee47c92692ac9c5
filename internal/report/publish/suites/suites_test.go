package suites

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

const (
	id   = "perf/test_a.py::test_e2e[one]"
	kept = "cases/one/rep-0/attempt-1/roles/GEN_0/results.0.xml"
)

func check(name string, r ...junit.Result) report.Check {
	return report.Check{Kept: kept, Case: junit.Case{Name: name, Results: r}}
}

func red(text string) junit.Result {
	return junit.Result{Status: junit.Failed, Type: "ValueError", Message: "ValueError: x", Text: text}
}

// run is a report of one case with two roles.
func run() report.Report {
	test := check("test_e2e[one]")
	test.Planned, test.Classname = true, "perf.test_a"
	other := check("test_other")
	other.Classname = "elsewhere"
	gate, rest := check("ttft[con8]"), check("p99[con8]")
	gate.Gate = true
	from, to := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 10, 1, 0, 0, time.UTC)
	c := report.CaseReport{ID: id, Slug: "one.slug", Attempts: []report.AttemptReport{{Counts: true, Started: &from, Ended: &to}}}
	c.Checks = report.Checks{
		Verdict: test, Lifecycle: []report.Check{check("GEN_0"), check("JOB", red("why"))}, Metrics: []report.Check{gate, rest},
		Roles: []report.RoleChecks{
			{Role: "GEN_10", Tests: []report.Check{test, other}, Hosts: []string{"n1", "n2"}, Out: []report.SuiteText{{Text: "said", Kept: kept}}},
			{Role: "GEN_2", Tests: []report.Check{test}, Hosts: []string{"n1"}},
		},
	}
	return report.Report{
		Stage: "nightly.gb", Cases: []report.CaseReport{c}, Cluster: "gb",
		Checks: []report.RunCheck{{Suite: "metrics", Check: check("history", junit.Result{Status: junit.Skipped, Type: "ci-disagg.not-stored", Message: "no verdict"})}},
	}
}

// names are the cases of a document as suite, class and name.
func names(doc *junit.Document) []string {
	var out []string
	for d := range doc.Decisions() {
		out = append(out, d.Suite+" | "+d.Class+" | "+d.Name+" | "+string(d.Status))
	}
	return out
}

func TestLayout(t *testing.T) {
	t.Parallel()
	doc, notes := Document(run(), Options{})
	require.Empty(t, notes)
	require.Equal(t, []string{
		"nightly_gb | nightly_gb.perf.test_a | test_e2e[one] | passed",
		"nightly_gb.lifecycle | nightly_gb.lifecycle.one_slug | GEN_0 | passed",
		"nightly_gb.lifecycle | nightly_gb.lifecycle.one_slug | JOB | failed",
		"nightly_gb.roles.GEN_2 | nightly_gb.roles.GEN_2.perf.test_a | test_e2e[one] | passed",
		"nightly_gb.roles.GEN_10 | nightly_gb.roles.GEN_10.perf.test_a | test_e2e[one] | passed",
		"nightly_gb.roles.GEN_10 | nightly_gb.roles.GEN_10.one_slug.elsewhere | test_other | passed",
		"nightly_gb.metrics | nightly_gb.metrics.one_slug | ttft[con8] | passed",
		"nightly_gb.metrics | nightly_gb.metrics.one_slug | p99[con8] | passed",
		"nightly_gb.metrics | nightly_gb.metrics.run | history | skipped",
	}, names(doc))
	require.Equal(t, time.Minute, doc.Time)
	require.Equal(t, "2026-11-21T10:00:00Z", doc.Suites[0].Suite.Attr("timestamp"))
	require.Equal(t, "n1", doc.Suites[2].Suite.Attr("hostname"))
	require.Equal(t, []junit.Property{{Name: "hostname", Value: "n1"}, {Name: "hostname", Value: "n2"}}, doc.Suites[3].Suite.Properties)
	require.Equal(t, []string{"said"}, doc.Suites[3].Suite.SystemOut)
}

// Two cases of one test are told apart, and a role alone says what the verdict says.
func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	r := run()
	twin := r.Cases[0]
	twin.Slug = "two"
	r.Cases = append(r.Cases, twin)
	doc, _ := Document(r, Options{})
	seen := map[string]bool{}
	for _, n := range names(doc) {
		n = n[:strings.LastIndex(n, " | ")]
		require.False(t, seen[n], n)
		seen[n] = true
	}
	r = run()
	r.Cases[0].Checks.Roles = r.Cases[0].Checks.Roles[1:]
	doc, _ = Document(r, Options{})
	require.NotContains(t, strings.Join(names(doc), "\n"), ".roles.")
	r = run()
	r.Cases[0].Checks.Roles = r.Cases[0].Checks.Roles[:1]
	doc, _ = Document(r, Options{})
	require.Contains(t, names(doc), "nightly_gb.roles.GEN_10 | nightly_gb.roles.GEN_10.one_slug.elsewhere | test_other | passed", "the verdict does not have it")
}

func TestMetricsInJUnit(t *testing.T) {
	t.Parallel()
	for mode, want := range map[Metrics]int{"": 3, AllMetrics: 3, GatingMetrics: 2, NoMetrics: 1} {
		doc, _ := Document(run(), Options{Metrics: mode})
		n := 0
		for _, name := range names(doc) {
			if strings.HasPrefix(name, "nightly_gb.metrics |") {
				n++
			}
		}
		require.Equal(t, want, n, "%q; what is said of the run stays", mode)
	}
}

// Cut text keeps head and tail, says how much is missing and where it is, and never in
// the middle of a character. Without caps nothing is cut.
func TestCaps(t *testing.T) {
	t.Parallel()
	long := "HEAD" + strings.Repeat("é", 300_000) + "TAIL"
	message := strings.Repeat("long message ", 100)
	with := func() report.Report {
		r := run()
		pass, fail := check("GEN_0"), check("JOB", junit.Result{Status: junit.Failed, Message: message + "\nsecond", Text: long})
		pass.SystemOut, fail.SystemOut = []string{long}, []string{long}
		r.Cases[0].Checks.Lifecycle = []report.Check{pass, fail}
		return r
	}
	original := with()
	doc, _ := Document(original, Options{})
	pass, fail := doc.Suites[1].Cases[0], doc.Suites[1].Cases[1]
	for _, tt := range []struct {
		text  string
		limit int
	}{{pass.SystemOut[0], 1 << 10}, {fail.SystemOut[0], 96 << 10}, {fail.Results[0].Text, 32 << 10}} {
		require.LessOrEqual(t, len(tt.text), tt.limit)
		require.Greater(t, len(tt.text), tt.limit-8)
		require.Regexp(t, `\[\.\.\. \d+ bytes cut; all of it: `+kept+` \.\.\.\]`, tt.text)
		require.True(t, strings.HasSuffix(tt.text, "éTAIL"))
	}
	require.True(t, strings.HasPrefix(fail.Results[0].Text, message), "the whole message stands in the body")
	require.Len(t, []rune(fail.Results[0].Message), 400)
	require.Equal(t, with(), original, "the report may be printed again")

	doc, _ = Document(with(), Options{NoCaps: true})
	require.Equal(t, long, doc.Suites[1].Cases[0].SystemOut[0])
	require.Equal(t, message+"\nsecond", doc.Suites[1].Cases[1].Results[0].Message)
}

// Whatever the texts stand in, the report gets as small as it has to; where its cases
// alone are larger, a note says so.
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 20_000)
	o := Options{Caps: fold.Caps{PassOut: 1 << 20, File: 100_000}}
	for name, one := range map[string]func(*report.Check){
		"passed":  func(c *report.Check) { c.SystemOut, c.SystemErr = []string{text}, []string{text} },
		"skipped": func(c *report.Check) { c.Results = []junit.Result{{Status: junit.Skipped, Text: text}} },
		"flaky":   func(c *report.Check) { c.Reruns = []junit.Rerun{{Kind: junit.FlakyFailure, StackTrace: text}} },
		"red":     func(c *report.Check) { c.Results, c.SystemOut = []junit.Result{red(text)}, []string{text} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run()
			for i := range 20 {
				c := check(fmt.Sprint("t", i))
				one(&c)
				r.Cases[0].Checks.Lifecycle = append(r.Cases[0].Checks.Lifecycle, c)
			}
			path := filepath.Join(t.TempDir(), "junit.xml")
			notes, err := Write(path, r, o)
			require.NoError(t, err)
			require.Len(t, notes, 1)
			require.Contains(t, notes[0], "bytes of text were left out")
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.LessOrEqual(t, len(data), 100_000)
			require.Contains(t, string(data), "all of it: "+kept)
		})
	}
	r := run()
	for i := range 5_000 {
		r.Cases[0].Checks.Lifecycle = append(r.Cases[0].Checks.Lifecycle, check(fmt.Sprint("t", i)))
	}
	doc, notes := Document(r, o)
	require.Equal(t, 5_009, doc.Counts().Tests, "no case is dropped")
	require.Regexp(t, `^the report has \d+ bytes, more than 100000`, notes[0])
}

// A report that another reader reads otherwise than it was decided is kept beside the
// red case that takes its place.
func TestAudit(t *testing.T) {
	t.Parallel()
	r := run()
	r.Cases[0].Checks.Verdict.Results = []junit.Result{red("tb"), {Status: junit.Skipped, Message: "both"}}
	path := filepath.Join(t.TempDir(), "junit.xml")
	_, err := Write(path, r, Options{})
	require.ErrorIs(t, err, junit.ErrAudit)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(data), `type="ci-disagg.internal"`)
	require.Contains(t, string(data), "junit.xml.rejected")
	data, err = os.ReadFile(path + ".rejected")
	require.NoError(t, err)
	require.Contains(t, string(data), "ValueError: x")
}
