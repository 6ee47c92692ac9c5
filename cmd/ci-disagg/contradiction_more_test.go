package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/notify"
	"github.com/ci-disagg/ci-disagg/internal/report/owners"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/export"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/runview"
)

// moreOutputs are what others say of a report that has been written: the pages of its cases, list, status, the metrics
// for databases, and the message to a channel.
type moreOutputs struct {
	pages   map[string]string // by slug
	list    runview.List
	listed  string // as people read it
	status  runview.Status
	gauges  map[string]string // sample → value, of OpenMetrics
	bulk    []bulkFields
	message notify.Message
}

type bulkFields struct {
	Case       string `json:"s_case_id"`
	Valid      bool   `json:"b_is_valid"`
	Regression bool   `json:"b_is_regression"`
}

// look runs a verb that looks at what is there.
func look(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	h := newHost()
	h.stdout, h.stderr = &out, &errs
	h.getenv, h.environ = func(string) string { return "" }, func() []string { return nil }
	require.Equal(t, exit.Passed, run(context.Background(), h, args), "%v: %s", args, errs.String())
	return out.String()
}

func (o *outputs) readMore(t *testing.T) {
	t.Helper()
	m := moreOutputs{pages: map[string]string{}, gauges: map[string]string{}}
	for _, c := range o.document.Cases {
		data, err := os.ReadFile(filepath.Join(o.dir.Report(), "cases", c.Slug+".html"))
		require.NoError(t, err)
		m.pages[c.Slug] = string(data)
	}
	dir, parent := string(o.dir), filepath.Dir(string(o.dir))
	m.listed = look(t, "list", "--runs-dir", parent)
	require.NoError(t, json.Unmarshal([]byte(look(t, "list", "--runs-dir", parent, "-o", "json")), &m.list))
	require.NoError(t, json.Unmarshal([]byte(look(t, "status", "-o", "json", dir)), &m.status))
	for line := range strings.Lines(look(t, "report", "--format", export.FormatOpenMetrics, dir)) {
		if end := strings.LastIndex(line, "} "); end > 0 && line[0] != '#' {
			m.gauges[line[:end+1]] = strings.TrimSpace(line[end+2:])
		}
	}
	for line := range strings.Lines(look(t, "report", "--format", export.FormatBulk, dir)) {
		var of bulkFields
		require.NoError(t, json.Unmarshal([]byte(line), &of))
		if of.Case != "" { // else it says where the next one goes
			m.bulk = append(m.bulk, of)
		}
	}
	document, err := export.Read(filepath.Join(o.dir.Report(), rundir.ReportVerdict))
	require.NoError(t, err)
	document.Build.Mode = string(verdict.Nightly) // only then are people told
	m.message, _ = notify.Of(document, owners.Owners{})
	o.more = m
}

// ofOthers are where the further outputs contradict verdict.json.
func (o outputs) ofOthers() []string {
	var out []string
	say := func(output string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			out = append(out, fmt.Sprintf("%s says %v, verdict.json %v", output, got, want))
		}
	}
	ended := fmt.Sprintf("%s (%d)", strings.ReplaceAll(o.document.Result, "_", " "), o.document.ExitCode)
	of := func(r runview.Run) string {
		if r.Exit == nil {
			return string(r.State) + " without a result"
		}
		return fmt.Sprintf("%s (%d)", strings.ReplaceAll(r.Result, "_", " "), *r.Exit)
	}
	say("list -o json", len(o.more.list.Runs), 1)
	for _, r := range o.more.list.Runs {
		say("list -o json", of(r), ended)
	}
	word := first(`(?m)\A([A-Za-z ]+?)  `, o.console)
	say("list", strings.Contains(o.more.listed, fmt.Sprintf("  %s (%d)  ", word, o.document.ExitCode)), true)
	say("the word of status", o.more.status.Word, word)
	say("status", of(o.more.status.Run), ended)
	for name, value := range o.more.gauges {
		if strings.HasPrefix(name, "ci_disagg_exit_code{") {
			say("the OpenMetrics", value, o.document.ExitCode)
		}
	}
	for _, c := range o.document.Cases {
		which := map[bool]string{true: " of the companion case", false: " of the recorded case"}[c.ID == companionCase]
		for _, shown := range o.more.status.List {
			if shown.ID == c.ID {
				say("status"+which, shown.Result, c.Result)
				say("the word of status"+which, shown.Word, labelOf(c))
			}
		}
		page := o.more.pages[c.Slug]
		say("the page"+which, first(`<span class="word">([^<]*)</span>`, page), labelOf(c))
		say("the colour of the page"+which, pageColour(first(`<header class="banner (\w+)">`, page)), colourOf(c.ExitCode))
		say("the exit code on the page"+which, first(`<dt>Exit code</dt><dd>(\d+), if`, page), c.ExitCode)
		for name, value := range o.more.gauges {
			if strings.HasPrefix(name, "ci_disagg_case_exit_code{") && strings.Contains(name, `s_case_id="`+c.ID+`"`) {
				say("the OpenMetrics"+which, value, c.ExitCode)
			}
		}
		regression, measured := false, false
		for _, f := range o.more.bulk {
			if f.Case != c.ID {
				continue
			}
			regression, measured = regression || f.Regression, true
			if !f.Valid && (colourOf(c.ExitCode) == "green" && c.Result != report.ResultKnown || c.Result == report.ResultRegression) {
				out = append(out, "the bulk request"+which+" has a measurement that is not valid, verdict.json "+c.Result)
			}
		}
		if c.Result == report.ResultRegression && measured { // the runs of a session are no measurements
			say("a regression in the bulk request"+which, regression, true)
		}
		for _, f := range o.more.message.Findings {
			if f.Case == c.ID {
				say("the message"+which, "regression", c.Result)
			}
		}
	}
	return out
}

// pageColour is the colour of a banner.
func pageColour(class string) string {
	return map[string]string{"good": "green", "doubt": "amber", "bad": "red", "infra": "red", "none": "green"}[class]
}

// Every further output is there to be compared: a run that regressed is told by all of them.
func TestFurtherOutputsAreRead(t *testing.T) {
	t.Parallel()
	passed := readArchive(t, "../../testdata/runs/passed.txtar")
	o := decideRecorded(t, readArchive(t, "../../testdata/runs/slow.txtar"), passed, policies()[0], nil)
	require.Equal(t, exit.Regression, o.exit)
	require.Contains(t, o.more.listed, "  REGRESSION (4)  ")
	require.Len(t, o.more.status.List, 2)
	require.Equal(t, "4", o.more.gauges[`ci_disagg_exit_code{s_stage_name="nightly"}`], "%v", maps.Keys(o.more.gauges))
	require.NotEmpty(t, o.more.bulk)
	for _, c := range o.document.Cases {
		require.Contains(t, o.more.pages[c.Slug], `<span class="word">`)
	}
}

// A session that has found a regression is not retried, though its job then lost its node: another session would stand
// in for the one that decided.
func TestADecidedSessionIsNotRetried(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	recorded := readArchive(t, "../../testdata/runs/paired-slower.txtar")
	for _, f := range recorded.Files {
		writeRecorded(t, filepath.Join(string(dir), f.Name), f.Data)
	}
	c := recordOf(t, recorded).Cases[0]
	ended := retry.Ended{Plan: rundir.Plan{Case: rundir.Case{Slug: c.Slug}}, Attempt: 1, History: c.Attempts, Outcome: rundir.AttemptOutcome{
		Schema: rundir.Schema, Outcome: rundir.OutcomeInfra, Finding: &rundir.Finding{Class: string(blame.Infra), Kind: blame.KindNodeFail, Message: "a node failed"},
	}}
	require.NoError(t, rundir.WriteJSON(dir.CaseDir(c.Slug).Attempt(0, 1).OutcomeFile(), ended.Outcome))
	require.Equal(t, retry.Again, retry.Default().Decide(t.Context(), ended).Action, "as its record alone would have it")

	rep, err := newReporter(t.Context(), newHost(), configfile.Config{}, started{dir: dir}, false)
	require.NoError(t, err)
	defer rep.Close()
	repeat, stands := decideEnded(t.Context(), rep, &ended)
	require.Equal(t, []any{"", rundir.OutcomePassed}, []any{repeat, stands})
	require.Equal(t, retry.Decision{Action: retry.Done, Why: "passed"}, retry.Default().Decide(t.Context(), ended))
}
