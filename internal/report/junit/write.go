package junit

import (
	"bufio"
	"cmp"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	jr "github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// Property is one <property>. Names may repeat.
type Property = jr.Property

// head is how every report of ours begins, so that it is known again.
const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<!-- ci-disagg -->\n"

// Ours reports whether r begins like a report that a Writer wrote.
func Ours(r io.Reader) bool {
	got := make([]byte, len(head))
	n, _ := io.ReadFull(r, got) // what is too short, or cannot be read, is not ours
	return string(got[:n]) == head
}

// Writer writes a report: Begin, then for each suite BeginSuite, its cases, and EndSuite, then End. All text is cleaned
// on the way. The first error is kept and given by End.
type Writer struct {
	w         *bufio.Writer
	id        int   // of the next suite
	size      int64 // bytes so far
	attribute *strings.Replacer
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{
		w:         bufio.NewWriterSize(w, 256<<10),
		attribute: strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;"),
	}
}

// Begin starts the report.
func (w *Writer) Begin(name string, c Counts, t time.Duration) {
	w.raw(head)
	w.counted("testsuites", name, c)
	w.attr("time", Seconds(t))
	w.raw(">")
}

// BeginSuite starts a suite. Of s its name, attributes and properties matter; what it
// declares itself gives way to c and t.
func (w *Writer) BeginSuite(s *Suite, c Counts, t time.Duration) {
	w.raw("\n  ")
	w.counted("testsuite", s.Name, c)
	w.attr("id", strconv.Itoa(w.id))
	w.attr("time", Seconds(t))
	w.id++
	w.attrs(s.Attrs, "name", "tests", "failures", "errors", "skipped", "id", "time", "disabled") // recounted
	w.raw(">")
	if len(s.Properties) > 0 {
		w.raw("\n    ")
		w.properties(s.Properties)
	}
}

// EndSuite ends a suite with its output.
func (w *Writer) EndSuite(out, errs []string) {
	w.outputs("\n    ", out, errs)
	w.raw("\n  </testsuite>")
}

// End ends the report.
func (w *Writer) End() error {
	w.raw("\n</testsuites>\n")
	return w.w.Flush()
}

// Flush writes out what is buffered.
func (w *Writer) Flush() error { return w.w.Flush() }

// Size is how many bytes were written so far.
func (w *Writer) Size() int64 { return w.size }

// Raw writes a case as it stands in an input. It must be one that Read calls plain.
func (w *Writer) Raw(raw []byte) {
	w.raw("\n    ", xmltext.OwnString(raw))
}

// Case writes one case. It must have results of one class only, or its readers
// will disagree: skipped beats failure for Jenkins, and loses to it for GitLab.
func (w *Writer) Case(c *Case) {
	w.raw("\n    ")
	w.tag("testcase", "classname", c.Classname, "name", c.Name, "time", Seconds(c.Time))
	w.attrs(c.Attrs, "classname", "name", "time")
	if len(c.Properties)+len(c.Results)+len(c.Reruns)+len(c.SystemOut)+len(c.SystemErr) == 0 {
		w.raw("/>")
		return
	}
	w.raw(">")
	if len(c.Properties) > 0 {
		w.properties(c.Properties)
	}
	for _, r := range c.Results {
		w.result(r)
	}
	for _, r := range c.Reruns {
		w.rerun(r)
	}
	w.outputs("", c.SystemOut, c.SystemErr)
	w.end("testcase")
}

func (w *Writer) outputs(before string, out, errs []string) {
	for _, t := range out {
		w.raw(before)
		w.element("system-out", t)
	}
	for _, t := range errs {
		w.raw(before)
		w.element("system-err", t)
	}
}

func (w *Writer) result(r Result) {
	name := string(r.Status)
	if r.Status != Errored && r.Status != Skipped {
		name = "failure"
	}
	w.tag(name, "message", r.Message)
	if r.Type != "" {
		w.attr("type", r.Type)
	}
	w.attrs(r.Attrs, "message", "type")
	w.raw(">")
	w.cdata(r.Text)
	w.end(name)
}

func (w *Writer) rerun(r Rerun) {
	w.tag(string(r.Kind))
	if r.Message != "" {
		w.attr("message", r.Message)
	}
	w.attr("type", r.Type)
	w.raw(">")
	for _, part := range [...][2]string{{"stackTrace", r.StackTrace}, {"system-out", r.SystemOut}, {"system-err", r.SystemErr}} {
		if part[1] != "" {
			w.element(part[0], part[1])
		}
	}
	w.end(string(r.Kind))
}

func (w *Writer) properties(props []Property) {
	w.raw("<properties>")
	for _, p := range props {
		w.tag("property", "name", p.Name, "value", p.Value)
		w.raw("/>")
	}
	w.end("properties")
}

// tag begins a start tag with attributes, a name and a value each.
func (w *Writer) tag(name string, attrs ...string) {
	w.raw("<", name)
	for i := 0; i < len(attrs); i += 2 {
		w.attr(attrs[i], attrs[i+1])
	}
}

func (w *Writer) end(name string) { w.raw("</", name, ">") }

// attrs writes further attributes under names that XML takes, but for some. Of two that
// get one name the last stays: a repeated attribute makes the whole file unreadable.
func (w *Writer) attrs(attrs []Attr, but ...string) {
	for i, a := range attrs {
		name := xmlName(a.Name)
		again := func(b Attr) bool { return xmlName(b.Name) == name }
		if !slices.Contains(but, name) && !slices.ContainsFunc(attrs[i+1:], again) {
			w.attr(name, a.Value)
		}
	}
}

func (w *Writer) attr(name, value string) {
	w.raw(" ", name, `="`)
	n, _ := w.attribute.WriteString(w.w, Clean(value)) // not in one piece: it may be large
	w.size += int64(n)
	w.raw(`"`)
}

// counted begins the tag of a suite, or of the whole report.
func (w *Writer) counted(tag, name string, c Counts) {
	w.tag(tag, "name", name, "tests", strconv.Itoa(c.Tests), "failures", strconv.Itoa(c.Failures), "errors", strconv.Itoa(c.Errors), "skipped", strconv.Itoa(c.Skipped))
}

func (w *Writer) element(name, text string) {
	w.tag(name)
	w.raw(">")
	w.cdata(text)
	w.end(name)
}

// cdata writes text, split where it would end the section.
func (w *Writer) cdata(text string) {
	if text != "" {
		w.raw("<![CDATA[", strings.ReplaceAll(Clean(text), "]]>", "]]]]><![CDATA[>"), "]]>")
	}
}

func (w *Writer) raw(parts ...string) {
	for _, s := range parts {
		n, _ := w.w.WriteString(s) // it keeps its error until Flush
		w.size += int64(n)
	}
}

// xmlName is name if every reader takes it for the name of an element or attribute, else a form of it that they take.
func xmlName(name string) string {
	out := []byte(name)
	for i, c := range out {
		if c|0x20 < 'a' && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) || c|0x20 > 'z' {
			out[i] = '_'
		}
	}
	return cmp.Or(string(out), "_")
}

// Document is a whole report of values.
type Document struct {
	Name   string
	Time   time.Duration
	Suites []DocumentSuite
}

// DocumentSuite is one suite of a Document: its output is that of Suite.
type DocumentSuite struct {
	Suite Suite
	Time  time.Duration
	Cases []*Case
}

// Counts counts the cases of all suites.
func (d *Document) Counts() (all Counts) {
	for i := range d.Suites {
		all = all.Plus(d.Suites[i].Counts())
	}
	return all
}

// Counts counts the cases of the suite.
func (s *DocumentSuite) Counts() (c Counts) {
	for _, one := range s.Cases {
		c.Add(one.Status())
	}
	return c
}

// WriteDocument writes d to w. It gives the size, also where w fails.
func WriteDocument(w io.Writer, d *Document) (int64, error) {
	x := NewWriter(w)
	x.Begin(d.Name, d.Counts(), d.Time)
	for i := range d.Suites {
		s := &d.Suites[i]
		x.BeginSuite(&s.Suite, s.Counts(), s.Time)
		for _, c := range s.Cases {
			x.Case(c)
		}
		x.EndSuite(s.Suite.SystemOut, s.Suite.SystemErr)
	}
	err := x.End()
	return x.Size(), err
}

// Decisions are what Audit has to find in the written report.
func (d *Document) Decisions() iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for _, s := range d.Suites {
			for _, c := range s.Cases {
				if !yield(Decision{s.Suite.Name, c.Classname, c.Name, c.Status()}) {
					return
				}
			}
		}
	}
}
