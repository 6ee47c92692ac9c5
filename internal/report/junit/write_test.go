package junit

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func written(t *testing.T, c *Case) string {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	w.Case(c)
	require.NoError(t, w.w.Flush())
	require.EqualValues(t, b.Len(), w.Size())
	return b.String()
}

// wellFormed has encoding/xml read a text.
func wellFormed(t *testing.T, doc string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, doc)
	}
}

// TestWriteTexts: whatever a text holds, the case is well-formed and reads back.
func TestWriteTexts(t *testing.T) {
	t.Parallel()
	texts := []string{"", "plain", "a]]>b", "]]>", "]]>]]>x", "<&\"'>\t\n\r\r\n", "\x1b[31mred\x1b[0m", "\x00\xff\ufffe\u2028é", "#x1B[31mred", strings.Repeat("x]]>y<", 2000)}
	for _, text := range texts {
		for _, s := range []Status{Passed, Skipped, Failed, Errored} {
			c := &Case{Name: text, Classname: "c." + text, Time: 1234567 * time.Microsecond, Properties: []Property{{Name: text, Value: text}, {Name: "b", Value: text}}}
			if s != Passed {
				c.Results = []Result{{Status: s, Message: text, Type: text, Text: text, Attrs: []Attr{{"a", text}}}, {Status: s}}
			}
			c.Reruns = []Rerun{{Kind: FlakyError, Message: text, Type: text, StackTrace: text, SystemOut: text, SystemErr: text}}
			c.SystemOut, c.SystemErr = []string{text, "second"}, []string{text}
			out := written(t, c)
			wellFormed(t, out)
			back, err := ReadCase([]byte(strings.TrimSpace(out)))
			require.NoError(t, err)
			require.Equal(t, out, written(t, back))
			require.Equal(t, Clean(text), back.Name)
			require.Equal(t, Clean(text), back.SystemErr[0])
			require.Equal(t, s, back.Status())
		}
	}
}

func TestWriterKeepsItsError(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	w := NewWriter(failing{full})
	w.Begin("x", Counts{}, 0)
	require.ErrorIs(t, w.End(), full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestAudit(t *testing.T) {
	t.Parallel()
	d := &Document{Name: "x", Suites: []DocumentSuite{
		{Suite: Suite{Name: "s\x001", Properties: []Property{{Name: "p", Value: "v"}}}, Cases: []*Case{
			{Classname: "c", Name: "good"},
			{Classname: "c", Name: "b\x1bd", Results: []Result{{Status: Failed, Message: "m"}}},
		}},
		{Suite: Suite{Name: "s2"}, Cases: []*Case{{Classname: "d", Name: "left out", Results: []Result{{Status: Skipped}}}}},
	}}
	var out bytes.Buffer
	_, err := WriteDocument(&out, d)
	require.NoError(t, err)
	require.NoError(t, Audit(bytes.NewReader(out.Bytes()), d.Decisions()))
	for _, change := range [][2]string{
		{`name="good"`, `name="god"`},
		{`classname="c"`, `classname="e"`},
		{`<testsuite name="s2"`, `<testsuite name="s3"`},
		{`<skipped message=""></skipped>`, ""},
		{`<testcase classname="c" name="good" time="0.000000"/>`, ""},
		{`  </testsuite>`, `<testcase name="more"/></testsuite>`},
		{`</testsuites>`, `</testsuite>`},
	} {
		text := strings.Replace(out.String(), change[0], change[1], 1)
		require.NotEqual(t, out.String(), text, change)
		require.ErrorIs(t, Audit(strings.NewReader(text), d.Decisions()), ErrAudit, change)
	}
	var red bytes.Buffer
	_, err = WriteDocument(&red, Rejected("x", "junit.xml.rejected", ErrAudit))
	require.NoError(t, err)
	f, _, _, err := readAll(&red, ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, Counts{Tests: 1, Errors: 1}, f.Counts)
}
