package publish

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/changed"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// One onset per case, with the same date and commit for every reader, and the commits
// that it may have come with.
func TestWhoBrokeIt(t *testing.T) {
	t.Parallel()
	d := regressionDocument()
	c := &d.Cases[0]
	at := c.Metrics[0].Series[57]
	c.Together = &verdict.Case{Series: 2, Alarm: true, Onset: &verdict.Onset{Run: at.ID, Time: at.Time, Commit: "badc0ffee0ddf00d", Good: "900dc0ffee0ddf00"}}
	for i := range c.Metrics {
		c.Metrics[i].Onset = at.ID
	}
	c.Suspects = &report.Suspects{Good: "900dc0ffee0ddf00", Bad: "badc0ffee0ddf00d", URL: "https://git.example.com/compare/900d...badc", Commits: []string{"badc0ff slow <b>kernel</b>", "abcdef0 other", "1234567 third"}}
	c.Changed = &changed.Difference{Text: "Together with the commit changed: driver 580.95.05 → <b>590</b>.", Facts: 12, Before: 10, Since: 1}
	fault.Set(&d)
	began := report.Began(*c)
	require.Equal(t, "probably began with the run of "+at.Time.UTC().Format("2 Jan 15:04")+" (commit badc0ffee0); the run before was of 900dc0ffee", began)
	dir, _ := written(t, d)
	page, err := os.ReadFile(filepath.Join(dir, casePath(*c)))
	require.NoError(t, err)
	plain := strings.NewReplacer("\\", "", "\u200b", "", "&lt;", "<", "&gt;", ">")
	for output, text := range map[string]string{"console": Console(d, "/r", Style{}), "summary": Summary(d), "page": string(page)} {
		text = plain.Replace(text)
		require.Contains(t, text, began, output)
		require.Contains(t, text, "commits behind 900dc0ffee up to badc0ffee0: https://git.example.com/compare/900d...badc", output)
		require.Contains(t, text, "badc0ff slow <b>kernel</b>", output)
		require.Contains(t, text, "Together with the commit changed: driver 580.95.05 → <b>590</b>.", output)
	}
	overview, err := os.ReadFile(filepath.Join(dir, "index.html"))
	require.NoError(t, err)
	require.Contains(t, string(overview), "badc0ff slow &lt;b&gt;kernel&lt;/b&gt;")
	require.NotContains(t, string(page), "<b>kernel")
	require.Contains(t, Console(d, "/r", Style{}), "… and 1 more")
	c.Together.Onset.Run = c.Metrics[0].Series[60].ID
	require.Empty(t, report.Began(*c), "this run is the first")
}

// What is proven on the same machines stays said where all runs of B were on suspect ones.
func TestPairedOnSuspectMachines(t *testing.T) {
	t.Parallel()
	c := regressionDocument().Cases[0]
	c.AB = &ab.Session{Verdict: paired.Regression}
	require.Equal(t, "B is slower than A on the same machines: the change under test is the cause.", fault.Of(c))
	c.Machine = "The machine, probably: GPU 3 of node07 was hot. That was so in 4 of 4 runs of B, and in none of A."
	require.Equal(t, "B is slower than A on the same machines: the change under test is the first suspect. "+c.Machine, fault.Of(c))
	c.AB.Apart = "A is no ancestor of B"
	require.Equal(t, "B is slower than A on the same machines; A is no ancestor of B. "+c.Machine, fault.Of(c))
}

// A regression in a report of which a part could not be written is told beside that.
func TestRegressionBesideWhatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	d := fault.Decide(report.Run{Unwritten: []string{"junit.xml: no room"}}, regressionDocument().Cases)
	dir, _ := written(t, d)
	index, err := os.ReadFile(filepath.Join(dir, rundir.ReportIndex))
	require.NoError(t, err)
	for output, text := range map[string]string{"console": Console(d, "/r", Style{}), "summary": Summary(d), "index": string(index)} {
		require.Contains(t, text, "A part of the report could not be written", output)
		require.Contains(t, text, "This run is slower than its baseline", output)
	}
}

// A regression on a suspect machine is told as probably the machine's wherever people look, and not as the change's.
func TestTheMachineProbably(t *testing.T) {
	t.Parallel()
	const hot = "The machine, probably: GPU 3 of node07 ran at 1,410 MHz of 1,980 for 62 % of the benchmark."
	for name, tt := range map[string]struct {
		edit func(*report.CaseReport)
		want string
	}{
		"new": {func(c *report.CaseReport) { c.Machine = hot }, hot},
		"open": {func(c *report.CaseReport) {
			c.Machine = "It began with a run on a suspect machine: GPU 3 of node07 was slowed down for its heat."
			c.Together = &verdict.Case{Open: true, Since: c.Metrics[0].Series[58].ID}
		}, "It began with a run on a suspect machine: GPU 3 of node07 was slowed down for its heat."},
		"open, with its onset": {func(c *report.CaseReport) {
			c.Machine = "It began with a run on a suspect machine: GPU 3 of node07 was slowed down for its heat."
			since := c.Metrics[0].Series[58]
			c.Together = &verdict.Case{Open: true, Since: since.ID, Onset: &verdict.Onset{Run: since.ID, Time: since.Time}}
		}, "It began with a run on a suspect machine: GPU 3 of node07 was slowed down for its heat."},
		"not sure": {func(c *report.CaseReport) {
			c.Machine, c.Result, c.ExitCode, c.Verdict = hot, report.ResultNoVerdict, 5, verdict.Inconclusive
		}, hot},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := regressionDocument()
			c := &d.Cases[0]
			tt.edit(c)
			d.Decision = report.Ending(c.ExitCode)
			c.Attempts[0].Machine = &rundir.Machine{
				Cards:    []rundir.Card{{Node: "node07", Index: 3, UUID: "GPU-3-uuid", Name: "NVIDIA H200", SM: 1410, Temp: 88, Capped: ptr(0.4)}},
				Suspects: []rundir.Suspicion{{Text: "GPU 3 of node07 ran <slowly>"}},
			}
			fault.Set(&d)
			dir, _ := written(t, d)
			page, err := os.ReadFile(filepath.Join(dir, casePath(*c)))
			require.NoError(t, err)
			for _, text := range []string{"GPU-3-uuid", "1410 MHz", "88 °C", "40 %", "; GPU 3 of node07 ran &lt;slowly&gt;"} {
				require.Contains(t, string(page), text)
			}
			index, err := os.ReadFile(filepath.Join(dir, rundir.ReportIndex))
			require.NoError(t, err)
			for output, text := range map[string]string{"console": Console(d, "/r", Style{}), "summary": strings.ReplaceAll(Summary(d), "\\", ""), "page": string(page), "index": string(index)} {
				require.Contains(t, text, tt.want, output)
				require.NotContains(t, text, "first suspect", output)
			}
		})
	}
}
