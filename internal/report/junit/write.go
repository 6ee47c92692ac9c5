package junit

import (
	"bufio"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	jr "github.com/jstemmer/go-junit-report/v2/junit"
)

// Property is one <property>. Names may repeat.
type Property = jr.Property

// WriteOptions are the form of a report.
type WriteOptions struct {
	// StrictXSD leaves out what the Jenkins xUnit plugin's junit-10.xsd does not
	// allow: properties and further attributes of cases, unknown elements, counts
	// of skipped tests on the root, fractions of milliseconds.
	StrictXSD bool
}

const (
	mark = "<!-- ci-disagg -->"
	// head is how every report of ours begins, so that it is known again.
	head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + mark + "\n"
)

// Ours reports whether r begins like a report that a Writer wrote.
func Ours(r io.Reader) bool {
	got := make([]byte, len(head))
	n, _ := io.ReadFull(r, got) // what is too short, or cannot be read, is not ours
	return string(got[:n]) == head
}

// Writer writes a report: Begin, then for each suite BeginSuite, its cases, and
// EndSuite, then End. All text is cleaned on the way. The first error is kept and
// given by End.
type Writer struct {
	w  *bufio.Writer
	o  WriteOptions
	id int // of the next suite
	n  int64
}

// NewWriter writes to w.
func NewWriter(w io.Writer, o WriteOptions) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 256<<10), o: o}
}

// Begin starts the report.
func (w *Writer) Begin(name string, c Counts, t time.Duration) {
	root := jr.Testsuites{Name: name, Time: w.seconds(t), Tests: c.Tests, Failures: c.Failures, Errors: c.Errors, Skipped: c.Skipped}
	w.raw(head)
	w.raw("<testsuites")
	w.attr("name", root.Name)
	w.number("tests", root.Tests)
	w.number("failures", root.Failures)
	w.number("errors", root.Errors)
	if !w.o.StrictXSD {
		w.number("skipped", root.Skipped)
	}
	w.attr("time", root.Time)
	w.raw(">")
}

// BeginSuite starts a suite. Of s its name, attributes, properties and results
// matter; what it declares itself gives way to c and t.
func (w *Writer) BeginSuite(s *Suite, c Counts, t time.Duration) {
	x := jr.Testsuite{Name: s.Name, Tests: c.Tests, Failures: c.Failures, Errors: c.Errors, Skipped: c.Skipped, ID: w.id, Time: w.seconds(t)}
	w.id++
	w.raw("\n  <testsuite")
	w.attr("name", x.Name)
	w.number("tests", x.Tests)
	w.number("failures", x.Failures)
	w.number("errors", x.Errors)
	w.number("skipped", x.Skipped)
	w.number("id", x.ID)
	w.attr("time", x.Time)
	w.attrs(s.Attrs, func(name string) bool {
		switch name {
		case "name", "tests", "failures", "errors", "skipped", "id", "time", "disabled": // recounted
			return false
		case "timestamp", "hostname", "package", "file", "log", "url", "version", "group":
			return true
		default:
			return !w.o.StrictXSD
		}
	})
	w.raw(">")
	if len(s.Properties) > 0 {
		w.raw("\n    ")
		w.properties(s.Properties)
	}
	if !w.o.StrictXSD {
		for _, r := range s.Results {
			w.raw("\n    ")
			w.result(r)
		}
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

// Bytes is the number of bytes written so far.
func (w *Writer) Bytes() int64 { return w.n }

// BeginRaw starts a case that is written as it stands in an input, by Write. It
// must be one that Read calls plain.
func (w *Writer) BeginRaw() { w.raw("\n    ") }

// Write writes a piece of such a case.
func (w *Writer) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return w.w.Write(p)
}

// Case writes one case. It must have results of one class only, or its readers
// will disagree: skipped beats failure for Jenkins, and loses to it for GitLab.
func (w *Writer) Case(c *Case) {
	x := jr.Testcase{Name: c.Name, Classname: c.Classname, Time: w.seconds(c.Time)}
	w.raw("\n    <testcase")
	w.attr("classname", x.Classname)
	w.attr("name", x.Name)
	w.attr("time", x.Time)
	if !w.o.StrictXSD {
		w.attrs(c.Attrs, func(name string) bool { return name != "classname" && name != "name" && name != "time" })
	}
	if len(c.Results)+len(c.Reruns)+len(c.SystemOut)+len(c.SystemErr) == 0 && (w.o.StrictXSD || len(c.Properties)+len(c.Extra) == 0) {
		w.raw("/>")
		return
	}
	w.raw(">")
	if !w.o.StrictXSD && len(c.Properties) > 0 {
		w.properties(c.Properties)
	}
	for _, r := range c.Results {
		w.result(r)
	}
	for _, r := range c.Reruns {
		w.rerun(r)
	}
	w.outputs("", c.SystemOut, c.SystemErr)
	if !w.o.StrictXSD {
		for _, e := range c.Extra {
			name := xmlName(e.Name)
			w.raw("<" + name)
			w.attrs(e.Attrs, nil)
			w.raw(">")
			w.escape(Clean(e.Text), false)
			w.raw("</" + name + ">")
		}
	}
	w.raw("</testcase>")
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
	x := jr.Result{Message: r.Message, Type: r.Type, Data: r.Text}
	name := "failure"
	switch r.Status {
	case Errored:
		name = "error"
	case Skipped:
		name = "skipped"
	default:
	}
	w.raw("<" + name)
	w.attr("message", x.Message)
	if x.Type != "" {
		w.attr("type", x.Type)
	}
	if !w.o.StrictXSD {
		w.attrs(r.Attrs, func(name string) bool { return name != "message" && name != "type" })
	}
	w.raw(">")
	w.cdata(x.Data)
	w.raw("</" + name + ">")
}

func (w *Writer) rerun(r Rerun) {
	w.raw("<" + string(r.Kind))
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
	w.raw("</" + string(r.Kind) + ">")
}

func (w *Writer) properties(props []Property) {
	w.raw("<properties>")
	for _, p := range props {
		w.raw("<property")
		w.attr("name", p.Name)
		w.attr("value", p.Value)
		w.raw("/>")
	}
	w.raw("</properties>")
}

// attrs writes further attributes under names that XML takes. Of two that get one
// name the last stays: a repeated attribute makes the whole file unreadable.
func (w *Writer) attrs(attrs []Attr, keep func(name string) bool) {
	for i, a := range attrs {
		name := xmlName(a.Name)
		again := func() bool {
			for _, b := range attrs[i+1:] {
				if xmlName(b.Name) == name {
					return true
				}
			}
			return false
		}
		if (keep == nil || keep(name)) && !again() {
			w.attr(name, a.Value)
		}
	}
}

func (w *Writer) attr(name, value string) {
	w.raw(" " + name + `="`)
	w.escape(Clean(value), true)
	w.raw(`"`)
}

func (w *Writer) number(name string, n int) { w.raw(" " + name + `="` + strconv.Itoa(n) + `"`) }

func (w *Writer) element(name, text string) {
	w.raw("<" + name + ">")
	w.cdata(text)
	w.raw("</" + name + ">")
}

// cdata writes text, split where it would end the section.
func (w *Writer) cdata(text string) {
	if text == "" {
		return
	}
	w.raw("<![CDATA[")
	text = Clean(text)
	for {
		before, after, ok := strings.Cut(text, "]]>")
		w.raw(before)
		if !ok {
			break
		}
		w.raw("]]]]><![CDATA[>")
		text = after
	}
	w.raw("]]>")
}

// escape writes clean text for an attribute or as character data.
func (w *Writer) escape(s string, attribute bool) {
	last := 0
	for i := range len(s) {
		esc := ""
		switch s[i] {
		case '&':
			esc = "&amp;"
		case '<':
			esc = "&lt;"
		case '>':
			esc = "&gt;"
		case '"':
			esc = "&quot;"
		case '\t':
			esc = "&#x9;"
		case '\n':
			esc = "&#xA;"
		default:
			continue
		}
		if !attribute && (s[i] == '\t' || s[i] == '\n' || s[i] == '"') {
			continue
		}
		w.raw(s[last:i])
		w.raw(esc)
		last = i + 1
	}
	w.raw(s[last:])
}

func (w *Writer) raw(s string) {
	w.n += int64(len(s))
	_, _ = w.w.WriteString(s) // a bufio.Writer keeps its error until Flush
}

// seconds is a time as the form of the report has it.
func (w *Writer) seconds(d time.Duration) string {
	if w.o.StrictXSD {
		return strconv.FormatFloat(float64(min(d, MaxTime).Round(time.Millisecond).Milliseconds())/1000, 'f', 3, 64)
	}
	return Seconds(d)
}

// xmlName is name if every reader takes it for the name of an element or
// attribute, else a form of it that they take.
func xmlName(name string) string {
	ok := func(i int) bool {
		c := name[i]
		return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.')
	}
	for i := range len(name) {
		if !ok(i) {
			b := []byte(name)
			for j := range b {
				if !ok(j) {
					b[j] = '_'
				}
			}
			return string(b)
		}
	}
	if name == "" {
		return "_"
	}
	return name
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

// WriteDocument writes d to w.
func WriteDocument(w io.Writer, d *Document, o WriteOptions) error {
	x := NewWriter(w, o)
	x.Begin(d.Name, d.Counts(), d.Time)
	for i := range d.Suites {
		s := &d.Suites[i]
		x.BeginSuite(&s.Suite, s.Counts(), s.Time)
		for _, c := range s.Cases {
			x.Case(c)
		}
		x.EndSuite(s.Suite.SystemOut, s.Suite.SystemErr)
	}
	return x.End()
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
