package junit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNothingHides: a case inside a case, and a result or a case below an element
// that nobody knows, are seen.
func TestNothingHides(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		doc    string
		counts Counts
	}{
		"case in a case":             {"<testsuite><testcase name='a'><testcase name='b'><failure/></testcase></testcase></testsuite>", Counts{Tests: 2, Failures: 1}},
		"failure below an element":   {"<testsuite><testcase name='a'><x><y><failure/></y></x></testcase></testsuite>", Counts{Tests: 1, Failures: 1}},
		"case below an element":      {"<testsuite><x><testcase name='a'><error/></testcase></x></testsuite>", Counts{Tests: 1, Errors: 1}},
		"suite below an element":     {"<testsuite><x><testsuite><testcase name='a'/></testsuite></x></testsuite>", Counts{Tests: 1}},
		"suite in a case":            {"<testsuite><testcase name='a'><testsuite><testcase name='b'/></testsuite></testcase></testsuite>", Counts{Tests: 2}},
		"markup in output":           {"<testsuite><testcase name='a'><system-out><testcase/><failure/></system-out></testcase></testsuite>", Counts{Tests: 1}},
		"not run":                    {"<testsuite><testcase name='a' status='notrun'/><testcase name='b' result='suppressed'/><testcase name='c' status='disabled'/></testsuite>", Counts{Tests: 3, Skipped: 3}},
		"not run, in capitals":       {"<testsuite><testcase name='a' status='Skipped'/></testsuite>", Counts{Tests: 1, Skipped: 1}},
		"failed, says an attribute":  {"<testsuite><testcase name='a' status='failed'/><testcase name='b' result='failed'/><testcase name='c' status='Failure'/></testsuite>", Counts{Tests: 3, Failures: 3}},
		"error, says an attribute":   {"<testsuite><testcase name='a' status='error'/><testcase name='b' status='broken'/><testcase name='c' status='fail'/></testsuite>", Counts{Tests: 3, Failures: 3}},
		"ran, and failed":            {"<testsuite><testcase name='a' status='run' result='failed'/><testcase name='b' status='notrun' result='error'/></testsuite>", Counts{Tests: 2, Failures: 2}},
		"an attribute of a failure":  {"<testsuite><testcase name='a' status='failed'><error/></testcase><testcase name='b' status='failed'><skipped/></testcase></testsuite>", Counts{Tests: 2, Errors: 1, Skipped: 1}},
		"ran":                        {"<testsuite><testcase name='a' status='run' result='completed'/><testcase name='b' status='Passed'/><testcase name='c' status='passed'/></testsuite>", Counts{Tests: 3}},
		"disabled, and failed":       {"<testsuite><testcase name='a' status='disabled'><failure/></testcase></testsuite>", Counts{Tests: 1, Failures: 1}},
		"result of an inner element": {"<testsuite><testcase name='a'><failure><error/></failure></testcase></testsuite>", Counts{Tests: 1, Failures: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, cases, _, err := readString(tt.doc)
			require.NoError(t, err)
			require.Equal(t, tt.counts, f.Counts)
			require.Len(t, cases, tt.counts.Tests)
			shallowAgree(t, []byte(tt.doc), cases)
		})
	}
}

// TestRepairs: what a text holds that XML forbids is counted, also where it is not
// decoded.
func TestRepairs(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]int64{
		"<testsuite><testcase name='a'><failure>x\x01y &nbsp; z</failure></testcase></testsuite>":                                           2,
		"<testsuite><testcase name='a'><system-out><![CDATA[x\x01y &nbsp; z]]></system-out></testcase></testsuite>":                         1,
		"<testsuite><testcase name='a'><system-out>" + strings.Repeat("x\x01y &amp; z\n", 20_000) + "&</system-out></testcase></testsuite>": 20_001,
	} {
		f, cases, _, err := readString(doc)
		require.NoError(t, err)
		require.Equal(t, want, f.Repaired)
		shallowAgree(t, []byte(doc), cases)
	}
}

// TestContradiction: what a suite declares and does not show is said once, by the
// innermost suite. Runners that count reruns are not contradicted.
func TestContradiction(t *testing.T) {
	t.Parallel()
	const red = `<testcase name="b"><failure/></testcase>`
	const failures, none = "declares 1 failure and 1 error, and none of its cases shows one", "declares 2 tests, and holds none"
	const oneMore = "counts failures or errors that none of its cases shows: 1"
	for doc, want := range map[string]struct{ said, hidden string }{
		`<testsuite failures="1" errors="1"><testcase name="a"/></testsuite>`:                                     {failures, ""},
		`<testsuite failures="2">` + red + `</testsuite>`:                                                         {"", oneMore},
		`<testsuite failures="1">` + red + `</testsuite>`:                                                         {"", ""},
		`<testsuite failures="1"><testsuite failures="1">` + red + `</testsuite></testsuite>`:                     {"", ""},
		`<testsuite failures="2"><testsuite failures="1" errors="1"><testcase name="a"/></testsuite></testsuite>`: {failures, ""},
		`<testsuite failures="many"><testcase name="a"/></testsuite>`:                                             {"", ""},
		`<testsuite errors="1"><testcase name="a"/><error message="x"/></testsuite>`:                              {"", ""},
		`<testsuite failures="0">` + red + `</testsuite>`:                                                         {"", ""},
		`<testsuite tests="2"/>`:                                                                                         {none, ""},
		`<testsuite tests="2"><testcase name="a"/></testsuite>`:                                                          {"", "counts 2 tests, and shows 1"},
		`<testsuite tests="1"><testcase name="a"/><testcase name="a"/></testsuite>`:                                      {"", ""},
		`<testsuite tests="2"><testsuite tests="2"><testcase name="a"/><testcase name="b"/></testsuite></testsuite>`:     {"", ""},
		`<testsuite failures="1"><testcase name="a"><flakyFailure type="t"/></testcase></testsuite>`:                     {"", ""},
		`<testsuite failures="1" tests="1"><testcase name="a"><rerunFailure type="t"/><failure/></testcase></testsuite>`: {"", ""},
		`<testsuite failures="18446744073709551615" errors="18446744073709551615"><testcase name="a"/></testsuite>`: {
			"declares 1099511627776 failures and 1099511627776 errors, and none of its cases shows one", "",
		},
		`<testsuite failures="1" errors="1" tests="0"/>`:                                                                                 {failures, ""},
		`<testsuite failures=" 1 " errors="1.0"><testcase name="a"/></testsuite>`:                                                        {failures, ""},
		`<testsuite failures="0.0" errors="-1.0"><testcase name="a"/></testsuite>`:                                                       {"", ""},
		`<testsuite failures="NaN" errors="+Inf"><testcase name="a"/></testsuite>`:                                                       {"", ""},
		`<testsuites failures="1" errors="1"><testsuite failures="1" errors="1" tests="1"><testcase name="a"/></testsuite></testsuites>`: {failures, ""},
	} {
		var said []string
		f, _, suites, err := readString(doc)
		require.NoError(t, err)
		hidden := ""
		for _, s := range append(suites, &f.Outer) {
			if s.Contradiction != "" {
				said = append(said, s.Contradiction)
			}
			if s != &f.Outer {
				hidden += s.Hidden()
			}
		}
		if want.said == "" {
			require.Empty(t, said, doc)
		} else {
			require.Equal(t, []string{want.said}, said, doc)
		}
		require.Equal(t, want.hidden, hidden, doc)
	}
	f, _, _, err := readString(`<testsuites errors="3"><testcase name="a"/></testsuites>`)
	require.NoError(t, err)
	require.Contains(t, f.Outer.Contradiction, "3 errors")
	_, _, suites, _ := readString(`<testsuite failures="1"><testcase name="a"/>`)
	require.Empty(t, suites[0].Contradiction, "cut off: the failure may have come later, and the file is red already")
}
