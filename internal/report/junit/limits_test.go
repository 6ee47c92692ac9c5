package junit

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

func TestReadStopsOnError(t *testing.T) {
	t.Parallel()
	doc := "<testsuite>" + strings.Repeat("<testcase name='a'/>", 100_000) + "</testsuite>"
	stop := errors.New("enough")
	n := 0
	_, err := Read(strings.NewReader(doc), "x", ReadOptions{}, Visitor{Case: func(*Case) error {
		if n++; n == 10 {
			return stop
		}
		return nil
	}})
	require.ErrorIs(t, err, stop)
	require.Equal(t, 10, n)

	_, cases, _, err := readAll(io.MultiReader(strings.NewReader("<testsuite><testcase name='a'/>"), iotest.ErrReader(stop)), ReadOptions{})
	var p *Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, Unread, p.Kind)
	require.ErrorIs(t, err, stop)
	require.Len(t, cases, 1)
}

func TestReadLimits(t *testing.T) {
	t.Parallel()
	kind := func(doc string, o ReadOptions) ProblemKind {
		_, _, _, err := readAll(strings.NewReader(doc), o)
		var p *Problem
		require.ErrorAs(t, err, &p)
		return p.Kind
	}
	long := strings.Repeat("x", 1<<20)
	small := ReadOptions{MaxCase: 1 << 18}
	require.Equal(t, TooLarge, kind("<testsuite><testcase><system-out>"+long+"</system-out></testcase></testsuite>", small))
	require.Equal(t, TooLarge, kind("<testsuite><testcase name='"+long+"'/></testsuite>", small))
	require.Equal(t, TooLarge, kind("<testsuite><testcase><flakyError>"+long+"</flakyError></testcase></testsuite>", small))
	require.Equal(t, TooLarge, kind("<testsuite><system-out>"+long+"</system-out></testsuite>", small))
	require.Equal(t, TooLarge, kind("<testsuite>"+strings.Repeat("<testcase/>", 1<<16)+"</testsuite>", ReadOptions{MaxBytes: 1 << 18}))
	require.Equal(t, TooLarge, kind("<testsuite><testcase>"+strings.Repeat("<a/>", maxPieces+10)+"</testcase></testsuite>", ReadOptions{}))
	require.Equal(t, TooLarge, kind("<testsuite"+strings.Repeat(" a='1'", xmltext.MaxAttrs+1)+"/>", ReadOptions{}))
	for _, comment := range []string{"<testsuite><testcase><!--", "<testsuite><!--"} { // one that never ends
		_, _, _, err := readAll(io.MultiReader(strings.NewReader(comment), endless{}), small)
		var p *Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, TooLarge, p.Kind)
	}
	// what a suite says is held until its end, that of the suites around it, too
	half := "<system-out>" + long[:1<<17] + "</system-out>"
	require.Equal(t, TooLarge, kind("<testsuite>"+half+"<testsuite>"+half+"</testsuite></testsuite>", small))
	require.Equal(t, TooLarge, kind("<testsuite>"+strings.Repeat("<system-out/>", 1<<13)+"</testsuite>", small))
	_, cases, _, err := readAll(strings.NewReader("<testsuites>"+strings.Repeat("<testsuite><testcase/>"+half+"</testsuite>", 3)+"</testsuites>"), small)
	require.NoError(t, err, "each on its own is small")
	require.Len(t, cases, 3)
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, strings.Repeat(" ", len(b))), nil }

// TestWindowBorder puts the border of the scanner's window into many places of real
// files, between cases and inside of them: what is read is the same.
func TestWindowBorder(t *testing.T) {
	t.Parallel()
	for _, e := range corpus(t) {
		data := e.bytes(t)
		if len(data) > 20_000 || bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")) {
			continue
		}
		_, want, _, wantErr := readAll(bytes.NewReader(data), ReadOptions{})
		for i := range 7 {
			pad := "<!--" + strings.Repeat(" ", xmltext.WindowSize-len(data)*i/7-4-3) + "-->"
			f, got, _, err := readAll(io.MultiReader(strings.NewReader(pad), bytes.NewReader(data)), ReadOptions{})
			require.Equal(t, wantErr == nil, err == nil, "%s: %v", e.File, err)
			require.Len(t, got, len(want), e.File)
			require.Equal(t, len(got), f.Counts.Tests)
			for j := range got {
				got[j].Offset -= int64(len(pad))
				got[j].Suite, want[j].Suite = nil, nil
				require.Equal(t, want[j], got[j], e.File)
			}
		}
	}
}
