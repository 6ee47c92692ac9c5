package publish

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/browser"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

func TestBrowserShowsItUnderJenkinsPolicy(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	for name, d := range map[string]report.Report{"regression": regressionDocument(), "crash": crashDocument(), "hostile": hostileDocument()} {
		dir, files := written(t, d)
		pages := []string{"index.html", casePath(report.WorstFirst(d.Cases)[0])}
		for _, page := range pages {
			s := browser.Serve(t, dir)
			log := browser.Visit(t, s.URL+"/"+page, "--screenshot="+filepath.Join(t.TempDir(), "page.png"))
			served, violations := s.Seen()
			require.Empty(t, violations, "%s %s", name, page)
			require.NotRegexp(t, browser.Refused, log, "%s %s", name, page)
			require.Equal(t, http.StatusOK, served["/report.css"], "%s %s: the style sheet", name, page)
			images := regexp.MustCompile(`<img src="\.\./([^"]+)"`).FindAllStringSubmatch(string(files[page]), -1)
			if page != "index.html" {
				require.NotEmpty(t, images, "%s %s", name, page)
			}
			for _, m := range images {
				require.Equal(t, http.StatusOK, served["/"+m[1]], "%s %s: %s", name, page, m[1])
			}
		}
	}
}

// TestBrowserIsAccessible holds every kind of page against axe-core, on a phone and on a desk, by day and in the dark.
func TestBrowserIsAccessible(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	all := t.TempDir()
	var pages []string
	for name, d := range map[string]report.Report{"regression": regressionDocument(), "crash": crashDocument(), "hostile": hostileDocument()} {
		dir, _ := written(t, d)
		require.NoError(t, os.CopyFS(filepath.Join(all, name), os.DirFS(dir)))
		pages = append(pages, name+"/index.html", name+"/"+strings.ReplaceAll(casePath(report.WorstFirst(d.Cases)[0]), "#", "%23"))
	}
	browser.Accessible(t, all, pages...)
}

// TestScreenshots tells when the pictures of docs/report.md are stale; make screenshots takes them anew.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	crash, _ := written(t, crashDocument())
	regression, _ := written(t, regressionDocument())
	first := func(d report.Report) string { return casePath(report.WorstFirst(d.Cases)[0]) }
	browser.Pictures(t, "report.md",
		browser.Picture{Name: "overview", Dir: crash, Page: "index.html", Size: "1060,830"},
		browser.Picture{Name: "case-crash", Dir: crash, Page: first(crashDocument()), Size: "1060,1000"},
		browser.Picture{Name: "case-regression", Dir: regression, Page: first(regressionDocument()), Size: "1060,1060"},
	)
}

// hostileNames are what pytest ids, roles, metrics and log lines of the suite's tests have tried.
func hostileNames() []string {
	return []string{
		hostile, "</title><script>alert(1)</script>", "<svg onload=alert(1)>", "<svg/onload=alert(1)//", "'-alert(1)-'", "javascript:alert(1)", "data:text/html,<script>1</script>",
		"<img src=http://127.0.0.1:1/x>", "<link rel=stylesheet href=//evil/x.css>", "<style>*{color:red}</style>", `" style="color:red" x="`, `" onmouseover="alert(1)`,
		"<iframe src=//evil>", "<base href=//evil/>", "<meta http-equiv=refresh content=0;url=//evil>", "<form action=//evil><input autofocus onfocus=alert(1)>", "{{.}}{{template \"x\"}}",
		"<details open ontoggle=alert(1)>", "]]><script>1</script>", "<!--", "--><script>1</script>", "&lt;script&gt;", "\u202egnp.exe\u202c", "\u2066\u2067x\u2069", "a\u200bb\ufeffc\u00add\u2060e",
		"tag\U000e0041\U000e007f", "\x00\x1b]8;;http://evil\x07x\x1b]8;;\x07", "\xff\xfe broken", "../../../etc/passwd", "%2e%2e/%00", "con.xml", strings.Repeat("\u0301", 300), "<script\u2028>1</script\u2029>",
	}
}

// Whatever a case, a role, a metric, a file or a warning is called, the browser sees text: no script, nothing that the
// policy has to stop, and no character that hides itself.
func TestBrowserShowsHostileNamesAsText(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	d := hostileDocument()
	c := report.WorstFirst(d.Cases)[0]
	for i, name := range hostileNames() {
		other := newCase(i + 50)
		other.ID, other.Message, other.Result, other.Colour = "perf/x.py::t["+name+"]", name, report.ResultTestFailed, report.Red
		d.Cases = append(d.Cases, other)
		d.Warnings = append(d.Warnings, name)
		c.Problems = append(c.Problems, name)
		a := &c.Attempts[0]
		a.Artifacts = append(a.Artifacts, report.Link{Label: name, Path: name})
		a.Timeline = append(a.Timeline, rundir.Event{At: *at(6), Role: name, What: name})
		a.Roles[0].Tail = append(a.Roles[0].Tail, name)
	}
	d.Cases[slices.IndexFunc(d.Cases, func(x report.CaseReport) bool { return x.Slug == c.Slug })] = c
	dir, files := written(t, d)
	for name, page := range files {
		text := string(page)
		switch {
		case strings.HasSuffix(name, ".css"), strings.HasSuffix(name, ".json"): // not for the eyes
			continue
		case name == rundir.ReportSummary:
			text = strings.ReplaceAll(text, "\u200b", "") // ours: it keeps apart what would become a link
		}
		at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && look.Unprintable(r) })
		require.Negative(t, at, "%s: %q", name, text[max(0, at):min(len(text), max(0, at)+80)])
	}
	for _, page := range []string{"index.html", casePath(c)} {
		s := browser.Serve(t, dir)
		log := browser.Visit(t, s.URL+"/"+page, "--screenshot="+filepath.Join(t.TempDir(), "page.png"))
		served, violations := s.Seen()
		require.Empty(t, violations, page)
		require.NotRegexp(t, browser.Refused, log, page)
		for path := range served {
			require.Regexp(t, `^/(|index\.html|report\.css|favicon\.ico|charts/[^/]+|cases/[^/]+\.html)$`, path, "nothing but ours is asked for")
		}
	}
}
