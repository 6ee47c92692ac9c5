package merge

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// An error that stands in a suite, in no case, is red in a run, too.
func TestErrorOfASuiteIsRed(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`<testsuites><testsuite name="pytest">` + testCase(node1, 1, "") + `<error message="the fixture died">at x</error></testsuite></testsuites>`,
		`<testsuites><testsuite name="pytest">` + testCase(node1, 1, "") + `</testsuite><failure message="the fixture died">at x</failure></testsuites>`,
	} {
		client := role("BENCHMARK", rundir.KindClient, 1, 9, 0)
		gen := role("GEN_0", rundir.KindServer, 0, 10, 0)
		leave(t, &client, 0, pytestDoc(8, testCase(node1, 8, "")))
		leave(t, &gen, 0, doc)
		in := simple(client, gen, nil, rundir.OutcomePassed)
		sum, out := mergeRun(t, in, Options{})
		require.Positive(t, sum.Counts.Red())
		c := find(t, out, "s.lifecycle", "GEN_0")
		require.Contains(t, c.Results[0].Message, "the fixture died")

		var texts []string
		for _, e := range Evidence(in.Cases[0].Runs[0], Options{}.Read) {
			if e.Kind == blame.NoResult && e.Role == "GEN_0" {
				texts = append(texts, e.Text)
			}
		}
		require.Len(t, texts, 1)
		require.Contains(t, texts[0], "the fixture died")
	}
}

// A file whose own counts are worse than its cases has lost something.
func TestHiddenFailuresAreSaid(t *testing.T) {
	t.Parallel()
	const red = `<testcase name="b"><failure/></testcase>`
	for doc, warned := range map[string]bool{
		`<testsuite name="s" failures="1" errors="1"><testcase name="a"/></testsuite>`:                          true,
		`<testsuite name="s" failures="2">` + red + `</testsuite>`:                                              true,
		`<testsuite name="s" failures="1">` + red + `</testsuite>`:                                              false,
		`<testsuite name="s" failures="1"><testsuite name="i" failures="1">` + red + `</testsuite></testsuite>`: false,
		`<testsuite name="s" failures="2"><testsuite name="i" failures="1">` + red + `</testsuite></testsuite>`: true,
		`<testsuite name="s" failures="many"><testcase name="a"/></testsuite>`:                                  false,
		`<testsuite name="s" errors="1"><testcase name="a"/><error message="x"/></testsuite>`:                   false,
		`<testsuite name="s" failures="0">` + red + `</testsuite>`:                                              false,
	} {
		sum, _ := mergeFiles(t, Options{}, false, write(t, t.TempDir(), "in.xml", doc))
		said := strings.Contains(strings.Join(sum.Warnings, "\n"), "that none of its cases shows")
		require.Equal(t, warned, said, "%s: %q", doc, sum.Warnings)
	}
}
