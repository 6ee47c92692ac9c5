package publish

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// documents are the fixtures by name. Nobody changes them.
var documents = sync.OnceValue(func() map[string]report.Report {
	return map[string]report.Report{
		"pass": passDocument(), "regression": regressionDocument(), "crash": crashDocument(),
		"infra": infraDocument(), "hostile": hostileDocument(), "suite": suiteDocument(20), "paired": pairedDocument(),
		"empty": document(5, report.ResultNoVerdict, "no case: nothing was tested"),
	}
})

var bigSuite = sync.OnceValue(func() report.Report { return suiteDocument(200) })

// written publishes d and gives the files by their slash-separated names.
func written(t *testing.T, d report.Report) (string, map[string][]byte) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "report")
	require.NoError(t, Write(dir, d))
	files := map[string][]byte{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	}))
	return dir, files
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "go test ./internal/report/publish -update rewrites the golden files")
}

func TestGolden(t *testing.T) {
	t.Parallel()
	golden(t, "suite200/console.txt", []byte(Console(bigSuite(), "/shared/runs/x/report", Style{})))
	golden(t, "suite200/summary.md", []byte(Summary(bigSuite())))
	for name, d := range documents() {
		golden(t, name+"/console.txt", []byte(Console(d, "/shared/runs/x/report", Style{})))
		if name == "hostile" || name == "empty" {
			continue
		}
		golden(t, name+"/summary.md", []byte(Summary(d)))
		if name == "suite" || name == "pass" {
			continue
		}
		_, files := written(t, d)
		golden(t, name+"/index.html", files["index.html"])
		worst := report.WorstFirst(d.Cases)[0]
		golden(t, name+"/case.html", files[casePath(worst)])
		golden(t, name+"/timeline.svg", files["charts/"+timelineFile(worst, worst.Attempts[len(worst.Attempts)-1])])
		if len(charted(worst.Metrics)) > 0 {
			golden(t, name+"/history.svg", files["charts/"+chartFile(worst, 0)])
		}
	}
}

func TestWriteIsDeterministicAndRemovesWhatIsOld(t *testing.T) {
	t.Parallel()
	d := regressionDocument()
	dir, first := written(t, d)
	stale := filepath.Join(dir, "cases", "gone.html")
	require.NoError(t, os.WriteFile(stale, nil, 0o600))
	require.NoError(t, Write(dir, d))
	require.NoFileExists(t, stale)
	for name, want := range first {
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		require.NoError(t, err, name)
		require.Equal(t, string(want), string(got), name)
	}
}

// TestNothingActive holds every produced page and drawing against what Jenkins'
// policy refuses: script, inline style, event handlers, data: and javascript:
// URLs, anything from elsewhere.
func TestNothingActive(t *testing.T) {
	t.Parallel()
	for name, d := range documents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, files := written(t, d)
			for file, data := range files {
				switch filepath.Ext(file) {
				case ".html", ".svg":
					require.Empty(t, activeIn(t, data, filepath.Ext(file)), file)
				case ".css":
					require.NotContains(t, string(data), "url(")
					require.NotContains(t, string(data), "@import")
				}
			}
		})
	}
}

// TestActiveIsFound proves that the check above can fail.
func TestActiveIsFound(t *testing.T) {
	t.Parallel()
	for _, page := range []string{
		`<p style="x"></p>`, `<style>p{}</style>`, `<script>x</script>`, `<a onclick="x"></a>`, `<img src="data:image/png;base64,x">`,
		`<a href="javascript:x"></a>`, `<link rel="stylesheet" href="https://x/y.css">`, `<iframe src="x.html"></iframe>`, `<a href="x" target="_blank"></a>`,
		`<base href="/">`, `<form action="x"></form>`, `<object data="x"></object>`, `<p STYLE='x'></p>`,
	} {
		require.NotEmpty(t, activeIn(t, []byte("<html>"+page+"</html>"), ".html"), page)
	}
	for _, drawing := range []string{`<svg><style>x</style></svg>`, `<svg><rect style="x"/></svg>`, `<svg><image href="data:x"/></svg>`, `<svg onload="x"/>`, `<svg><script/></svg>`, `<svg><a href="x"/></svg>`} {
		require.NotEmpty(t, activeIn(t, []byte(drawing), ".svg"), drawing)
	}
}

// activeIn lists what is active in a page or a drawing. Both are read as strict
// markup with HTML's void elements closed, so that text cannot be mistaken for an
// attribute nor hide one.
func activeIn(t *testing.T, data []byte, ext string) []string {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(data))
	if ext == ".html" {
		dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	}
	allowed := regexp.MustCompile(`^(html|head|meta|title|link|body|header|h1|h2|h3|p|span|code|main|section|article|a|figure|figcaption|pre|div|table|caption|thead|tbody|tr|th|td|dl|dt|dd|details|summary|ul|li|nav|footer|img|strong|mark|svg|g|rect|path|text|circle)$`)
	elsewhere := regexp.MustCompile(`^(/|[a-z][a-z0-9+.-]*:)`)
	var found []string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !allowed.MatchString(e.Name.Local) {
			found = append(found, "<"+e.Name.Local+">")
		}
		for _, a := range e.Attr {
			name, value := strings.ToLower(a.Name.Local), strings.ToLower(strings.TrimSpace(a.Value))
			link := name == "href" || name == "src" || name == "data" || name == "action" || name == "srcset"
			switch {
			case name == "style", strings.HasPrefix(name, "on"), name == "target", name == "srcdoc":
				found = append(found, e.Name.Local+" "+name)
			case link && ext == ".svg":
				found = append(found, e.Name.Local+" "+name)
			case link && e.Name.Local == "a" && strings.HasPrefix(value, "https://ci.example.com/"):
			case link && elsewhere.MatchString(value):
				found = append(found, e.Name.Local+" "+name+"="+value)
			}
		}
	}
}

// TestLinksLeadSomewhere follows every relative link of every page.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for name, d := range documents() {
		if name != "hostile" { // its paths are no files
			require.Greater(t, follow(t, d), 5, name)
		}
	}
}

// follow gives a run the files that its records name, and counts the links that
// its pages hold.
func follow(t *testing.T, d report.Report) int {
	t.Helper()
	dir, files := written(t, d)
	run := filepath.Dir(dir)
	for _, c := range d.Cases {
		for _, a := range c.Attempts {
			links := append([]report.Link{}, a.Artifacts...)
			for _, r := range a.Roles {
				links = append(links, *r.Log)
			}
			for _, l := range links {
				path := filepath.Join(run, l.Path)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, nil, 0o600))
			}
		}
	}
	require.NoError(t, rundir.WriteFile(filepath.Join(dir, rundir.ReportJUnit), nil, rundir.FileMode))
	followed := 0
	for file, data := range files {
		if filepath.Ext(file) != ".html" {
			continue
		}
		for _, m := range regexp.MustCompile(`(?:href|src)="([^"]+)"`).FindAllStringSubmatch(string(data), -1) {
			link, err := url.Parse(html.UnescapeString(m[1]))
			require.NoError(t, err, file)
			switch {
			case link.Host != "": // the build's
			case link.Path == "":
				require.Contains(t, string(data), ` id="`+link.Fragment+`"`, "%s in %s", m[1], file)
			default:
				require.FileExists(t, filepath.Join(dir, filepath.FromSlash(filepath.Dir(file)), filepath.FromSlash(link.Path)), "%s in %s", m[1], file)
			}
			followed++
		}
	}
	return followed
}

// TestWaysThroughALargeSuite: from the top of the overview to the first case of
// each result, and from each red case to the next, in the order of the overview.
func TestWaysThroughALargeSuite(t *testing.T) {
	t.Parallel()
	d := suiteDocument(20)
	d.Cases[1] = crash(d.Cases[1], classInfra)
	_, files := written(t, d)
	index := string(files["index.html"])
	jumps := regexp.MustCompile(`<a href="#([a-z_]+)">`).FindAllStringSubmatch(index, -1)
	require.Len(t, jumps, 4)
	for _, m := range jumps {
		require.Equal(t, 1, strings.Count(index, ` id="`+m[1]+`"`), m[1])
	}
	next := regexp.MustCompile(`<a rel="next" href="\.\./(cases/[^"]+)"`)
	var order []string
	for _, c := range report.WorstFirst(d.Cases)[:3] {
		order = append(order, casePath(c))
	}
	require.Equal(t, order[1], next.FindStringSubmatch(string(files[order[0]]))[1])
	require.Equal(t, order[2], next.FindStringSubmatch(string(files[order[1]]))[1])
	require.NotRegexp(t, next, string(files[order[2]]), "what passed is no next thing to look at")
	require.Contains(t, string(files[order[2]]), `rel="prev" href="../`+order[1])
	require.NotContains(t, string(files[casePath(d.Cases[0])]), `rel="prev"`)
	_, small := written(t, crashDocument())
	require.NotContains(t, string(small["index.html"]), `href="#`, "the table is in sight")
}

func TestHrefStaysInTheRun(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"cases/a/x.log": "../cases/a/x.log", "a b/#?%.log": "../a%20b/%23%3F%25.log", "../../etc/passwd": "", "/etc/passwd": "", "": "", "..": "", "a/../../b": "",
		"javascript:alert(1)": "../javascript:alert%281%29",
	} {
		require.Equal(t, want, look.Href("../", path), path)
	}
	for url, want := range map[string]string{"https://ci/job/1/": "https://ci/job/1/", "javascript:x": "", "//x": "", "ftp://x": "", "x": ""} {
		require.Equal(t, want, look.WebLink(url), url)
	}
}

// TestEveryImageAndTableIsDescribed is what a screen reader needs.
func TestEveryImageAndTableIsDescribed(t *testing.T) {
	t.Parallel()
	for name, d := range documents() {
		_, files := written(t, d)
		for file, data := range files {
			page := string(data)
			switch filepath.Ext(file) {
			case ".html":
				require.Contains(t, page, `<html lang="en">`)
				for _, img := range regexp.MustCompile(`<img [^>]*>`).FindAllString(page, -1) {
					require.Regexp(t, `alt="[^"]{20,}"`, img, name)
				}
				require.Equal(t, strings.Count(page, "<table"), strings.Count(page, "<caption>"), file)
				require.NotRegexp(t, `<th>|<th class="n">`, page, "a header cell without a scope")
				require.NotContains(t, page, `role="region"`, "a landmark per log, several of the same name")
				require.Regexp(t, `<title>[A-Za-z ]+: `, page, "a tab shows the result first")
			case ".svg":
				require.Regexp(t, `(?s)^<svg [^>]*role="img" aria-labelledby="title">\n<title id="title">[^<]{10,}</title>`, page, file)
			}
		}
	}
}

// TestWordsOfATimelineAreRead: in a pale bar they are dark, and the names have
// room also in a wide font.
func TestWordsOfATimelineAreRead(t *testing.T) {
	t.Parallel()
	c := crash(newCase(0), classInfra)
	a := &c.Attempts[0]
	a.Roles[1].Ready, a.Roles[1].Status = nil, report.RoleCollateral
	words := regexp.MustCompile(`text-anchor="end"( fill="#ffffff")?>(root cause|fell with it|stopped)<`).FindAllStringSubmatch(string(Timeline(*a)), -1)
	require.Len(t, words, 3)
	for i, white := range []bool{true, false, true} {
		require.Equal(t, white, words[i][1] != "", words[i][0])
	}
	const benchmark = 87 // px of BENCHMARK in bold 12 px DejaVu Sans
	require.Greater(t, ganttLeft([]report.RoleReport{{RoleRecord: rundir.RoleRecord{Name: "BENCHMARK"}}})-8, float64(benchmark-1))
}

func TestSummaryIsBoundedAndInert(t *testing.T) {
	t.Parallel()
	docs := map[string]report.Report{"200 cases": bigSuite()}
	maps.Copy(docs, documents())
	big := bigSuite()
	big.Cases = slices.Clone(big.Cases)
	for i := range big.Cases {
		c := newCase(i)
		big.Cases[i] = crash(c, classTest)
		big.Cases[i].Message = strings.Repeat("|*_`<x>é", 400)
	}
	docs["all red"] = big
	for name, d := range docs {
		s := Summary(d)
		require.True(t, strings.HasPrefix(s, "<!-- ci-disagg:summary "), name)
		require.Less(t, len(s), summaryLimit, name)
		require.True(t, utf8.ValidString(s), name)
	}
	require.Contains(t, Summary(infraDocument()), "nfrastructure, not your change")
	s := Summary(hostileDocument())
	for _, active := range []string{"<script", "<img", "javascript:x)", "](", "@all", "\x1b", "http://evil", "\u202e"} {
		rest := strings.ReplaceAll(strings.ReplaceAll(s, `\]\(`, ""), "[build](<", "")
		require.NotContains(t, rest, active)
	}
	require.Equal(t, 1, strings.Count(s, "<!--"), "only the marker")
	require.Less(t, strings.Index(Summary(crashDocument()), "TEST FAILED"), strings.Index(Summary(crashDocument()), "passed disagg"), "the worst first")
}

// TestSummaryLinksTheArtifacts: where the build server keeps the copy, report, case and line are one click away.
func TestSummaryLinksTheArtifacts(t *testing.T) {
	t.Parallel()
	d := crashDocument()
	require.NotContains(t, Summary(d), "artifact/")
	d.Pages = "https://ci/job/7/artifact/copy/"
	d.Next = words.Look(d.Pages, "cases/x/slurm.out", 12)
	s := Summary(d)
	c := report.WorstFirst(d.Cases)[0]
	file := report.AttemptPath(c, *report.FailedAttempt(c)) + "/" + c.Finding.Line.File
	for _, link := range []string{
		"[report/index.html in the run's artifacts](<https://ci/job/7/artifact/copy/report/index.html>)", "](<https://ci/job/7/artifact/copy/report/" + casePath(c) + ">)",
		fmt.Sprintf(":%d](<https://ci/job/7/artifact/copy/%s>)", c.Finding.Line.Number, file), "Next: <https://ci/job/7/artifact/copy/cases/x/slurm.out> line 12\n",
	} {
		require.Contains(t, s, link)
	}
	h := hostileDocument()
	h.Pages = d.Pages
	require.NotContains(t, strings.ReplaceAll(strings.ReplaceAll(Summary(h), "](<https://ci/", ""), "[build](<", ""), "](", "no link but ours")
}

// TestEscape: what GitHub's renderer would take for markup. Held once against
// cmark-gfm itself; these are the ways that got through.
func TestEscape(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1. one": `1\. one`, "12) x": `12\) x`, "v1.2": "v1.2", "- a": `\- a`, "=== x": `\=== x`, "a-b": "a-b",
		"    code": "code", "www.evil.com": "www\u200b.evil.com", "WWW.x": "WWW\u200b.x", "http://x": "http:\u200b//x",
		"@all": "@\u200ball", "#12": `\#` + "\u200b12", "# head": `\# head`, "a|b": `a\|b`, "`x`": "\\`x\\`", "<b>": "&lt;b&gt;", "[l](x)": `\[l\]\(x\)`,
	} {
		require.Equal(t, want, look.Markdown(text))
	}
	d := regressionDocument()
	d.Cases[0].Metrics[0].Metric = strings.Repeat("x|", 50_000)
	require.Contains(t, Summary(d), "| tpot\\_median\\_ms at con64 |", "a name of any length leaves room for the others")
	other := regressionDocument()
	other.Cluster = "b200 --> <b>"
	require.Equal(t, "<!-- ci-disagg:summary GB200-PerfSanity-b200-b -->", strings.SplitN(Summary(other), "\n", 2)[0])
}

func TestChartsOfManyMetricsAreBounded(t *testing.T) {
	t.Parallel()
	var rows []verdict.Row
	for k := range 300 {
		r := row("c", fmt.Sprintf("m%d", k), "ms", k < 100, past{10, 0.01, 0.1, 10})
		r.Verdict = verdict.Regression
		rows = append(rows, r)
	}
	require.Len(t, charted(rows), 46, "40 that gate, and the 6 others that moved most")
	KeepCharted(rows)
	kept := 0
	for _, r := range rows {
		if len(r.Series) > 0 {
			kept++
		}
	}
	require.Equal(t, 46, kept)
	require.Len(t, charted(rows), 46, "40 that gate, and the 6 others that moved most", "the same after the others have lost their history")
}

// TestKnownFailureIsSaid: nothing is relaxed silently.
func TestKnownFailureIsSaid(t *testing.T) {
	t.Parallel()
	c := regressionDocument().Cases[0]
	c.Known, c.Result, c.ExitCode = "https://bugs.example.com/1", report.ResultKnown, 0
	require.Equal(t, "KNOWN FAILURE", caseLabel(c))
	require.Equal(t, "A known failure: it does not turn the run red, and nothing was proven.", fault.Of(c))
	allowed := newCase(0)
	allowed.Verdict, allowed.Unjudged, allowed.Metrics[0].Verdict = verdict.NoBaseline, verdict.NoBaseline, verdict.NoBaseline
	require.Equal(t, "Nothing to do. Its speed was not judged: no baseline. The policy allows that.", fault.Of(allowed))
	require.Equal(t, "not judged", caseLabel(allowed))
}

// TestFilesThatAreNotListedAreSaid: nothing is left out silently.
func TestFilesThatAreNotListedAreSaid(t *testing.T) {
	t.Parallel()
	d := crashDocument()
	c := report.WorstFirst(d.Cases)[0]
	a := &c.Attempts[0]
	_, files := written(t, d)
	require.NotContains(t, string(files[casePath(c)]), "more in the run directory")
	for i := range maxLinks {
		a.Artifacts = append(a.Artifacts, report.Link{Label: fmt.Sprint("f", i), Path: fmt.Sprint("cases/f", i)})
	}
	_, files = written(t, d)
	require.Contains(t, string(files[casePath(c)]), "400 files, and more in the run directory")
}

// TestChartsOfAwkwardSeries: no series may stop a report.
func TestChartsOfAwkwardSeries(t *testing.T) {
	t.Parallel()
	inf, zero := math.Inf(1), 0.0
	for name, r := range map[string]verdict.Row{
		"empty":      {Metric: "m"},
		"one run":    {Metric: "m", Series: []verdict.Run{{ID: "a", Values: []float64{1}}}},
		"zeros":      {Metric: "m", Baseline: &zero, Series: []verdict.Run{{ID: "a", Values: []float64{0}}, {ID: "b", Values: []float64{0}}}},
		"no values":  {Metric: "m", Series: []verdict.Run{{ID: "a"}, {ID: "b"}}},
		"infinite":   {Metric: "m", Baseline: &inf, Series: []verdict.Run{{ID: "a", Values: []float64{inf, -inf}}}},
		"huge":       {Metric: "m", Series: []verdict.Run{{ID: "a", Values: []float64{1e300}}, {ID: "b", Values: []float64{-1e300}}}},
		"tiny":       {Metric: "m", Series: []verdict.Run{{ID: "a", Values: []float64{1e-300}}, {ID: "b", Values: []float64{2e-300}}}},
		"lost level": {Metric: "m", Series: []verdict.Run{{ID: "a", Values: []float64{1}}}, Background: verdict.Background{Levels: []verdict.Level{{Run: "x"}, {Run: "y"}, {Run: "z"}}}},
	} {
		data, err := HistoryChart(r)
		require.NoError(t, err, name)
		require.NotContains(t, string(data), "NaN", name)
		require.NotContains(t, string(data), "Inf", name)
		require.Empty(t, activeIn(t, data, ".svg"), name)
	}
	require.Nil(t, Timeline(report.AttemptReport{}))
	backwards := attempt(newCase(0), 0, 1)
	backwards.Roles[0].Ended, backwards.Roles[0].Ready = at(-5000), at(99999)
	require.Empty(t, activeIn(t, Timeline(backwards), ".svg"))
}
