package merge

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gojunit "github.com/joshdk/go-junit"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

const (
	testdata  = "../../../testdata/junit"
	corpusDir = testdata + "/corpus"
)

// truth is what the manifest and the second opinion expect of a corpus file.
type truth struct {
	File   string
	Counts *struct {
		Tests      int
		BySeverity map[string]int `json:"by_severity"`
	}
	Salvage *struct{ Tests int } `json:"salvage_prefix"`
}

// notRun are the cases of a corpus file of which GoogleTest says by an attribute
// that they did not run. The manifest counts children.
func (e truth) notRun() int {
	if e.File == "gtest__jenkinsci__input.xml" {
		return 3
	}
	return 0
}

func (e truth) severities() map[string]int {
	want := maps.Clone(e.Counts.BySeverity)
	want["passed"] -= e.notRun()
	want["skipped"] += e.notRun()
	return want
}

func corpus(t *testing.T) []truth {
	t.Helper()
	var m struct{ Files []truth }
	readJSON(t, filepath.Join(corpusDir, "manifest.json"), &m)
	require.Len(t, m.Files, 36)
	return m.Files
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, v))
}

// mergeFiles merges files under their base names and gives the report.
func mergeFiles(t *testing.T, o Options, noFold bool, paths ...string) (Result, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "merged.xml")
	in := Input{Name: "merged"}
	o.NoFold, o.Audit = noFold, true
	for _, p := range paths {
		in.Files = append(in.Files, File{Path: p, Shown: filepath.Base(p)})
	}
	sum, err := Files(in, out, o)
	require.NoError(t, err)
	require.Equal(t, sum.In, sum.Out+sum.Folded-sum.Synthetic, "conservation")
	return sum, out
}

// read reads a report back.
func read(t *testing.T, path string) (junit.File, []junit.Case) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var cases []junit.Case
	got, err := junit.Read(f, path, junit.ReadOptions{}, junit.Visitor{Case: func(c *junit.Case) error {
		cases = append(cases, *c)
		return nil
	}})
	require.NoError(t, err)
	require.Zero(t, got.Repaired)
	return got, cases
}

// tool runs a tool of the distribution and gives what it prints.
func tool(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	need.Programs(t, "libxml2-utils python3-lxml", name)
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", stderr.String(), out)
	return out
}

// xmllint holds files against a tool that the quick loop has not: there, all else of a test is held.
func xmllint(t *testing.T, paths ...string) {
	if testing.Short() {
		return
	}
	tool(t, "xmllint", append([]string{"--noout", "--huge"}, paths...)...)
}

// opinion is what the second opinion says of a file.
type opinion struct {
	Totals map[string]int
	Suites map[string]map[string]int
	Cases  []struct{ Suite, Package, Own, Classname, Name, Status string }
}

func secondOpinion(t *testing.T, paths ...string) []opinion {
	t.Helper()
	out := tool(t, "/usr/bin/python3", append([]string{testdata + "/second_opinion.py"}, paths...)...)
	var all []opinion
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var o opinion
		require.NoError(t, json.Unmarshal(sc.Bytes(), &o))
		all = append(all, o)
	}
	require.NoError(t, sc.Err())
	require.Len(t, all, len(paths))
	return all
}

// TestCorpus merges every file of the corpus alone, in all forms.
func TestCorpus(t *testing.T) {
	t.Parallel()
	var reports []string
	for _, e := range corpus(t) {
		path := filepath.Join(corpusDir, e.File)
		sum, out := mergeFiles(t, Options{}, true, path)
		reports = append(reports, out)
		added := junit.Counts{}
		for _, s := range sum.Suites {
			if s.Name == "merged.lifecycle" {
				added = s.Counts
			}
		}
		own := junit.Counts{Tests: sum.Counts.Tests - added.Tests, Failures: sum.Counts.Failures, Errors: sum.Counts.Errors - added.Errors, Skipped: sum.Counts.Skipped - added.Skipped}
		if e.Counts == nil {
			require.GreaterOrEqual(t, own.Tests, e.Salvage.Tests, e.File)
			require.NotEmpty(t, sum.Files[0].Problem+strings.Join(sum.Warnings, ""), e.File)
		} else {
			want := e.severities()
			require.Equal(t, junit.Counts{Tests: e.Counts.Tests, Failures: want["failed"], Errors: want["error"], Skipped: want["skipped"]}, own, e.File)
		}
		again, _ := read(t, out)
		require.Equal(t, sum.Counts, again.Counts)
		goJUnitAgrees(t, out, sum.Counts)

		_, out = mergeFiles(t, Options{}, false, path)
		reports = append(reports, out)
		_, out = mergeFiles(t, Options{NoCaps: true}, true, path)
		reports = append(reports, out)
	}
	xmllint(t, reports...)
	readersAgree(t, reports...)
}

// readersAgree holds what lxml reads of reports by Jenkins' rules against what
// go-junit reads: suite, class, name and status of every case.
func readersAgree(t *testing.T, paths ...string) {
	t.Helper()
	for i, o := range secondOpinion(t, paths...) {
		suites, err := gojunit.IngestFile(paths[i])
		require.NoError(t, err)
		var want []string
		for _, s := range suites {
			for _, c := range s.Tests {
				status := strings.Replace(string(c.Status), "error", "failed", 1) // one thing for Jenkins
				want = append(want, strings.Join([]string{s.Package, s.Name, c.Classname, c.Name, status}, "\x00"))
			}
		}
		var got []string
		for _, c := range o.Cases {
			got = append(got, strings.Join([]string{c.Package, c.Own, c.Classname, c.Name, c.Status}, "\x00"))
		}
		require.Equal(t, want, got, paths[i])
	}
}

// goJUnitAgrees reads a report with go-junit alone and compares the totals.
func goJUnitAgrees(t *testing.T, path string, want junit.Counts) {
	t.Helper()
	suites, err := gojunit.IngestFile(path)
	require.NoError(t, err)
	var got junit.Counts
	for _, s := range suites {
		got = got.Plus(junit.Counts{Tests: s.Totals.Tests, Failures: s.Totals.Failed, Errors: s.Totals.Error, Skipped: s.Totals.Skipped})
	}
	require.Equal(t, want, got, path)
}

// TestSecondOpinion has an independent reader count the merged corpus files by
// the rules of the Jenkins plugin: the numbers that were committed before it
// first ran, and for each case the same class as in the original.
func TestSecondOpinion(t *testing.T) {
	t.Parallel()
	var want struct {
		Files map[string]map[string]int
	}
	readJSON(t, testdata+"/expected-jenkins.json", &want)
	var files []truth
	var originals, merged []string
	for _, e := range corpus(t) {
		path := filepath.Join(corpusDir, e.File)
		_, out := mergeFiles(t, Options{NoCaps: true}, true, path)
		merged = append(merged, out)
		files = append(files, e)
		if e.Counts != nil {
			originals = append(originals, path)
		}
	}
	before := secondOpinion(t, originals...)
	for i, o := range secondOpinion(t, merged...) {
		name := files[i].File
		got := make(map[string]int)
		var cases []string
		for _, c := range o.Cases {
			if c.Suite != "merged.lifecycle" {
				got[c.Status]++
				cases = append(cases, c.Classname+"\x00"+c.Name+"\x00"+c.Status)
			}
		}
		if n, broken := want.Files[name]["at_least"]; broken {
			require.GreaterOrEqual(t, got["passed"]+got["failed"]+got["skipped"], n, name)
			continue
		}
		for _, s := range []string{"passed", "failed", "skipped"} {
			n := map[string]int{"passed": -files[i].notRun(), "skipped": files[i].notRun()}[s]
			require.Equal(t, want.Files[name][s]+n, got[s], "%s: %s", name, s)
		}
		at := slices.IndexFunc(originals, func(p string) bool { return filepath.Base(p) == name })
		var original []string
		for _, c := range before[at].Cases {
			class := cmp.Or(c.Classname, c.Suite)
			if strings.HasPrefix(class, "(") { // a file, whose dot is no package
				class = fold.Dotless(class)
			}
			original = append(original, class+"\x00"+c.Name+"\x00"+c.Status)
		}
		if files[i].notRun() == 0 { // Jenkins does not see that they did not run
			require.ElementsMatch(t, original, cases, name)
		}
	}
}

// write puts a document into a file of its own directory.
func write(t *testing.T, dir, name, doc string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(doc), 0o600))
	return path
}

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// TestMetamorphic: shuffled inputs give the same bytes; so does a file cut in
// two; merging the result again changes nothing; an empty file adds exactly one
// case.
func TestMetamorphic(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, e := range corpus(t) {
		paths = append(paths, filepath.Join(corpusDir, e.File))
	}
	sum, first := mergeFiles(t, Options{}, false, paths...)
	want := contents(t, first)

	shuffled := slices.Clone(paths)
	slices.Reverse(shuffled)
	shuffled = append(shuffled[7:], shuffled[:7]...)
	_, out := mergeFiles(t, Options{}, false, append(shuffled, paths[3])...)
	require.Equal(t, want, contents(t, out), "order and repetition of arguments")

	again := Options{}
	res, out := Input{Name: "merged", Files: []File{{Path: first, Shown: "merged.xml"}}}, filepath.Join(t.TempDir(), "merged.xml")
	sum2, err := Files(res, out, again)
	require.NoError(t, err)
	require.Equal(t, sum.Counts, sum2.Counts)
	require.Equal(t, strings.Split(want, "\n"), strings.Split(contents(t, out), "\n"), "merged twice")

	empty := write(t, t.TempDir(), "zzz.xml", "")
	sum3, _ := mergeFiles(t, Options{}, false, append(paths, empty)...)
	require.Equal(t, sum.Counts.Tests+1, sum3.Counts.Tests)
	require.Equal(t, sum.Counts.Errors+1, sum3.Counts.Errors)
}

func TestSplitInTwo(t *testing.T) {
	t.Parallel()
	const head = `<testsuites name="pytest tests"><testsuite name="pytest" hostname="h" timestamp="2026-01-02T03:04:05Z" time="9">`
	var all strings.Builder
	var half [2]strings.Builder
	for i := range 10 {
		c := fmt.Sprintf(`<testcase classname="c" name="t%d" time="0.1"><system-out>o%d</system-out></testcase>`, i, i)
		all.WriteString(c)
		half[i/5].WriteString(c)
	}
	const foot = "</testsuite></testsuites>"
	dir := t.TempDir()
	one := write(t, dir, "r.xml", head+all.String()+foot)
	_, whole := mergeFiles(t, Options{}, false, one)
	_, parts := mergeFiles(t, Options{}, false, write(t, dir, "r.1.xml", head+half[0].String()+foot), write(t, dir, "r.2.xml", head+half[1].String()+foot))
	require.Equal(t, contents(t, whole), contents(t, parts))
}

func suiteDoc(name string, cases ...string) string {
	return `<testsuites><testsuite name="` + name + `">` + strings.Join(cases, "") + "</testsuite></testsuites>"
}

func one(t *testing.T, path string) *junit.Case {
	t.Helper()
	_, cases := read(t, path)
	require.Len(t, cases, 1)
	return &cases[0]
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := write(t, dir, "good.xml", suiteDoc("s", `<testcase classname="c" name="t"/>`))
	tests := map[string]struct{ doc, kind, message string }{
		"empty.xml":     {"", "ci-disagg.results-empty", "empty.xml is empty"},
		"html.xml":      {"<html/>", "ci-disagg.results-not-junit", "html.xml is not JUnit XML: the root element is <html>"},
		"truncated.xml": {`<testsuite name="s"><testcase classname="c" name="cut1"/><testcase na`, "ci-disagg.results-truncated", "truncated.xml truncated at byte 69, 1 cases salvaged"},
		"malformed.xml": {`<testsuite name="s"><testcase classname="c" name="mal1"/></foo>`, "ci-disagg.results-malformed", "malformed.xml malformed at byte 57, 1 cases salvaged"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum, out := mergeFiles(t, Options{}, false, good, write(t, t.TempDir(), name, tt.doc))
			require.Equal(t, 1, sum.Counts.Errors)
			require.Equal(t, 1, sum.Synthetic)
			_, cases := read(t, out)
			last := cases[len(cases)-1]
			require.Equal(t, name, last.Name)
			require.Equal(t, "merged.lifecycle.files", last.Classname)
			require.Equal(t, tt.kind, last.Results[0].Type)
			require.Equal(t, tt.message, last.Results[0].Message)
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		sum, _ := mergeFiles(t, Options{}, false, good, filepath.Join(dir, "nope.xml"))
		require.Equal(t, "nope.xml cannot be read: no such file or directory", sum.Red[0].Message)
	})
	t.Run("nothing at all", func(t *testing.T) {
		t.Parallel()
		sum, _ := mergeFiles(t, Options{}, false)
		require.Equal(t, junit.Counts{Tests: 1, Errors: 1}, sum.Counts)
	})
	t.Run("no cases", func(t *testing.T) {
		t.Parallel()
		none := write(t, t.TempDir(), "none.xml", "<testsuites/>")
		sum, _ := mergeFiles(t, Options{}, false, none)
		require.Equal(t, junit.Counts{Tests: 1, Errors: 1}, sum.Counts, "no evidence, no green")
		sum, _ = mergeFiles(t, Options{}, false, good, none)
		require.Equal(t, junit.Counts{Tests: 2, Errors: 1}, sum.Counts, "in company, too")
		sum, _ = mergeFiles(t, Options{Empty: fold.Skip}, false, good, none)
		require.Equal(t, junit.Counts{Tests: 2, Skipped: 1}, sum.Counts)
		sum, _ = mergeFiles(t, Options{Empty: fold.Pass}, false, none)
		require.Equal(t, junit.Counts{Tests: 1}, sum.Counts)
	})
}

// TestReportSurvivesFailure: what was there stays if the new report cannot be
// written.
func TestReportSurvivesFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := write(t, dir, "out/junit.xml", "old")
	nowhere := filepath.Join(out, "no", "directory")
	big := write(t, dir, "big.xml", suiteDoc("s", `<testcase name="t"><system-out>`+strings.Repeat("x", 6<<20)+"</system-out></testcase>"))
	require.NoError(t, os.WriteFile(out, []byte("old"), 0o600))
	_, err := Files(Input{Name: "m", Files: []File{{Path: big}, {Path: dir + "/missing"}}}, out, Options{Dir: nowhere, NoCaps: true})
	require.Error(t, err)
	require.Equal(t, "old", contents(t, out))
	left, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	require.Len(t, left, 1)
}
