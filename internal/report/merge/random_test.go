package merge

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// documents makes up JUnit files of everything that a runner may write, and of
// some that it may not.
type documents struct{ *rand.Rand }

func (d documents) one(of ...string) string { return of[d.IntN(len(of))] }

func (d documents) maybe(p float64, s string) string {
	if d.Float64() < p {
		return s
	}
	return ""
}

func (d documents) many(n int, f func() string) string {
	var b strings.Builder
	for range d.IntN(n + 1) {
		b.WriteString(f())
	}
	return b.String()
}

func (d documents) name() string {
	return d.one("t", "u", "t[a-b]", "t[a.b]", "x.y", "", " ", "é", "&quot;&lt;&amp;>", "t\x1b[0m", "pkg.mod.t", strings.Repeat("n", 300))
}

func (d documents) text() string {
	return d.one("", "x", "a < b", "]]&gt;", "<![CDATA[<z>]]]]><![CDATA[>]]>", strings.Repeat("line\n", d.IntN(400)), "\x1b[31mred", "#x1B[0m", "&#27;", "&nbsp;", "\r\n", "<b>bold</b>")
}

func (d documents) child() string {
	name := d.one("failure", "error", "skipped", "system-out", "system-err", "flakyFailure", "rerunError", "foo", "properties")
	if name == "properties" {
		return "<properties>" + d.many(3, func() string {
			return fmt.Sprintf(`<property name="%s" value="%s"/>`, d.name(), d.one("a", "b"))
		}) + "</properties>"
	}
	attrs := d.maybe(0.5, ` message="`+d.one(d.name(), "failed on teardown with x")+`"`) + d.maybe(0.3, ` type="T"`) + d.maybe(0.1, ` extra="1"`)
	return "<" + name + attrs + ">" + d.maybe(0.2, "<stackTrace>"+d.text()+"</stackTrace>") + d.text() + "</" + name + ">"
}

func (d documents) testCase() string {
	return "<testcase" + d.maybe(0.9, ` name="`+d.name()+`"`) + d.maybe(0.7, ` classname="`+d.one("c", "a/b", "a:b", "p.q", "")+`"`) +
		d.maybe(0.5, ` time="`+d.one("1.5", "-1", "NaN", "1,234.5", "0,5", "00:01:02", "1e9", "")+`"`) + ">" + d.many(3, d.child) + d.maybe(0.1, d.text()) + "</testcase>"
}

func (d documents) suite() string {
	attrs := d.maybe(0.9, ` name="`+d.one("s", "pytest", "s.t", "merged.lifecycle", "")+`"`) + d.maybe(0.2, ` package="p"`) +
		d.maybe(0.4, ` timestamp="`+d.one("2026-01-01T00:00:00", "2026-01-01T05:00:00.5+02:00", "bad")+`"`) +
		d.maybe(0.4, ` time="`+d.one("1", "1,000.5", "x")+`"`) + d.maybe(0.4, fmt.Sprintf(` tests="%d"`, d.IntN(5))) + d.maybe(0.3, ` hostname="`+d.one("h1", "h2")+`"`)
	return "<testsuite" + attrs + ">" + d.many(6, d.testCase) + d.many(2, d.child) + d.maybe(0.2, "<testsuite name='s'>"+d.testCase()+"</testsuite>") + "</testsuite>"
}

func (d documents) document() string {
	doc := d.many(3, d.suite)
	if d.Float64() < 0.7 {
		doc = `<testsuites name="` + d.one("x", "pytest tests") + `">` + doc + "</testsuites>"
	}
	if d.Float64() < 0.2 {
		doc = doc[:d.IntN(len(doc)+1)]
	}
	return doc
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return strings.Join(append(x[min(len(x), len(y)):], y[min(len(x), len(y)):]...), "\n")
}

// TestRandomDocuments: whatever the files say, no case is lost, the order of the
// files does not matter, the report is well-formed, and merging it again changes
// nothing.
func TestRandomDocuments(t *testing.T) {
	t.Parallel()
	var reports []string
	for seed := range uint64(160) {
		d := documents{rand.New(rand.NewPCG(seed, 5))} //nolint:gosec // the same in every run
		dir := t.TempDir()
		var paths []string
		for i := range 1 + d.IntN(4) {
			paths = append(paths, write(t, dir, fmt.Sprintf("%d.xml", i), d.document()))
		}
		o := Options{
			NoCaps: seed%3 == 0, Flaky: []Policy{"", fold.Skip, fold.Fail}[seed%3], FoldReruns: seed%7 == 0,
			Empty: []Policy{"", fold.Skip, fold.Pass}[seed/3%3],
		}
		if seed%4 == 0 {
			o.Labels = []junit.Property{{Name: "os", Value: "a.b"}, {Name: "py", Value: "<3>"}}
		}
		noFold := seed%5 == 0 && !o.FoldReruns
		sum, out := mergeFiles(t, o, noFold, paths...)
		slices.Reverse(paths)
		turned, other := mergeFiles(t, o, noFold, paths...)
		require.Empty(t, firstDifference(contents(t, out), contents(t, other)), "seed %d: order", seed)
		require.Equal(t, sum, turned)
		_, again := mergeFiles(t, o, noFold, out)
		require.Empty(t, firstDifference(contents(t, out), contents(t, again)), "seed %d: merged twice", seed)
		goJUnitAgrees(t, out, sum.Counts)
		report := filepath.Join(dir, "report.xml")
		require.NoError(t, os.Rename(out, report))
		reports = append(reports, report)
	}
	xmllint(t, reports...)
	readersAgree(t, reports...)
}
