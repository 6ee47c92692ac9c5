package publish

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// FuzzText puts any text where a log, an id or a commit can put it: pages and
// drawings stay well-formed and inert, summary.md bounded, the console short.
func FuzzText(f *testing.F) {
	f.Add(hostile)
	f.Add("]]>\xff\xfe\u2028<![CDATA[")
	f.Add(strings.Repeat("é", 3000))
	f.Fuzz(func(t *testing.T, s string) {
		c := crash(newCase(0), classTest)
		c.ID, c.Message, c.Finding.Line.Text, c.Finding.Root = s, s, s, s
		c.Attempts[0].Roles[0].Name, c.Attempts[0].Roles[0].Tail = s, []string{s}
		m := row(s, s, s, true, past{100, 0.01, 0.2, 5})
		m.Verdict, m.Reason, m.Point = verdict.Regression, s, s
		c.Metrics = append(c.Metrics, m)
		d := document(1, report.ResultTestFailed, s, c)
		page, err := render("case", viewCasePage(d, c))
		require.NoError(t, err)
		require.Empty(t, activeIn(t, page, ".html"))
		index, err := render("index", viewIndex(d))
		require.NoError(t, err)
		require.Empty(t, activeIn(t, index, ".html"))
		drawing, err := HistoryChart(m)
		require.NoError(t, err)
		for _, svg := range [][]byte{drawing, Timeline(c.Attempts[0])} {
			require.Empty(t, activeIn(t, svg, ".svg"))
			dec := xml.NewDecoder(strings.NewReader(string(svg)))
			for err = nil; err == nil; _, err = dec.Token() {
			}
			require.ErrorIs(t, err, io.EOF, "strict XML")
		}
		require.Less(t, len(Summary(d)), summaryLimit)
		require.LessOrEqual(t, strings.Count(Console(d, "/r", Style{}), "\n"), consoleLines)
	})
}
