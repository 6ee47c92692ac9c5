package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var updateDecisions = flag.Bool("update-decisions", false, "write testdata/decisions.txt anew")

// The case of the runs that were recorded with the stand-in workload, and the one that passes beside each recorded
// case.
const (
	recordedCase  = "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-tiny_1k1k_con4_ctx1_tp1_gen1_tp2]"
	recordedSlug  = "perf_test_perf_sanity.py__test_e2e_disagg_upload-e2e-tiny_1k1k_con4_ctx1_tp1_gen1_tp2-da04512a"
	companionCase = "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-companion]"
	companionSlug = "companion"
)

// policy is how a recorded run is decided.
type policy struct {
	name         string
	known        int    // so many of the two cases are known failures, the recorded one first
	perf, report string // of the config
}

const pinned = "pins: pins.yaml"

func policies() []policy {
	return []policy{
		{name: "none", perf: pinned},
		{name: "known failure", perf: pinned, known: 1},
		{name: "known failure *", perf: pinned, known: 2},
		{name: "expired known failure", perf: pinned}, // a plan does not carry it any more
		{name: "flaky pass", perf: pinned, report: "flaky: pass"},
		{name: "flaky fail", perf: pinned, report: "flaky: fail"},
		{name: "flaky skip", perf: pinned, report: "flaky: skip"},
		{name: "no baseline"},
		{name: "allow_no_baseline", perf: "allow_no_baseline: true"},
		{name: "collecting", perf: `store: "dir:store"`},
		{name: "allow_collecting", perf: `store: "dir:store", allow_collecting: true`},
		{name: "allow_skipped", perf: pinned + ", allow_skipped: true"},
		{name: "metrics_in_junit none", perf: pinned, report: "metrics_in_junit: none"},
		{name: "perf.off", perf: "off: true"},
		{name: "functional_only", perf: "functional_only: true"},
	}
}

// No two outputs of a report contradict each other: exit code, junit.xml, console,
// summary.md, index.html and verdict.json show the same colour for the run, and the
// same colour, kind and root role for the case. testdata/decisions.txt holds what is
// decided for each recorded run under each policy.
func TestOutputsNeverContradict(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/runs/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	passed := readArchive(t, "../../testdata/runs/passed.txtar")
	var mu sync.Mutex
	var decisions, contradictions []string
	t.Run("runs", func(t *testing.T) {
		for _, file := range files {
			for _, p := range policies() {
				name := strings.TrimSuffix(filepath.Base(file), ".txtar") + " × " + p.name
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					o := decideRecorded(t, readArchive(t, file), passed, p, nil)
					mu.Lock()
					defer mu.Unlock()
					decisions = append(decisions, fmt.Sprintf("%s: exit %d, %s", name, o.exit, o.document.Cases[0].words()))
					for _, c := range o.contradictions() {
						contradictions = append(contradictions, name+": "+c)
					}
				})
			}
		}
	})
	slices.Sort(decisions)
	slices.Sort(contradictions)
	if *updateDecisions {
		require.NoError(t, os.WriteFile("testdata/decisions.txt", []byte(strings.Join(decisions, "\n")+"\n"), 0o600))
	}
	require.Empty(t, contradictions)
	require.Equal(t, readLines(t, "testdata/decisions.txt"), decisions)
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

func readArchive(t *testing.T, path string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(path)
	require.NoError(t, err)
	return a
}

// decideRecorded decides a copy of a recorded run, with a case beside it that
// passes, under a policy. Something may happen to the copy first.
func decideRecorded(t *testing.T, recorded, passed *txtar.Archive, p policy, change func(*testing.T, rundir.Dir)) outputs {
	t.Helper()
	dir := rundir.Dir(filepath.Join(t.TempDir(), "run"))
	for _, f := range recorded.Files {
		writeRecorded(t, filepath.Join(string(dir), f.Name), f.Data)
	}
	for _, f := range passed.Files {
		if rest, ok := strings.CutPrefix(f.Name, "cases/"+recordedSlug+"/"); ok {
			data := bytes.ReplaceAll(f.Data, []byte(recordedSlug), []byte(companionSlug))
			data = bytes.ReplaceAll(data, []byte("e2e-tiny_1k1k_con4_ctx1_tp1_gen1_tp2]"), []byte("e2e-companion]"))
			writeRecorded(t, filepath.Join(string(dir.CaseDir(companionSlug)), rest), data)
		}
	}
	of := recordOf(t, recorded).Cases[0]
	joinCompanion(t, dir, passed)
	for _, slug := range []string{of.Slug, companionSlug}[:p.known] {
		edit(t, dir.CaseDir(slug).PlanFile(), func(plan map[string]any) {
			plan["case"].(map[string]any)["known_bug"] = "nvbugs/1: hangs"
		})
	}
	if change != nil {
		change(t, dir)
	}
	settle(t, dir)
	base := filepath.Dir(string(dir))
	writeRecorded(t, filepath.Join(base, "pins.yaml"), []byte(pinsOf(of.ID, companionCase)))
	writeRecorded(t, filepath.Join(base, "ci-disagg.yaml"), []byte("stage: nightly\nperf: {"+p.perf+"}\nreport: {"+p.report+"}\n"))
	require.NoError(t, os.MkdirAll(filepath.Join(base, "store"), 0o700))
	var out, errs bytes.Buffer
	h := newHost()
	h.stdout, h.stderr = &out, &errs
	h.getenv, h.environ = func(string) string { return "" }, func() []string { return nil }
	o := outputs{dir: dir, exit: run(context.Background(), h, []string{"report", "-c", filepath.Join(base, "ci-disagg.yaml"), string(dir)}), console: out.String()}
	require.FileExists(t, filepath.Join(dir.Report(), rundir.ReportVerdict), errs.String())
	o.read(t)
	return o
}

func writeRecorded(t *testing.T, path string, data []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, data, 0o600))
}

// edit changes a JSON file.
func edit(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	doc := map[string]any{}
	require.NoError(t, rundir.ReadJSON(path, &doc))
	change(doc)
	require.NoError(t, rundir.WriteJSON(path, doc))
}

// joinCompanion adds the second case to the run's record.
func joinCompanion(t *testing.T, dir rundir.Dir, passed *txtar.Archive) {
	t.Helper()
	second := recordOf(t, passed).Cases[0]
	second.ID, second.Slug = companionCase, companionSlug
	edit(t, dir.RunFile(), func(run map[string]any) { run["cases"] = append(run["cases"].([]any), second) })
}

// recordOf is the record of a recorded run.
func recordOf(t *testing.T, recorded *txtar.Archive) rundir.Run {
	t.Helper()
	i := slices.IndexFunc(recorded.Files, func(f txtar.File) bool { return f.Name == "run.json" })
	require.GreaterOrEqual(t, i, 0)
	var of rundir.Run
	require.NoError(t, json.Unmarshal(recorded.Files[i].Data, &of))
	return of
}

// settle gives all files the time at which the run was recorded.
func settle(t *testing.T, dir rundir.Dir) {
	t.Helper()
	var run rundir.Run
	require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
	at := run.Created.Add(time.Hour)
	require.NoError(t, filepath.WalkDir(string(dir), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chtimes(path, at, at)
	}))
}

func pinsOf(ids ...string) string {
	var b strings.Builder
	b.WriteString("schema: 1\ncases:\n")
	for _, id := range ids {
		fmt.Fprintf(&b, "  %q:\n", id)
		if !strings.Contains(id, "::") { // a configured pipeline
			b.WriteString("    SET/request_throughput: {value: 1000, tolerance: 15%}\n")
			continue
		}
		b.WriteString("    con4/output_token_throughput: {value: 331, tolerance: 15%}\n    con8/output_token_throughput: {value: 661, tolerance: 15%}\n")
		b.WriteString("    ttft_median_ms: {value: 142.8, tolerance: 15%}\n    tpot_median_ms: {value: 10.0, tolerance: 15%}\n")
	}
	return b.String()
}

// outputs are all that a report says.
type outputs struct {
	dir      rundir.Dir
	exit     int
	console  string
	summary  string
	index    string
	document shownDocument
	suites   []shownSuite
	more     moreOutputs
}

type shownDocument struct {
	ExitCode int         `json:"exit_code"`
	Result   string      `json:"result"`
	Cases    []shownCase `json:"cases"`
}

type shownCase struct {
	ID       string   `json:"id"`
	Slug     string   `json:"slug"`
	Result   string   `json:"result"`
	ExitCode int      `json:"exit_code"`
	Verdict  string   `json:"verdict"`
	Outcome  string   `json:"outcome"`
	Problems []string `json:"validity_problems"`
	Worst    *struct {
		Point  string `json:"point"`
		Metric string `json:"metric"`
	} `json:"worst"`
	Finding *rundir.Finding `json:"finding"`
}

// words is a decision in the golden file.
func (c shownCase) words() string {
	text := fmt.Sprintf("case %s (%d)", c.Result, c.ExitCode)
	if c.Finding != nil {
		text += fmt.Sprintf(", %s %s", c.Finding.Kind, c.Finding.Root)
	}
	return strings.TrimSpace(text)
}

func (o *outputs) read(t *testing.T) {
	t.Helper()
	text := func(name string) string {
		data, err := os.ReadFile(filepath.Join(o.dir.Report(), name))
		require.NoError(t, err)
		return string(data)
	}
	o.summary, o.index = text(rundir.ReportSummary), text(rundir.ReportIndex)
	require.NoError(t, json.Unmarshal([]byte(text(rundir.ReportVerdict)), &o.document))
	var root struct {
		Suites []shownSuite `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(text(rundir.ReportJUnit)), &root))
	o.suites = root.Suites
	o.readMore(t)
}

// shownSuite is a suite of junit.xml.
type shownSuite struct {
	Name  string      `xml:"name,attr"`
	Tests []shownTest `xml:"testcase"`
}

type shownTest struct {
	Name       string       `xml:"name,attr"`
	Failure    *shownResult `xml:"failure"`
	Error      *shownResult `xml:"error"`
	Skipped    *shownResult `xml:"skipped"`
	Properties []struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	} `xml:"properties>property"`
}

type shownResult struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
}

// colour is that of one test: what is skipped is amber only where that is no verdict.
func (t shownTest) colour() string {
	switch {
	case t.Failure != nil || t.Error != nil:
		return "red"
	case t.Skipped != nil && slices.Contains(amber(), t.Skipped.Type):
		return "amber"
	default:
		return "green"
	}
}

func (t shownTest) property(name string) string {
	for _, p := range t.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// colourOf is the colour of an exit code.
func colourOf(code int) string {
	switch code {
	case exit.Passed:
		return "green"
	case exit.NoVerdict:
		return "amber"
	default:
		return "red"
	}
}

// labels are the words for people by their colour; "skipped" in small letters is
// what the list skips.
func labels() map[string]string {
	return map[string]string{
		"TEST FAILED": "red", "INFRASTRUCTURE": "red", "REGRESSION": "red", "INTERRUPTED": "red", "NOT FINISHED": "red",
		"NO VERDICT": "amber", "SKIPPED": "amber", "passed": "green", "improved": "green", "skipped": "green", "KNOWN FAILURE": "green",
		"not judged": "green", "not judged yet": "green",
	}
}

// labelOf is the word for people of a result.
func labelOf(c shownCase) string {
	switch {
	case c.Result == "skipped" && c.ExitCode != exit.Passed:
		return "SKIPPED"
	case c.Result == "improvement":
		return "improved"
	case c.Result == "passed" && c.Verdict == "collecting":
		return "not judged yet"
	case c.Result == "passed" && c.Verdict == "no_baseline":
		return "not judged"
	case c.Result == "passed" || c.Result == "skipped":
		return c.Result
	case c.Result == "interrupted" && c.ExitCode == exit.Infra:
		return "NOT FINISHED"
	case c.Result == "infra":
		return "INFRASTRUCTURE"
	default:
		return strings.ToUpper(strings.ReplaceAll(c.Result, "_", " "))
	}
}

// contradictions are where the outputs disagree.
func (o outputs) contradictions() []string {
	var out []string
	want := colourOf(o.exit)
	say := func(output, got, wanted string) {
		if got != wanted {
			out = append(out, fmt.Sprintf("%s says %q, the exit code %d says %q", output, got, o.exit, wanted))
		}
	}
	say("verdict.json", colourOf(o.document.ExitCode), want)
	say("junit.xml", o.junitColour(), want)
	say("the console", labels()[first(`(?m)\A([A-Za-z ]+?)  `, o.console)], want)
	say("summary.md", map[string]string{"✅": "green", "⚠️": "amber", "❌": "red", "🟣": "red"}[first(`(?m)^## (\S+) `, o.summary)], want)
	say("index.html", map[string]string{"good": "green", "doubt": "amber", "bad": "red", "infra": "red"}[first(`<header class="banner (\w+)">`, o.index)], want)
	for _, c := range o.document.Cases {
		out = append(out, o.ofCase(c)...)
	}
	return append(out, o.ofOthers()...)
}

func first(pattern, text string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// amber are the types of skipped tests that mean: no verdict.
func amber() []string {
	return []string{"ci-disagg.no-verdict", "ci-disagg.not-stored", "ci-disagg.skipped", "ci-disagg.idle"}
}

// junitColour is what Jenkins makes of junit.xml: red is red wherever it stands; the
// verdict suite, and what is said of the run as a whole, may be amber.
func (o outputs) junitColour() string {
	colour := "green"
	for _, s := range o.suites {
		for _, c := range s.Tests {
			switch got := c.colour(); got {
			case "red":
				return got
			case "amber":
				colour = got
			}
		}
	}
	return colour
}

// verdictOf is the test of the verdict suite that stands for a case.
func (o outputs) verdictOf(id string) shownTest {
	for _, s := range o.suites {
		for _, c := range s.Tests {
			if s.Name == "nightly" && (id == c.Name || strings.HasSuffix(id, "::"+c.Name)) {
				return c
			}
		}
	}
	return shownTest{}
}

// ofCase are the contradictions about one case.
func (o outputs) ofCase(c shownCase) []string {
	var out []string
	say := func(output, what, got, wanted string) {
		if got != wanted {
			out = append(out, fmt.Sprintf("%s of the %s case: %s says %q, verdict.json %q", what, map[bool]string{true: "companion", false: "recorded"}[c.ID == companionCase], output, got, wanted))
		}
	}
	short := strings.TrimSuffix(c.ID[strings.Index(c.ID, "[")+1:], "]")
	label := labelOf(c)
	say("the console", "kind", first(`(?m)^  ([A-Za-z ]+?)  `+regexp.QuoteMeta(c.ID), o.console), label)
	say("summary.md", "kind", first(`(?m)^(?:### \S+|-) ([A-Za-z ]+?):? `+regexp.QuoteMeta(strings.ReplaceAll(short, "_", `\_`)), o.summary), label)
	say("index.html", "kind", first(`<span class="badge \w+">([^<]*)</span></td><th scope="row"><a href="[^"]*">`+regexp.QuoteMeta(short), o.index), label)
	test := o.verdictOf(c.ID)
	say("junit.xml", "colour", test.colour(), colourOf(c.ExitCode))
	out = append(out, o.worstOf(c, test)...)
	if c.Finding == nil || c.Finding.Root == "" || colourOf(c.ExitCode) != "red" {
		return out
	}
	root := c.Finding.Root
	say("junit.xml", "root", test.property("root_cause"), root)
	for name, text := range map[string]string{"the console": o.console, "summary.md": o.summary, "index.html": o.index} {
		if !strings.Contains(strings.ReplaceAll(text, `\`, ""), root) {
			out = append(out, fmt.Sprintf("root: %s does not name %s", name, root))
		}
	}
	return out
}

// worstOf are the outputs that do not name the worst metric of a case that passed its
// tests, and not its numbers.
func (o outputs) worstOf(c shownCase, test shownTest) []string {
	if c.Worst == nil || len(c.Problems) > 0 || c.Outcome != "passed" || colourOf(c.ExitCode) == "green" || c.Result == "test_failed" || c.Result == "skipped" {
		return nil
	}
	name := strings.TrimSuffix(c.Worst.Metric+" at "+c.Worst.Point, " at ")
	message := ""
	for _, r := range []*shownResult{test.Failure, test.Error, test.Skipped} {
		if r != nil {
			message = r.Message
		}
	}
	var out []string
	for output, text := range map[string]string{"the console": o.console, "summary.md": o.summary, "index.html": o.index, "junit.xml": message} {
		if !strings.Contains(strings.ReplaceAll(text, `\`, ""), name) {
			out = append(out, "worst: "+output+" does not name "+name)
		}
	}
	return out
}
