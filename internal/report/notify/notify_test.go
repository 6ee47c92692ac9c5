package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/notify"
	"github.com/ci-disagg/ci-disagg/internal/report/owners"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// nightly has a case of each kind; edit changes the row of the first.
func nightly(edit func(*verdict.Row)) report.Report {
	worse := 0.061
	row := verdict.Row{Metric: "output_token_throughput", Point: "con8", Gate: true, Verdict: verdict.Regression, Worse: &worse, Finding: verdict.Finding{Alarm: true}}
	edit(&row)
	slow := report.CaseReport{ID: "deepseek<b>", Decision: report.Ending(4), Measurement: report.Measurement{
		Metrics:  []verdict.Row{row},
		Together: &verdict.Case{Onset: &verdict.Onset{Good: "3f2a91cdd00", Commit: "8be01d4aa11"}},
	}}
	infra := report.CaseReport{ID: "llama", Decision: report.Ending(3), Outcome: rundir.OutcomeInfra}
	return report.Report{RunID: "n-1", Stage: "perf", Build: rundir.Build{Mode: "nightly", Branch: "main", URL: "https://ci/1"}, Cases: []report.CaseReport{slow, infra}}
}

// server keeps what it was told.
func server(t *testing.T, status int) (url string, told chan string) {
	t.Helper()
	told = make(chan string, 4)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- string(body)
		if status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/services/SECRET", told
}

func TestForms(t *testing.T) {
	t.Parallel()
	who := owners.Owners{"deepseek*": "@moe"}
	for form, want := range map[string][]string{
		"":           {`"case":"deepseek\u003cb\u003e"`, `"owner":"@moe"`, `"worse":0.061`, `"good_commit":"3f2a91cdd00"`, `"build_url":"https://ci/1"`},
		notify.Slack: {`"text":`, "perf: 1 case of 2 cases found a new regression", "@moe:", `deepseek\u0026lt;b\u0026gt;: output_token_throughput at con8, 6.1 % worse, 3f2a91cdd0`},
		notify.Teams: {`"type":"message"`, `application/vnd.microsoft.card.adaptive`, `"TextBlock"`, "6.1 % worse"},
	} {
		url, told := server(t, http.StatusOK)
		h := notify.Hook{URL: url, Owners: who, Config: notify.Config{Form: form}}
		require.NoError(t, h.Send(t.Context(), nightly(func(*verdict.Row) {})))
		body := <-told
		require.True(t, json.Valid([]byte(body)))
		for _, text := range want {
			require.Contains(t, body, text, form)
		}
		require.NotContains(t, body, "llama", "failures of the infrastructure are not told")
	}
}

func TestOnlyNewFindings(t *testing.T) {
	t.Parallel()
	pr := nightly(func(*verdict.Row) {})
	pr.Build.Mode = "pr"
	known := nightly(func(*verdict.Row) {})
	known.Cases[0].Result, known.Cases[0].ExitCode = report.ResultKnown, 0
	for name, r := range map[string]report.Report{
		"known failure": known,
		"open before":   nightly(func(r *verdict.Row) { r.Alarm, r.Open = false, true }),
		"advisory":      nightly(func(r *verdict.Row) { r.Advisory = true }),
		"does not gate": nightly(func(r *verdict.Row) { r.Gate = false }),
		"a pass":        nightly(func(r *verdict.Row) { r.Verdict, r.Alarm = verdict.Pass, false }),
		"pull request":  pr,
	} {
		url, told := server(t, http.StatusOK)
		require.NoError(t, notify.Hook{URL: url}.Send(t.Context(), r), name)
		require.Empty(t, told, name)
	}
	require.NoError(t, notify.Hook{}.Send(t.Context(), nightly(func(*verdict.Row) {})), "nobody is to be told")
}

// A session has no rows: what it blames is what it found, between the two commits that it compared.
func TestWhatASessionFinds(t *testing.T) {
	t.Parallel()
	r := nightly(func(*verdict.Row) {})
	s := &ab.Session{
		Verdict: paired.Regression, Base: &ab.Build{Commit: "ba5e0ba5e0b"}, Head: &ab.Build{Commit: "4ead04ead04"},
		Series: []ab.Found{{Point: "con8", Metric: "ttft_median_ms", Effect: 0.053, Blamed: true}, {Metric: "tpot_median_ms", Effect: 0.01}},
	}
	r.Cases[0].Measurement = report.Measurement{AB: s}
	m, ok := notify.Of(r, nil)
	require.True(t, ok)
	require.Equal(t, []notify.Finding{{Case: "deepseek<b>", Metric: "ttft_median_ms at con8", Worse: 0.053, Good: "ba5e0ba5e0b", Bad: "4ead04ead04"}}, m.Findings)
	broken := verdict.Row{Point: "con8", Metric: "ttft_median_ms", Gate: true, Verdict: verdict.Regression, Finding: verdict.Finding{Alarm: true}}
	other := broken
	other.Metric = "tpot_median_ms"
	for others, rows := range [][]verdict.Row{{broken}, {broken, other}} { // pinned values that it breaks
		r.Cases[0].Metrics = rows
		m, ok = notify.Of(r, nil)
		require.True(t, ok)
		require.Equal(t, others, m.Findings[0].Others, "what is blamed is told once")
	}
	s.Base = nil // nobody knows which commits they were
	m, ok = notify.Of(r, nil)
	require.True(t, ok)
	require.Empty(t, m.Findings[0].Good)
	r.Cases[0].Result = report.ResultNoVerdict
	s.Verdict = paired.Inconclusive
	_, ok = notify.Of(r, nil)
	require.False(t, ok)
}

// TestTheAddressIsNeverShown, whatever goes wrong.
func TestTheAddressIsNeverShown(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the client has left
		<-r.Context().Done()
	}))
	t.Cleanup(hang.Close)
	refused, _ := server(t, http.StatusForbidden)
	moved, told := server(t, http.StatusTemporaryRedirect)
	for name, url := range map[string]string{
		"refused": refused, "moved": moved, "gone": gone.URL + "/SECRET", "no URL": "SECRET", "another scheme": "file:///SECRET",
		"broken": "http://h/%zzSECRET", "hangs": hang.URL + "/SECRET",
	} {
		bound := time.Minute
		if name == "hangs" {
			bound = 100 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		err := notify.Hook{URL: url}.Send(ctx, nightly(func(*verdict.Row) {}))
		cancel()
		require.ErrorContains(t, err, "notify: nobody was told of 1 new regression: ", name)
		require.NotContains(t, err.Error(), "SECRET", name)
	}
	require.Len(t, told, 1, "a redirection is not followed")
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"notify: {url_env: HOOK, form: slack}":    "",
		"notify: {url_env: \"https://x/SECRET\"}": "is the address itself",
		"notify: {form: slack}":                   "has nowhere to go",
		"notify: {url_env: A, url_file: b}":       "one of them",
		"notify: {url_env: A, form: discord}":     "use json, slack or teams",
	} {
		var c struct {
			Notify notify.Config `yaml:"notify"`
		}
		doc, err := strictyaml.Read("c.yaml", []byte(text), &c)
		require.NoError(t, err)
		var all []string
		for _, e := range c.Notify.Validate(doc) {
			all = append(all, e.Error())
		}
		got := strings.Join(all, "\n")
		require.Contains(t, got, want)
		require.Equal(t, want == "", got == "", got)
		require.NotContains(t, got, "SECRET")
	}
}

// The channel and the report name the same metric and the same percentage.
func TestWorstMetricIsThatOfTheReport(t *testing.T) {
	t.Parallel()
	r := nightly(func(row *verdict.Row) { row.Effect = ptr(0.20) })
	c := &r.Cases[0]
	c.Metrics = append(c.Metrics, verdict.Row{Metric: "tpot_median_ms", Gate: true, Verdict: verdict.Regression, Worse: ptr(0.09), Finding: verdict.Finding{Alarm: true, Effect: ptr(0.01)}})
	m, ok := notify.Of(r, nil)
	require.True(t, ok)
	require.Equal(t, verdict.WorstRow(c.Metrics, verdict.Regression).Metric, m.Findings[0].Metric)
	require.InDelta(t, 0.09, m.Findings[0].Worse, 1e-9)
	require.Equal(t, 1, m.Findings[0].Others)
}

func ptr(v float64) *float64 { return &v }
