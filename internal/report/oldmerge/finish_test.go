package merge

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// TestVerify: what was written is read back, and is not only as many cases but the same.
func TestVerify(t *testing.T) {
	t.Parallel()
	b := newBook("", Options{})
	for _, suite := range []string{"s1", "s\x00two"} {
		s := b.addSuite(suite)
		for _, c := range []junit.Case{
			{Classname: "c", Name: "good"},
			{Classname: "c", Name: "b\x1bd", Results: []junit.Result{{Status: junit.Failed}}},
			{Classname: "d", Name: "left out", Results: []junit.Result{{Status: junit.Skipped}}},
		} {
			require.NoError(t, b.put(s, &c, "", 0, 0))
		}
	}
	require.NoError(t, b.enc.Flush())
	doc := b.document("x")
	var out bytes.Buffer
	require.NoError(t, junit.WriteDocument(&out, doc, junit.WriteOptions{}))
	check := func(text string) error {
		return verify(readerAtWriter{strings.NewReader(text)}, int64(len(text)), "x", doc.Counts, b.identity())
	}
	require.NoError(t, check(out.String()))
	for _, change := range [][2]string{
		{`name="good"`, `name="god"`},
		{`classname="c"`, `classname="e"`},
		{`<testsuite name="s1"`, `<testsuite name="s2"`},
		{`<skipped message=""></skipped>`, ""},
	} {
		text := strings.Replace(out.String(), change[0], change[1], 1)
		require.NotEqual(t, out.String(), text, change)
		require.Error(t, check(text), change)
	}
	swapped := strings.NewReplacer(`name="good"`, `name="b`+"\uFFFD"+`d"`, `name="b`+"\uFFFD"+`d"`, `name="good"`).Replace(out.String())
	require.ErrorContains(t, check(swapped), "other results", "the counts are the same")
}

// readerAtWriter is a file that was written.
type readerAtWriter struct{ *strings.Reader }

func (readerAtWriter) Write([]byte) (int, error) { return 0, nil }
