package trendpages_test

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/owners"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/trendpages"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/browser"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/nights"
)

var now = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// site writes the pages of a suite of two cases on two clusters: one of them has a regression that was accepted and one
// that is open.
func site(t *testing.T, edit func(*baseline.Record)) string {
	t.Helper()
	store, err := baseline.Create(t.Context(), "dir:"+t.TempDir())
	require.NoError(t, err)
	var records []baseline.Record
	suite := nights.Suite{Cases: 2, Nights: 60, Clusters: []string{"h200", "b200"}, Last: time.Date(2026, 11, 28, 2, 0, 0, 0, time.UTC)}
	require.NoError(t, suite.Records(func(r baseline.Record) error {
		edit(&r)
		records = append(records, r.Normal())
		return nil
	}))
	_, err = store.Save(t.Context(), records...)
	require.NoError(t, err)
	g, err := trends.Gather(t.Context(), store, time.Time{}, nil)
	require.NoError(t, err)
	dir := t.TempDir()
	g.Store = "dir:/shared/perf" // not where it lies today
	s := trendpages.Site{
		Gathered: g, Options: trends.Options{Setup: judging.Setup{Metrics: metric.Default()}}, Tool: "v1", Now: now,
		Owner: owners.Owners{"*": "@perf", "llama*": "@llama"}.Of,
	}
	written, err := s.Write(dir)
	require.NoError(t, err)
	require.Equal(t, 2, written.Open, "case 1 on both clusters")
	return dir
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(data)
}

func TestPages(t *testing.T) {
	t.Parallel()
	dir := site(t, func(*baseline.Record) {})
	index := read(t, dir, rundir.ReportIndex)
	for _, want := range []string{"2 cases with open regressions", "@llama", "b200, main", "h200, main", "1 open regression", "Movers of the week", `data-label="repeated">60.0</td>`, `data-label="all">540.0</td>`, `<svg class="heat"`} {
		require.Contains(t, index, want)
	}
	cases, err := filepath.Glob(filepath.Join(dir, "cases", "*.html"))
	require.NoError(t, err)
	require.Len(t, cases, 4)
	series, err := filepath.Glob(filepath.Join(dir, "series", "*.html"))
	require.NoError(t, err)
	accepted, open := 0, 0
	for _, file := range series {
		page := read(t, dir, filepath.Join("series", filepath.Base(file)))
		if strings.Contains(page, "safer kernel, 6 % slower on purpose") {
			accepted++
		}
		if strings.Contains(page, "regression open since 2026-11-25") {
			open++
		}
		require.Contains(t, page, `<svg class="hist"`)
		require.Contains(t, page, "trtllm:1.0", "what changed on the machine")
	}
	require.Equal(t, len(series)/2, accepted)
	require.Equal(t, len(series)/2, open)
}

// TestNightsThatWereNotMeasured are seen: on the overview while they go on, in the map, and on the pages of the case.
func TestNightsThatWereNotMeasured(t *testing.T) {
	t.Parallel()
	dir := site(t, func(r *baseline.Record) {
		if r.Kind != baseline.KindRun || r.Cluster != "h200" || r.Case != nights.CaseID(0) {
			return
		}
		age := int(now.Sub(r.Time).Hours() / 24)
		if age < 4 || age >= 20 && age < 23 { // what was not measured is recorded under another name here
			r.Case = "elsewhere"
		}
	})
	index := read(t, dir, rundir.ReportIndex)
	for _, want := range []string{"<h2>Not measured</h2>", `data-label="Last night">2026-11-24</td>`, "4 nights</td>"} {
		require.Contains(t, index, want)
	}
	for _, want := range []string{"not measured: 2026-11-06 to 2026-11-08", "not measured: 2026-11-25 to 2026-11-28"} {
		require.Contains(t, read(t, dir, "by/h200-main.html"), want)
		require.NotContains(t, read(t, dir, "by/b200-main.html"), want)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*", "deepseek*.html"))
	require.NoError(t, err)
	told := 0
	for _, page := range pages {
		if strings.Contains(read(t, dir, strings.TrimPrefix(page, dir)), "<li>2026-11-06 to 2026-11-08: 3 nights</li>") {
			told++
		}
	}
	require.Equal(t, len(pages)/2, told, "the case and its metrics on h200")
}

// TestEveryLinkLeadsSomewhere, and nothing on a page is refused by Jenkins' policy.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	dir := site(t, func(r *baseline.Record) {
		if r.Kind == baseline.KindRun {
			r.Run = "<script>alert(1)</script>"
			r.Build.URL = "javascript:alert(1)"
		}
	})
	link := regexp.MustCompile(` href="([^"]+)"`)
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".html" {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotRegexp(t, `<script|<style| style=|javascript:| on[a-z]+=`, string(data), path)
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			require.FileExists(t, filepath.Join(filepath.Dir(path), m[1]), path)
		}
		for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAll(data, -1) {
			require.NoError(t, xml.NewDecoder(bytes.NewReader(svg)).Decode(new(struct{})), path)
		}
		return nil
	}))
}

// TestPagesOfCasesThatAreGoneGo when the site is written again.
func TestPagesOfCasesThatAreGoneGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := trendpages.Site{Owner: owners.Owners{}.Of, Now: now}
	stale := filepath.Join(dir, "cases", "old.html")
	require.NoError(t, rundir.WriteFile(stale, []byte("x"), rundir.FileMode))
	_, err := s.Write(dir)
	require.NoError(t, err)
	require.NoFileExists(t, stale)
	require.Contains(t, read(t, dir, rundir.ReportIndex), "No night is recorded")
}

// onePageOfEach is a page of each kind.
func onePageOfEach(t *testing.T, dir string) []string {
	t.Helper()
	pages := []string{rundir.ReportIndex}
	for _, sub := range []string{"by", "cases", "series"} {
		all, err := filepath.Glob(filepath.Join(dir, sub, "*001*.html"))
		if sub == "by" {
			all, err = filepath.Glob(filepath.Join(dir, sub, "*.html"))
		}
		require.NoError(t, err)
		require.NotEmpty(t, all, sub)
		pages = append(pages, sub+"/"+filepath.Base(all[0]))
	}
	return pages
}

// TestBrowserShowsTrends: Jenkins' policy refuses nothing, and every kind of page is accessible.
func TestBrowserShowsTrends(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	dir := site(t, func(r *baseline.Record) {
		if r.Kind == baseline.KindRun && r.Case == nights.CaseID(0) && now.Sub(r.Time) < 4*24*time.Hour {
			r.Case = "elsewhere"
		}
	})
	pages := onePageOfEach(t, dir)
	for _, page := range pages {
		s := browser.Serve(t, dir)
		log := browser.Visit(t, s.URL+"/"+page, "--screenshot="+filepath.Join(t.TempDir(), "page.png"))
		served, violations := s.Seen()
		require.Empty(t, violations, page)
		require.NotRegexp(t, browser.Refused, log, page)
		require.Equal(t, http.StatusOK, served["/report.css"], page)
	}
	browser.Accessible(t, dir, pages...)
}

// TestScreenshots tells when the pictures of docs/trends.md are stale; make screenshots takes them anew.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	dir := site(t, func(r *baseline.Record) {
		if age := now.Sub(r.Time).Hours() / 24; r.Kind == baseline.KindRun && r.Case == nights.CaseID(0) && (age < 4 || age > 20 && age < 26) {
			r.Case = "elsewhere"
		}
	})
	series, err := filepath.Glob(filepath.Join(dir, "series", "*001*tpot_median_ms.html"))
	require.NoError(t, err)
	browser.Pictures(t, "trends.md",
		browser.Picture{Name: "trends-overview", Dir: dir, Page: "by/h200-main.html", Size: "1060,1150"},
		browser.Picture{Name: "trends-series", Dir: dir, Page: "series/" + filepath.Base(series[0]), Size: "1060,800"},
	)
}

// A night that is no measurement says why, where the cases are and on the page of its own.
func TestInvalidNightSaysWhy(t *testing.T) {
	t.Parallel()
	dir := site(t, func(r *baseline.Record) {
		if r.Kind == baseline.KindRun && r.Cluster == "h200" && r.Case == nights.CaseID(0) && now.Sub(r.Time) <= 24*time.Hour {
			r.Invalidate("wrong answers: gsm8k is 20 <b>")
		}
	})
	require.Contains(t, read(t, dir, rundir.ReportIndex), `data-label="Verdict">invalid: wrong answers: gsm8k is 20 &lt;b&gt;</td>`)
	pages, err := filepath.Glob(filepath.Join(dir, "cases", "*.html"))
	require.NoError(t, err)
	said := 0
	for _, page := range pages {
		said += strings.Count(read(t, dir, "cases/"+filepath.Base(page)), ": wrong answers: gsm8k is 20 &lt;b&gt;</li>")
	}
	require.Equal(t, 1, said)
}

// A newest night that proved nothing is not passed over, and what does not gate is never red.
func TestNoVerdictLeavesATrace(t *testing.T) {
	t.Parallel()
	dir := site(t, func(r *baseline.Record) {
		if r.Kind != baseline.KindRun || r.Cluster != "h200" || r.Case != nights.CaseID(0) || now.Sub(r.Time) > 24*time.Hour {
			return
		}
		r.Verdict, r.Measurements[1].Verdict = verdict.Inconclusive, verdict.Inconclusive
		slow := r.Measurements[1]
		slow.Metric, slow.Verdict, slow.Level = "e2el_median_ms", verdict.Regression, 1
		r.Measurements = append(r.Measurements, slow)
	})
	index := read(t, dir, rundir.ReportIndex)
	require.Contains(t, index, "2 cases with open regressions; 1 case without a verdict")
	require.Contains(t, index, `data-label="Verdict">inconclusive: con64 tpot_median_ms</td>`)
	require.NotContains(t, index, "e2el_median_ms")
	link := regexp.MustCompile(`"(cases/[^"]*)">[^<]*</a><br><span class="dim">h200, main</span></th><td data-label="Night">`).FindStringSubmatch(index)
	require.Len(t, link, 2)
	page := read(t, dir, link[1])
	require.Contains(t, page, `<span class="badge doubt">regression open since 2026-11-28 (advisory)</span>`)
	require.NotContains(t, page, "Open regression")
}
