package merge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCaps: cut text keeps head and tail, says how much is missing and where it
// is, and never in the middle of a character. Without caps nothing is cut.
func TestCaps(t *testing.T) {
	t.Parallel()
	long := "HEAD" + strings.Repeat("é", 300_000) + "TAIL"
	message := strings.Repeat("long message ", 100)
	doc := suiteDoc("s",
		`<testcase classname="c" name="pass"><system-out>`+long+`</system-out></testcase>`,
		`<testcase classname="c" name="fail"><failure message="`+message+"&#10;second"+`">`+long+`</failure><system-out>`+long+`</system-out></testcase>`)
	path := write(t, t.TempDir(), "in.xml", doc)
	sum, out := mergeFiles(t, Options{}, false, path)
	_, cases := read(t, out)
	for _, tt := range []struct {
		text  string
		limit int
	}{{cases[0].SystemOut[0], 1 << 10}, {cases[1].SystemOut[0], 96 << 10}, {cases[1].Results[0].Text, 32 << 10}} {
		require.LessOrEqual(t, len(tt.text), tt.limit)
		require.Greater(t, len(tt.text), tt.limit-8)
		require.Regexp(t, `\[\.\.\. \d+ bytes cut; all of it: in\.xml \.\.\.\]`, tt.text)
		require.True(t, strings.HasSuffix(tt.text, "éTAIL"))
		require.NotContains(t, tt.text, "\uFFFD")
	}
	require.True(t, strings.HasPrefix(cases[0].SystemOut[0], "HEADé"))
	require.True(t, strings.HasPrefix(cases[1].Results[0].Text, message), "the whole message stands in the body")
	require.Len(t, []rune(cases[1].Results[0].Message), 400)
	require.Positive(t, sum.Cut)

	sum, out = mergeFiles(t, Options{NoCaps: true}, false, path)
	_, cases = read(t, out)
	require.Equal(t, long, cases[0].SystemOut[0], "no caps")
	require.Equal(t, long, cases[1].Results[0].Text)
	require.Equal(t, message+"\nsecond", cases[1].Results[0].Message)
	require.Zero(t, sum.Cut)

	sum, out = mergeFiles(t, Options{Caps: Caps{PassOut: 1 << 20, FailOut: 1 << 20, Body: 1 << 20, File: 1 << 20}}, false, path)
	_, cases = read(t, out)
	require.Len(t, cases, 2)
	require.Regexp(t, `^HEAD.*\n\[\.\.\. \d+ bytes cut; all of it: in\.xml \.\.\.\]\n.*TAIL$`, cases[0].SystemOut[0])
	require.Less(t, len(cases[0].SystemOut[0]), 129)
	require.Contains(t, sum.Warnings[0], "bytes of text were left out")
	require.Regexp(t, `\[\.\.\. \d+ bytes cut; all of it: in\.xml \.\.\.\]`, cases[1].Results[0].Text, "red cases lose the least")
	require.LessOrEqual(t, sum.Bytes, int64(1<<20))
	require.Greater(t, len(cases[1].Results[0].Text), 2000)
	require.Len(t, sum.Warnings, 1)
}

// TestSizeLimit: whatever the texts stand in, the report gets as small as it has
// to; where its cases alone are larger, a warning says so.
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 20_000)
	o := Options{Caps: Caps{PassOut: 1 << 20, File: 100_000}}
	for name, inner := range map[string]string{
		"passed":  `<testcase classname="c" name="t%d"><system-out>` + text + `</system-out><system-err>` + text + `</system-err></testcase>`,
		"skipped": `<testcase classname="c" name="t%d"><skipped message="m">` + text + `</skipped></testcase>`,
		"flaky":   `<testcase classname="c" name="t%d"><flakyFailure type="t">` + text + `</flakyFailure></testcase>`,
		"red":     `<testcase classname="c" name="t%d"><failure message="m">` + text + `</failure><error/><system-out>` + text + `</system-out></testcase>`,
		"suite":   `<testcase classname="c" name="t%d"/><system-out>` + text + `</system-out>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var doc strings.Builder
			for i := range 20 {
				fmt.Fprintf(&doc, "<testsuite name='s'>"+inner+"</testsuite>", i)
			}
			sum, out := mergeFiles(t, o, false, write(t, t.TempDir(), "in.xml", "<testsuites>"+doc.String()+"</testsuites>"))
			require.Equal(t, 20, sum.Out)
			require.LessOrEqual(t, sum.Bytes, o.Caps.File)
			require.Contains(t, contents(t, out), "all of it: in.xml")
			require.Len(t, sum.Warnings, 1)
			require.Positive(t, sum.Cut)
		})
	}
	var many strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&many, `<testcase classname="c" name="t%d"/>`, i)
	}
	sum, _ := mergeFiles(t, o, false, write(t, t.TempDir(), "many.xml", suiteDoc("s", many.String())))
	require.Equal(t, 5_000, sum.Out)
	require.Len(t, sum.Warnings, 1)
	require.Regexp(t, `^the report has \d+ bytes, more than 100000`, sum.Warnings[0])
}
