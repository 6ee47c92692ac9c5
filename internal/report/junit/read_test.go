package junit

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	gojunit "github.com/joshdk/go-junit"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

const corpusDir = "../../../testdata/junit/corpus"

// truth is what the corpus' manifest says of a file.
type truth struct {
	File   string
	Counts *struct {
		Tests      int
		BySeverity map[string]int `json:"by_severity"`
	}
	Salvage *struct{ Tests int } `json:"salvage_prefix"`
}

func corpus(t testing.TB) []truth {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpusDir, "manifest.json"))
	require.NoError(t, err)
	var m struct{ Files []truth }
	require.NoError(t, json.Unmarshal(data, &m))
	require.Len(t, m.Files, 36)
	return m.Files
}

// severities are the cases per class. The manifest counts children; GoogleTest
// says by attributes which tests did not run.
func (e truth) severities() map[string]int {
	want := e.Counts.BySeverity
	if e.File == "gtest__jenkinsci__input.xml" {
		want = maps.Clone(want)
		want["passed"] -= 3
		want["skipped"] += 3
	}
	return want
}

func (e truth) bytes(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpusDir, e.File))
	require.NoError(t, err)
	return data
}

// readAll reads a document into memory.
func readAll(r io.Reader, o ReadOptions) (File, []*Case, []*Suite, error) {
	var cases []*Case
	var suites []*Suite
	f, err := Read(r, "test.xml", o, Visitor{
		Case:  func(c *Case) error { cases = append(cases, c); return nil },
		Suite: func(s *Suite) error { suites = append(suites, s); return nil },
	})
	return f, cases, suites, err
}

func readString(s string) (File, []*Case, []*Suite, error) {
	return readAll(strings.NewReader(s), ReadOptions{})
}

func TestCorpusCounts(t *testing.T) {
	t.Parallel()
	for _, e := range corpus(t) {
		t.Run(e.File, func(t *testing.T) {
			t.Parallel()
			f, cases, _, err := readAll(bytes.NewReader(e.bytes(t)), ReadOptions{})
			require.Len(t, cases, f.Counts.Tests)
			if e.Counts == nil {
				require.GreaterOrEqual(t, len(cases), e.Salvage.Tests)
				return
			}
			if e.File == "notjunit__EnricoMi__non-junit.xml" {
				var p *Problem
				require.ErrorAs(t, err, &p)
				require.Equal(t, NoSuites, p.Kind)
				return
			}
			require.NoError(t, err)
			want := e.severities()
			require.Equal(t, Counts{e.Counts.Tests, want["failed"], want["error"], want["skipped"]}, f.Counts)
			var c Counts
			for _, k := range cases {
				c.Add(k.Status())
			}
			require.Equal(t, f.Counts, c)
		})
	}
}

// TestCorpusAgainstGoJUnit holds every name and status that go-junit reads of a
// whole file against what the guard reads of the same file.
func TestCorpusAgainstGoJUnit(t *testing.T) {
	t.Parallel()
	compared := 0
	for _, e := range corpus(t) {
		if e.Counts == nil {
			continue
		}
		suites, err := gojunit.Ingest(e.bytes(t))
		if err != nil {
			continue // go-junit refuses some that are well-formed
		}
		var want []string
		var add func(s gojunit.Suite)
		add = func(s gojunit.Suite) {
			for _, k := range s.Tests {
				want = append(want, k.Classname+"\x00"+k.Name)
			}
			for _, sub := range s.Suites {
				add(sub)
			}
		}
		for _, s := range suites {
			add(s)
		}
		_, cases, _, _ := readAll(bytes.NewReader(e.bytes(t)), ReadOptions{})
		var got []string
		for _, c := range cases {
			if c.Suite != nil {
				got = append(got, c.Classname+"\x00"+c.Name)
			}
		}
		require.ElementsMatch(t, want, got, e.File)
		compared++
	}
	require.Greater(t, compared, 28)
}

// TestCut cuts every corpus file at many bytes: exactly the cases that were
// closed before the cut are salvaged.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, e := range corpus(t) {
		if e.Counts == nil || e.Counts.Tests == 0 {
			continue
		}
		t.Run(e.File, func(t *testing.T) {
			t.Parallel()
			data := e.bytes(t)
			ends := caseEnds(t, data)
			require.Len(t, ends, e.Counts.Tests)
			cuts := 70
			if len(data) > 100_000 {
				cuts = 7
			}
			for i := range cuts {
				cut := (bytes.LastIndexByte(data, '>')*i)/cuts - i%7
				if cut < 0 {
					cut = 0
				}
				want := 0
				for want < len(ends) && ends[want] <= int64(cut) {
					want++
				}
				f, cases, _, err := readAll(bytes.NewReader(data[:cut]), ReadOptions{})
				require.Len(t, cases, want, "cut at %d", cut)
				require.Equal(t, want, f.Counts.Tests)
				require.Error(t, err, "cut at %d", cut)
			}
		})
	}
}

// caseEnds are the offsets after which each test case is complete, as
// encoding/xml sees them.
func caseEnds(t *testing.T, data []byte) []int64 {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(data))
	var ends []int64
	for {
		tok, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return ends
		}
		require.NoError(t, err)
		if end, ok := tok.(xml.EndElement); ok && end.Name.Local == "testcase" {
			ends = append(ends, d.InputOffset())
		}
	}
}

func TestReadKeepsEverything(t *testing.T) {
	t.Parallel()
	const doc = `<?xml version="1.0"?><!DOCTYPE testsuites [<!ENTITY lol "lol">]>
<testsuites name="all" time="3"><properties><property name="p" value="outer"/></properties>
 <testsuite name="a&amp;b" hostname="h" timestamp="2026-01-02T03:04:05" tests="99" package="x.y">
  <properties><property name="k" value="1"/><property name="k" value="2"/><property name="t"> text </property></properties>
  <!-- <testcase name="no"/> -->
  <testcase classname="c" name="n[a&lt;b]" time="1,234.5" file="f.py" line="7" custom="x]]>y">
   <properties><property name="nodeid" value="f.py::n"/><property name="nodeid" value="again"/></properties>
   in &lt;between&gt;
   <failure message="m1" type="T1">one<![CDATA[<two>]]>&#9;three</failure>
   <error message="m2" extra="e"/>
   <skipped>why</skipped>
   <system-out>out1</system-out><system-out>out2 <b x="1">bold<br/></b></system-out>
   <system-err><![CDATA[a]]]]><![CDATA[>b]]></system-err>
   <flakyFailure message="fm" type="ft"><stackTrace>st</stackTrace><system-out>so</system-out><system-err>se</system-err></flakyFailure>
   <rerunError type="re">direct text</rerunError>
   <assertions><one a="b">x</one></assertions>
  </testcase>
  <testsuite name="nested"><testcase name="inner"/><error message="suite broke">boom</error></testsuite>
  of the suite
  <system-out>suite out</system-out><system-err>suite err</system-err><custom>kept</custom>
 </testsuite>
 <testcase name="outside" classname="o"/><![CDATA[of the root]]>
</testsuites>`
	f, cases, suites, err := readString(doc)
	require.NoError(t, err)
	require.Equal(t, "testsuites", f.Root)
	require.Equal(t, []Attr{{"name", "all"}, {"time", "3"}}, f.Outer.Attrs)
	require.Equal(t, []Property{{Name: "p", Value: "outer"}}, f.Outer.Properties)
	require.Equal(t, []string{"of the root"}, f.Outer.SystemOut)
	require.Equal(t, Counts{Tests: 3, Errors: 1}, f.Counts)
	require.Len(t, cases, 3)

	c := cases[0]
	require.Equal(t, "n[a<b]", c.Name)
	require.Equal(t, "c", c.Classname)
	require.Equal(t, 1234500*time.Millisecond, c.Time)
	require.Equal(t, []Attr{{"custom", "x]]>y"}, {"file", "f.py"}, {"line", "7"}}, c.Attrs)
	require.Equal(t, []Property{{Name: "nodeid", Value: "f.py::n"}, {Name: "nodeid", Value: "again"}}, c.Properties)
	require.Equal(t, []Result{
		{Status: Failed, Message: "m1", Type: "T1", Text: "one<two>\tthree"},
		{Status: Errored, Message: "m2", Attrs: []Attr{{"extra", "e"}}},
		{Status: Skipped, Text: "why"},
	}, c.Results)
	require.Equal(t, []string{"in <between>", "out1", `out2 <b x="1">bold<br/></b>`, `<assertions><one a="b">x</one></assertions>`}, c.SystemOut)
	require.Equal(t, []string{"a]]>b"}, c.SystemErr)
	require.Equal(t, []Rerun{
		{Kind: FlakyFailure, Message: "fm", Type: "ft", StackTrace: "st", SystemOut: "so", SystemErr: "se"},
		{Kind: RerunError, Type: "re", StackTrace: "direct text"},
	}, c.Reruns)
	require.Equal(t, "a&b", c.Suite.Name)

	require.Equal(t, "inner", cases[1].Name)
	require.Equal(t, "nested", cases[1].Suite.Name)
	require.Equal(t, "a&b", cases[1].Suite.Parent.Name)
	require.Equal(t, "outside", cases[2].Name)
	require.Nil(t, cases[2].Suite)

	require.Len(t, suites, 2)
	require.Equal(t, []Result{{Status: Failed, Message: "", Text: ""}}[:0], suites[0].Results[:0])
	require.Equal(t, Errored, suites[0].Results[0].Status)
	require.Equal(t, "boom", suites[0].Results[0].Text)
	outer := suites[1]
	require.Equal(t, []Property{{Name: "k", Value: "1"}, {Name: "k", Value: "2"}, {Name: "t", Value: "text"}}, outer.Properties)
	require.Equal(t, []string{"of the suite", "suite out", "<custom>kept</custom>"}, outer.SystemOut)
	require.Equal(t, []string{"suite err"}, outer.SystemErr)
	require.Equal(t, "x.y", outer.Attr("package"))
	require.Equal(t, 1, outer.Cases)
	require.True(t, outer.Complete)
}

func TestReadProblems(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("<testsuite>", 100)
	tests := map[string]struct {
		in    string
		kind  ProblemKind
		cases int
	}{
		"empty":            {"", Empty, 0},
		"blank":            {" \n\t\r\n", Empty, 0},
		"mark only":        {"\xEF\xBB\xBF", Empty, 0},
		"text":             {"Killed\n", NoSuites, 0},
		"html":             {"<html><body>502</body></html>", NoSuites, 0},
		"wrong case":       {"<TestSuite><TestCase/></TestSuite>", NoSuites, 0},
		"cut in tag":       {"<testsuite><testcase name='a'/><testcase na", Truncated, 1},
		"cut in text":      {"<testsuite><testcase name='a'/><testcase><failure>x", Truncated, 1},
		"cut in cdata":     {"<testsuite><testcase name='a'/><testcase><failure><![CDATA[x", Truncated, 1},
		"cut in comment":   {"<testsuite><testcase name='a'/><!-- ", Truncated, 1},
		"cut after case":   {"<testsuite><testcase name='a'/>", Truncated, 1},
		"mismatch":         {"<testsuite><testcase name='a'/><testcase></testsuite>", Malformed, 1},
		"no quotes":        {"<testsuite><testcase name='a'/><testcase name=b/></testsuite>", Malformed, 1},
		"close nothing":    {"</testsuite>", Malformed, 0},
		"tag in tag":       {"<testsuite><testcase name='a'/><testca\n<testcase name='b'/></testsuite>", Malformed, 1},
		"deep":             {"<testsuite><testcase name='a'/>" + deep, TooLarge, 1},
		"nul in the name":  {"<testsuite><testcase name='a'/><te\x00st/></testsuite>", Malformed, 1},
		"concatenated cut": {"<testsuite><testcase name='a'/></testsuite><testsuite><testcase", Truncated, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cases, _, err := readString(tt.in)
			var p *Problem
			require.ErrorAs(t, err, &p)
			require.Equal(t, tt.kind, p.Kind, p.Error())
			require.Len(t, cases, tt.cases)
			require.Equal(t, tt.cases, p.Cases)
			require.LessOrEqual(t, p.Offset, int64(len(tt.in)))
			require.Contains(t, p.Error(), "test.xml")
		})
	}
}

func TestReadAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, name string }{
		"byte order mark":        {"\xEF\xBB\xBF<testsuite><testcase name='é'/></testsuite>", "é"},
		"latin 1":                {"<?xml version='1.0' encoding='ISO-8859-1'?><testsuite><testcase name='\xe9'/></testsuite>", "é"},
		"windows 1252":           {"<?xml version='1.0' encoding='windows-1252'?><testsuite><testcase name='\x80'/></testsuite>", "€"},
		"ascii":                  {"<?xml version='1.0' encoding='US-ASCII'?><testsuite><testcase name='a'/></testsuite>", "a"},
		"unknown encoding":       {"<?xml version='1.0' encoding='UTF8-ish'?><testsuite><testcase name='é'/></testsuite>", "é"},
		"xml 1.1":                {"<?xml version='1.1'?><testsuite><testcase name='a&#1;b'/></testsuite>", "a\uFFFDb"},
		"utf 16 le":              {utf16("<testsuite><testcase name='é𝄞'/></testsuite>", false, true), "é𝄞"},
		"utf 16 be":              {utf16("<testsuite><testcase name='é'/></testsuite>", true, true), "é"},
		"utf 16 without mark":    {utf16("<testsuite><testcase name='é'/></testsuite>", false, false), "é"},
		"escape":                 {"<testsuite><testcase name='a\x1bb'/></testsuite>", "a\uFFFDb"},
		"nul":                    {"<testsuite><testcase name='a\x00b'/></testsuite>", "a\uFFFDb"},
		"bad utf 8":              {"<testsuite><testcase name='a\xff\xc0b'/></testsuite>", "a\uFFFD\uFFFDb"},
		"noncharacter":           {"<testsuite><testcase name='a\uFFFE'/></testsuite>", "a\uFFFD"},
		"surrogate":              {"<testsuite><testcase name='a&#xD800;'/></testsuite>", "a\uFFFD"},
		"number too large":       {"<testsuite><testcase name='a&#x110000;'/></testsuite>", "a\uFFFD"},
		"bare ampersand":         {"<testsuite><testcase name='a & b'/></testsuite>", "a & b"},
		"html entity":            {"<testsuite><testcase name='a&nbsp;b'/></testsuite>", "a&nbsp;b"},
		"less than in attribute": {"<testsuite><testcase name='a<b'/></testsuite>", "a<b"},
		"less than in text":      {"<testsuite><testcase name='a'><failure>x < 3 && y <= 4 <5 <\n</failure></testcase></testsuite>", "a"},
		"cdata end in attribute": {"<testsuite><testcase name='a]]>b'/></testsuite>", "a]]>b"},
		"c1 reference":           {"<testsuite><testcase name='a&#128;'/></testsuite>", "a\u0080"},
		"line break":             {"<testsuite><testcase name='a\nb\tc\r\nd&#10;e'/></testsuite>", "a b c d\ne"},
		"escape sequence":        {"<testsuite><testcase name='a\x1b[31mb#x1B[0mc'/></testsuite>", "abc"},
		"namespace":              {"<j:testsuite xmlns:j='x'><j:testcase j:name='a'/></j:testsuite>", "a"},
		"junk before":            {"Warning: x\n<?xml version='1.0'?><testsuite><testcase name='a'/></testsuite>", "a"},
		"two documents":          {"<testsuite><testcase name='a'/></testsuite><?xml version='1.0'?>\n<testsuites/>", "a"},
		"dtd bomb":               {`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>`, "&b;"},
		"cdata in a comment":     {"<testsuite><!-- <![CDATA[ --><testcase name='a'/></testsuite>", "a"},
		"repeated attribute":     {"<testsuite><testcase name='x' name='a'/></testsuite>", "a"},
		"long comment":           {"<testsuite><!-- " + strings.Repeat("<testcase/>- ", 20_000) + "--><testcase name='a'/></testsuite>", "a"},
		"long comment in a case": {"<testsuite><testcase name='a'><!-- " + strings.Repeat("<testcase/>- ", 20_000) + "--></testcase></testsuite>", "a"},
		"long instruction":       {"<?xml " + strings.Repeat("<testcase/>? ", 20_000) + "?><testsuite><testcase name='a'/></testsuite>", "a"},
		"long document type":     {"<!DOCTYPE x [<!-- " + strings.Repeat("]> ", 70_000) + "-->]><testsuite><testcase name='a'/></testsuite>", "a"},
		"long junk before":       {strings.Repeat("line of a log < 1 & 2\n", 10_000) + "<testsuite><testcase name='a'/></testsuite>", "a"},
		"bare case":              {"<testcase name='a'/>", "a"},
		"case in a foreign root": {"<report><testsuite><testcase name='a'/></testsuite></report>", "a"},
		"odd attribute names":    {"<testsuite><testcase é='1' a:-b='2' name='a'/></testsuite>", "a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in)), iotest.DataErrReader(strings.NewReader(tt.in))} {
				_, cases, _, err := readAll(r, ReadOptions{})
				require.NoError(t, err)
				require.Len(t, cases, 1)
				require.Equal(t, tt.name, cases[0].Name)
			}
		})
	}
}

// TestWriteAttrsOnce: two attributes that differ only in what XML does not take
// never make a file that is not well-formed.
func TestWriteAttrsOnce(t *testing.T) {
	t.Parallel()
	out := written(t, &Case{Name: "n", Attrs: []Attr{{"é", "1"}, {"è", "2"}, {"name_", "3"}}})
	require.Equal(t, 1, strings.Count(out, " __="))
}

// A file that is not in UTF-8 has other bytes than those that were counted: the message names the line.
func TestProblemInAnotherEncoding(t *testing.T) {
	t.Parallel()
	const doc = "<testsuite>\n<testcase name='é'/>\n</wrong>"
	for in, want := range map[string]string{
		doc:                    "x:3: malformed at byte 34,",
		utf16(doc, true, true): "x:3: malformed at line 3,",
		"<?xml version='1.0' encoding='ISO-8859-1'?>" + strings.ReplaceAll(doc, "é", "\xe9"): "x:3: malformed at line 3,",
	} {
		_, err := Read(strings.NewReader(in), "x", ReadOptions{}, Visitor{})
		require.ErrorContains(t, err, want)
	}
}

// utf16 encodes s, which has to lie in the first planes.
func utf16(s string, big, mark bool) string {
	var out []byte
	put := func(u uint16) {
		if big {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	if mark {
		put(0xFEFF)
	}
	for _, r := range s {
		if r >= 0x10000 {
			put(uint16(0xD800 + (r-0x10000)>>10))
			put(uint16(0xDC00 + (r-0x10000)&0x3FF))
			continue
		}
		put(uint16(r))
	}
	return string(out)
}

// TestReadLongTexts crosses every border of the window with texts that cannot be
// cut anywhere.
func TestReadLongTexts(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"&amp;", "é", "𝄞", "\r\n", "]]]]><![CDATA[>", "&#x1F600;", "&", "a<b/>"} {
		for _, n := range []int{1000, 50_000} {
			for _, shift := range []int{0, 1, 3} {
				body := strings.Repeat("x", shift) + strings.Repeat(unit, n)
				wrap := body
				if strings.Contains(unit, "CDATA") {
					wrap = "<![CDATA[" + body + "]]>"
				}
				_, cases, _, err := readString("<testsuite><testcase name='a'><system-out>" + wrap + "</system-out></testcase></testsuite>")
				require.NoError(t, err)
				want := map[string]string{"&amp;": "&", "\r\n": "\n", "]]]]><![CDATA[>": "]]>", "&#x1F600;": "😀"}[unit]
				if want == "" {
					want = unit
				}
				want = strings.Repeat("x", shift) + strings.Repeat(want, n)
				require.Len(t, cases[0].SystemOut, 1)
				require.True(t, want == cases[0].SystemOut[0], "%q x %d: %d bytes instead of %d", unit, n, len(cases[0].SystemOut[0]), len(want))
			}
		}
	}
}

// TestReadUnescapedLess: what no markup begins with is text, wherever it stands,
// and is counted as repaired.
func TestReadUnescapedLess(t *testing.T) {
	t.Parallel()
	const text = "if (a < b && c <= 4) <5 <\n\"<'"
	doc := "<testsuite><testcase name='a'><failure>" + text + "</failure><system-out>" + strings.Repeat("< ", xmltext.WindowSize) + "</system-out></testcase></testsuite>"
	for _, r := range []io.Reader{strings.NewReader(doc), iotest.OneByteReader(strings.NewReader(doc))} {
		f, cases, _, err := readAll(r, ReadOptions{})
		require.NoError(t, err)
		require.Len(t, cases, 1)
		require.Equal(t, text, cases[0].Results[0].Text)
		require.Equal(t, strings.Repeat("< ", xmltext.WindowSize), cases[0].SystemOut[0])
		require.EqualValues(t, xmltext.WindowSize+5+2, f.Repaired, "each < and &")
	}
}

func TestReadOrderAndOffsets(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("<testsuites>")
	var offsets []int64
	for s := range 7 {
		fmt.Fprintf(&b, "<testsuite name='s%d'>", s)
		for c := range 500 {
			offsets = append(offsets, int64(b.Len()))
			fmt.Fprintf(&b, "<testcase name='%d'>", s*500+c)
			if c%3 == 0 {
				b.WriteString("<properties><property name='a' value='b'/></properties>")
			}
			if c == 100 {
				fmt.Fprintf(&b, "<system-out>%s</system-out>", strings.Repeat("big ", 50_000))
			}
			b.WriteString("</testcase>")
		}
		b.WriteString("</testsuite>")
	}
	b.WriteString("</testsuites>")
	_, cases, suites, err := readString(b.String())
	require.NoError(t, err)
	require.Len(t, suites, 7)
	for i, c := range cases {
		require.Equal(t, fmt.Sprint(i), c.Name)
		require.Equal(t, offsets[i], c.Offset)
		require.Equal(t, fmt.Sprintf("s%d", i/500), c.Suite.Name)
	}
}
