package merge

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// TestReadOnce: what becomes of an input once it has been read changes nothing.
func TestReadOnce(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "in.xml", suiteDoc("s", `<testcase classname="c" name="a"/>`, `<testcase name="b"><failure message="m"/></testcase>`))
	m := started(t, Input{Files: []File{{Path: path}}}, Options{})
	require.NoError(t, m.read(0))
	require.NoError(t, os.Remove(path))
	var out bytes.Buffer
	_, err := m.write(&out)
	require.NoError(t, err)
	require.Contains(t, out.String(), `<testcase classname="c" name="a"/>`)
	require.Contains(t, out.String(), `<testcase classname="s" name="b" time="0.000000"><failure message="m">`)
}

// started is a merge that has read nothing yet.
func started(t *testing.T, in Input, o Options) *merger {
	t.Helper()
	m, err := newMerger(in, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.spool.Close()) })
	return m
}

// TestAuditRejects: a report that reads otherwise than it was decided is kept under
// another name, and a red one stands in for it.
func TestAuditRejects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, dir, "in.xml", suiteDoc("s", `<testcase classname="c" name="a"><failure message="m"/></testcase>`))
	out := filepath.Join(dir, "junit.xml")
	m := started(t, Input{Name: "n", Files: []File{{Path: path}}}, Options{Audit: true})
	require.NoError(t, m.read(0))
	m.name()
	m.suites[0].entries[0].status = 0 // decided to be green, and copied as it is
	err := m.place(out)
	require.ErrorIs(t, err, junit.ErrAudit)
	require.Contains(t, contents(t, out+rejected), `name="a"`)
	c := one(t, out)
	require.Equal(t, "ci-disagg.internal", c.Results[0].Type)
}

// TestStreams: standard input, pipes and other encodings are read from the spool.
func TestStreams(t *testing.T) {
	t.Parallel()
	latin := "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite name='s'><testcase classname='c' name='\xe9'/></testsuite>"
	path := write(t, t.TempDir(), "latin.xml", latin)
	out := filepath.Join(t.TempDir(), "merged.xml")
	in := Input{Name: "merged", Files: []File{
		{Path: "-", Shown: "(standard input)", Content: strings.NewReader(suiteDoc("s", `<testcase classname="c" name="in"><failure message="m"/></testcase>`))},
		{Path: path, Shown: "latin.xml"},
	}}
	sum, err := Files(in, out, Options{Audit: true})
	require.NoError(t, err)
	require.Equal(t, junit.Counts{Tests: 2, Failures: 1}, sum.Counts)
	require.Contains(t, contents(t, out), `name='é'`)
}

// TestAttachments: relative paths begin at the report, absolute ones and addresses
// stay.
func TestAttachments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := "x [[ATTACHMENT|shot.png]] [[ATTACHMENT|/ws/a.png]] [[ATTACHMENT|https://x/y.png]]"
	path := write(t, dir, "sub/in.xml", suiteDoc("s", `<testcase classname="c" name="a"><system-out>`+text+`</system-out></testcase>`))
	out := filepath.Join(dir, "junit.xml")
	_, err := Files(Input{Files: []File{{Path: path}}}, out, Options{Dir: dir, NoCaps: true})
	require.NoError(t, err)
	require.Equal(t, "x [[ATTACHMENT|sub/shot.png]] [[ATTACHMENT|/ws/a.png]] [[ATTACHMENT|https://x/y.png]]", one(t, out).SystemOut[0])
	again := filepath.Join(dir, "again.xml")
	_, err = Files(Input{Files: []File{{Path: out}}}, again, Options{Dir: dir, NoCaps: true})
	require.NoError(t, err)
	require.Equal(t, contents(t, out), contents(t, again))
}

// TestNothingLost: what suites, roots and hosts say is in the report.
func TestNothingLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	host := func(h, gpu string) string {
		return write(t, dir, h+".xml", `<testsuites name="all tests" run="7"><testsuite name="o" id="3" owner="me"><testsuite name="s" hostname="`+h+`" assertions="4" timestamp="soon">`+
			`<properties><property name="gpu" value="`+gpu+`"/><property name="os" value="linux"/></properties><testcase classname="c" name="`+h+`"/></testsuite></testsuite></testsuites>`)
	}
	sum, out := mergeFiles(t, Options{Labels: []junit.Property{{Name: "py", Value: "3"}}}, false, host("h1", "A"), host("h2", "B"))
	doc := contents(t, out)
	for _, want := range []string{
		`<testsuite name="s [py=3]"`, `assertions="8"`, `timestamp="soon"`, `name="gpu@h1" value="A"`, `name="gpu@h2" value="B"`, `name="os" value="linux"`,
		`name="hostname" value="h1"`, `name="testsuites.name" value="all tests"`, `name="testsuites.run" value="7"`, `name="outer.name" value="o"`,
		`name="outer.owner" value="me"`, `name="py" value="3"`, `<testcase classname="py=3.c" name="h1"`,
	} {
		require.Contains(t, doc, want)
	}
	require.Equal(t, 1, strings.Count(doc, `value="linux"`))
	require.Contains(t, strings.Join(sum.Warnings, "\n"), `suite "s" has the timestamp "soon", which is none`)
	_, again := mergeFiles(t, Options{Labels: []junit.Property{{Name: "py", Value: "3"}}}, false, out)
	require.Equal(t, doc, contents(t, again))
}

// TestLabels: merged cells of a matrix have no test in common, by class and name.
func TestLabels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := write(t, dir, "in.xml", suiteDoc("s", `<testcase classname="c" name="t"/>`, `<testcase name="u"/>`)+`<testsuite name="s"><error message="m"/></testsuite>`)
	empty := write(t, dir, "empty.xml", "")
	var cells []string
	for _, value := range []string{"3.10", "3.11"} {
		_, out := mergeFiles(t, Options{Labels: []junit.Property{{Name: "py", Value: value}}}, false, in, empty)
		cell := filepath.Join(dir, value+".xml")
		require.NoError(t, os.Rename(out, cell))
		cells = append(cells, cell)
	}
	sum, out := mergeFiles(t, Options{}, false, cells...)
	require.Equal(t, junit.Counts{Tests: 8, Errors: 4}, sum.Counts)
	require.Empty(t, sum.Warnings)
	require.NotNil(t, find(t, out, "s [py=3.10]", "t"))
	var got []string
	_, cases := read(t, out)
	for _, c := range cases {
		got = append(got, c.Classname+"."+c.Name)
	}
	require.Subset(t, got, []string{
		"py=3_10.c.t", "py=3_11.c.t", "py=3_10.s.u", "py=3_11.s.u", "py=3_10.s.(suite)", "py=3_11.s.(suite)",
		"py=3_10.merged.lifecycle.files.empty.xml", "py=3_11.merged.lifecycle.files.empty.xml",
	})
}

// TestFoldReruns: later files repeat what earlier ones left red, in order of time.
func TestFoldReruns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	doc := func(at, inner string) string {
		return fmt.Sprintf(`<testsuite name="s" timestamp="2026-01-01T%s:00"><testcase classname="c" name="t">%s</testcase></testsuite>`, at, inner)
	}
	red := write(t, dir, "2.xml", doc("10:00", `<failure message="first"/>`))
	green := write(t, dir, "1.xml", doc("11:00", ""))
	sum, out := mergeFiles(t, Options{FoldReruns: true}, false, red, green)
	require.Equal(t, junit.Counts{Tests: 1}, sum.Counts)
	require.Equal(t, "[attempt 1 of 2] first", one(t, out).Reruns[0].Message)
	sum, _ = mergeFiles(t, Options{FoldReruns: true, Flaky: fold.Fail}, false, red, green)
	require.Equal(t, junit.Counts{Tests: 1, Failures: 1}, sum.Counts)
	sum, _ = mergeFiles(t, Options{}, false, red, green)
	require.Equal(t, junit.Counts{Tests: 1, Failures: 1}, sum.Counts, "never by itself")
}

// TestFoldRerunsUntimed: where nobody can tell which file came last, the worst result counts, and the case says why.
func TestFoldRerunsUntimed(t *testing.T) {
	t.Parallel()
	const pass, fail, skip, noon = "", `<failure message="x"/>`, `<skipped message="gpu gone"/>`, `timestamp="2026-01-01T12:00:00"|`
	green, red, skipped := junit.Counts{Tests: 1}, junit.Counts{Tests: 1, Failures: 1}, junit.Counts{Tests: 1, Skipped: 1}
	for name, tt := range map[string]struct {
		o      Options
		bodies []string // of the test in 1.xml, 2.xml, …: "attributes|body"
		counts junit.Counts
		why    string
	}{
		"the last has no time":            {Options{}, []string{noon + pass, "|" + fail}, red, "2.xml has no timestamp that can be read"},
		"the last has one that is none":   {Options{}, []string{noon + pass, `timestamp="yesterday"|` + fail}, red, "2.xml has no timestamp that can be read"},
		"the first has none":              {Options{}, []string{"|" + fail, noon + pass}, red, "1.xml has no timestamp that can be read"},
		"none has one":                    {Options{}, []string{"|" + fail, "|" + pass}, red, "1.xml has no timestamp that can be read"},
		"the same time":                   {Options{}, []string{noon + fail, noon + pass}, red, "1.xml and 2.xml have the same timestamp"},
		"the same time in other words":    {Options{}, []string{`timestamp="2026-01-01T11:00:00Z"|` + fail, `timestamp="2026-01-01T12:00:00+01:00"|` + pass}, red, "the same timestamp"},
		"two of three at the same time":   {Options{}, []string{noon + fail, noon + pass, `timestamp="2026-01-01T13:00:00"|` + pass}, red, "1.xml and 2.xml have the same timestamp"},
		"one time has a zone":             {Options{}, []string{noon + fail, `timestamp="2026-01-01T13:00:00Z"|` + pass}, red, "of the times in 1.xml and 2.xml some have a zone and some have none"},
		"both times have a zone":          {Options{}, []string{`timestamp="2026-01-01T12:00:00+02:00"|` + fail, `timestamp="2026-01-01T11:00:00Z"|` + pass}, green, ""},
		"nothing to tell apart":           {Options{}, []string{"|" + pass, "|" + pass}, green, ""},
		"failed, then skipped":            {Options{}, []string{"|" + fail, "|" + skip}, red, "1.xml has no"},
		"skipped, then passed":            {Options{}, []string{"|" + skip, "|" + pass}, skipped, "1.xml has no"},
		"named: failed, then passed":      {Options{AsNamed: true}, []string{"|" + fail, "|" + pass}, green, ""},
		"named: passed, then failed":      {Options{AsNamed: true}, []string{"|" + pass, "|" + fail}, red, ""},
		"named: that is what counts":      {Options{AsNamed: true}, []string{`timestamp="2026-01-01T13:00:00"|` + fail, noon + pass}, green, ""},
		"failed, then skipped twice":      {Options{AsNamed: true}, []string{"|" + fail, "|" + skip, "|" + skip}, red, ""},
		"failed, passed, then skipped":    {Options{AsNamed: true}, []string{"|" + fail, "|" + pass, "|" + skip}, skipped, ""},
		"skipped, then failed":            {Options{AsNamed: true}, []string{"|" + skip, "|" + fail}, red, ""},
		"not passed where flaky is red":   {Options{AsNamed: true, Flaky: fold.Fail}, []string{"|" + fail, "|" + pass, "|" + skip}, red, ""},
		"skipped, where flaky is skipped": {Options{AsNamed: true, Flaky: fold.Skip}, []string{"|" + fail, "|" + skip}, red, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var paths []string
			for i, b := range tt.bodies {
				attrs, inner, _ := strings.Cut(b, "|")
				doc := fmt.Sprintf(`<testsuite name="s" %s><testcase classname="c" name="t">%s</testcase></testsuite>`, attrs, inner)
				paths = append(paths, write(t, dir, fmt.Sprintf("%d.xml", i+1), doc))
			}
			tt.o.FoldReruns = true
			sum, out := mergeFiles(t, tt.o, false, paths...)
			require.Equal(t, tt.counts, sum.Counts)
			said := strings.Join(append(one(t, out).SystemOut, sum.Warnings...), "\n")
			if require.Contains(t, said, tt.why); tt.why != "" {
				require.Equal(t, 2, strings.Count(said, "which result came last is not known, so the worst counts"), "the case says it, and a warning")
			} else {
				require.NotContains(t, said, "not known")
			}
			if sum.Counts.Passed() == 0 {
				require.NotContains(t, contents(t, out), "passed on attempt")
				require.NotContains(t, contents(t, out), `name="flaky"`)
			}
		})
	}
}

// TestFoldRerunsInOneFile: the attempts of one file stand there in their order, and need no time.
func TestFoldRerunsInOneFile(t *testing.T) {
	t.Parallel()
	const doc = `<testsuite name="pytest" tests="1"><testcase classname="c" name="t"><failure message="x"/></testcase><testcase classname="c" name="t"/></testsuite>`
	sum, _ := mergeFiles(t, Options{FoldReruns: true}, false, write(t, t.TempDir(), "a.xml", doc))
	require.Equal(t, junit.Counts{Tests: 1}, sum.Counts)
	require.Empty(t, sum.Warnings)
}

// TestUnsure: where a suite's own count does not tell, the worse reading counts.
func TestUnsure(t *testing.T) {
	t.Parallel()
	const pass, fail = `<testcase classname="c" name="t"/>`, `<testcase classname="c" name="t"><failure/></testcase>`
	for name, tt := range map[string]struct {
		doc    string
		o      Options
		counts junit.Counts
	}{
		"no count":                    {suiteDoc("pytest", fail, pass), Options{}, junit.Counts{Tests: 1, Failures: 1}},
		"no count, passed twice":      {suiteDoc("pytest", pass, pass), Options{}, junit.Counts{Tests: 1}},
		"no count, flaky is red":      {suiteDoc("pytest", pass, pass), Options{Flaky: fold.Fail}, junit.Counts{Tests: 1, Failures: 1}},
		"cut off":                     {`<testsuite name="pytest" tests="1">` + fail + pass, Options{}, junit.Counts{Tests: 2, Failures: 1, Errors: 1}},
		"all counted, flaky is red":   {pytestDoc(2, pass, pass), Options{Flaky: fold.Fail}, junit.Counts{Tests: 1}},
		"the runner says it is flaky": {suiteDoc("x", `<testcase classname="c" name="t"><flakyFailure type="t"/></testcase>`), Options{Flaky: fold.Fail}, junit.Counts{Tests: 1, Failures: 1}},
		"and may be":                  {suiteDoc("x", `<testcase classname="c" name="t"><flakyFailure type="t"/></testcase>`), Options{}, junit.Counts{Tests: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum, _ := mergeFiles(t, tt.o, false, write(t, t.TempDir(), "a.xml", tt.doc))
			require.Equal(t, tt.counts, sum.Counts)
		})
	}
}

// TestCopied: cases that need no change stand in the report byte by byte.
func TestCopied(t *testing.T) {
	t.Parallel()
	const odd = `<testcase  name='a'   classname="c" time="1.25" ><system-out>x &lt; y</system-out ></testcase >`
	_, out := mergeFiles(t, Options{}, false, write(t, t.TempDir(), "a.xml", suiteDoc("s", odd)))
	require.True(t, bytes.Contains([]byte(contents(t, out)), []byte("\n    "+odd+"\n")))
}
