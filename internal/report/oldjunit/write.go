package junit

import (
	"bufio"
	"encoding/xml"
	"io"
	"slices"
	"strconv"
	"time"

	jr "github.com/jstemmer/go-junit-report/v2/junit"
)

// WriteOptions are the form of a report.
type WriteOptions struct {
	// StrictXSD leaves out what the Jenkins xUnit plugin's junit-10.xsd does not
	// allow: properties and further attributes of cases, unknown elements, counts
	// of skipped tests on the root.
	StrictXSD bool
}

// caseXML is the library's Testcase with what it is too small for.
type caseXML struct {
	XMLName    xml.Name       `xml:"testcase"`
	Properties *[]jr.Property `xml:"properties>property,omitempty"`
	jr.Testcase
	Attrs   []xml.Attr `xml:",any,attr"`
	Results []resultXML
	Reruns  []rerunXML
	Out     []jr.Output `xml:"system-out"`
	Err     []jr.Output `xml:"system-err"`
	Extra   []extraXML
}

type resultXML struct {
	XMLName xml.Name
	jr.Result
	Attrs []xml.Attr `xml:",any,attr"`
}

type rerunXML struct {
	XMLName xml.Name
	Message string     `xml:"message,attr,omitempty"`
	Type    string     `xml:"type,attr"`
	Stack   *jr.Output `xml:"stackTrace,omitempty"`
	Out     *jr.Output `xml:"system-out,omitempty"`
	Err     *jr.Output `xml:"system-err,omitempty"`
}

type extraXML struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Data    string     `xml:",chardata"`
}

// CaseEncoder writes test cases one after the other, each on a line of its own.
// All text is cleaned on the way.
type CaseEncoder struct {
	w   *bufio.Writer
	enc *xml.Encoder
	o   WriteOptions
	c   caseXML // reused
	buf []byte  // likewise
}

// NewCaseEncoder writes to w. Encode flushes nothing; Flush does.
func NewCaseEncoder(w io.Writer, o WriteOptions) *CaseEncoder {
	bw := bufio.NewWriterSize(w, 64<<10)
	return &CaseEncoder{w: bw, enc: xml.NewEncoder(bw), o: o}
}

// Flush writes out what is buffered.
func (e *CaseEncoder) Flush() error { return e.w.Flush() }

// Buffered is the number of bytes that Flush would write.
func (e *CaseEncoder) Buffered() int { return e.w.Buffered() }

// Encode writes one case. The case must have results of one class only, or its
// readers will disagree: skipped beats failure for Jenkins, and loses to it for
// GitLab.
func (e *CaseEncoder) Encode(c *Case) error {
	if _, err := e.w.WriteString("\n    "); err != nil {
		return err
	}
	if plain(c) {
		return e.encodePlain(c)
	}
	return e.encodeAny(c)
}

// encodeAny writes a case of any shape.
func (e *CaseEncoder) encodeAny(c *Case) error {
	x := &e.c
	*x = caseXML{Results: x.Results[:0], Reruns: x.Reruns[:0], Out: x.Out[:0], Err: x.Err[:0]}
	x.Name, x.Classname, x.Time = Clean(c.Name), Clean(c.Classname), Seconds(c.Time)
	for _, r := range c.Results {
		x.Results = append(x.Results, e.result(r))
	}
	for _, r := range c.Reruns {
		x.Reruns = append(x.Reruns, rerun(r))
	}
	x.Out = outputs(x.Out, c.SystemOut)
	x.Err = outputs(x.Err, c.SystemErr)
	if !e.o.StrictXSD {
		x.Properties = properties(c.Properties)
		x.Attrs = xmlAttrs(c.Attrs)
		for _, extra := range c.Extra {
			x.Extra = append(x.Extra, extraXML{XMLName: xml.Name{Local: xmlName(extra.Name)}, Attrs: xmlAttrs(extra.Attrs), Data: Clean(extra.Text)})
		}
	}
	return e.enc.Encode(x)
}

func (e *CaseEncoder) result(r Result) resultXML {
	x := resultXML{XMLName: xml.Name{Local: resultName(r.Status)}, Result: jr.Result{Message: Clean(r.Message), Type: Clean(r.Type), Data: Clean(r.Text)}}
	if !e.o.StrictXSD {
		x.Attrs = xmlAttrs(r.Attrs)
	}
	return x
}

func resultName(s Status) string {
	switch s {
	case Errored:
		return "error"
	case Skipped:
		return "skipped"
	default:
		return "failure"
	}
}

func rerun(r Rerun) rerunXML {
	return rerunXML{
		XMLName: xml.Name{Local: string(r.Kind)}, Message: Clean(r.Message), Type: Clean(r.Type),
		Stack: output(r.StackTrace), Out: output(r.SystemOut), Err: output(r.SystemErr),
	}
}

func output(text string) *jr.Output {
	if text = Clean(text); text == "" {
		return nil
	}
	return &jr.Output{Data: text}
}

func outputs(dst []jr.Output, texts []string) []jr.Output {
	for _, t := range texts {
		dst = append(dst, jr.Output{Data: Clean(t)})
	}
	return dst
}

func properties(props []Property) *[]jr.Property {
	if len(props) == 0 {
		return nil
	}
	out := make([]jr.Property, len(props))
	for i, p := range props {
		out[i] = jr.Property{Name: Clean(p.Name), Value: Clean(p.Value)}
	}
	return &out
}

// xmlAttrs gives attributes under names that XML takes. Of two that get one name
// the last stays: a repeated attribute makes the whole file unreadable.
func xmlAttrs(attrs []Attr) []xml.Attr {
	if len(attrs) == 0 {
		return nil
	}
	out := make([]xml.Attr, 0, len(attrs))
	for _, a := range attrs {
		x := xml.Attr{Name: xml.Name{Local: xmlName(a.Name)}, Value: Clean(a.Value)}
		if i := slices.IndexFunc(out, func(o xml.Attr) bool { return o.Name.Local == x.Name.Local }); i >= 0 {
			out[i] = x
			continue
		}
		out = append(out, x)
	}
	return out
}

// xmlName is name if every reader takes it for the name of an element or
// attribute, else a form of it that they take.
func xmlName(name string) string {
	b := []byte(Clean(name))
	for i, c := range b {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.')
		if !ok {
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return "_"
	}
	return string(b)
}

// Seconds is d as JUnit writes it: 1.234.
func Seconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Round(time.Millisecond).Milliseconds())/1000, 'f', 3, 64)
}

// Document is a whole report: counts, and suites that bring their cases along.
type Document struct {
	Name   string
	Counts Counts
	Time   time.Duration
	Suites []SuiteBlock
}

// SuiteBlock is one suite of a Document.
type SuiteBlock struct {
	Suite  Suite // Parent, Offset and Cases do not matter
	Counts Counts
	Time   time.Duration
	Cases  func(w io.Writer) error // writes what a CaseEncoder with the same options made
	// Output gives the suite's output when it is time to write it, so that it need
	// not be held until then; it replaces that of Suite.
	Output func() (out, errs []string, err error)
}

type rootXML struct {
	XMLName xml.Name `xml:"testsuites"`
	jr.Testsuites
	Tests    int       `xml:"tests,attr"`
	Failures int       `xml:"failures,attr"`
	Errors   int       `xml:"errors,attr"`
	Skipped  *int      `xml:"skipped,attr"`
	Suites   suitesXML `xml:"testsuite"`
}

// suitesXML writes each suite on a line of its own.
type suitesXML struct {
	w    io.Writer
	list []suiteXML
}

// MarshalXML implements xml.Marshaler.
func (s suitesXML) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	for i := range s.list {
		if err := newline(e, s.w, "\n  "); err != nil {
			return err
		}
		if err := e.EncodeElement(&s.list[i], start); err != nil {
			return err
		}
	}
	return newline(e, s.w, "\n")
}

// newline writes white space between elements, which the encoder knows nothing
// about.
func newline(e *xml.Encoder, w io.Writer, space string) error {
	if err := e.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, space)
	return err
}

type suiteXML struct {
	XMLName xml.Name `xml:"testsuite"`
	jr.Testsuite
	Skipped int        `xml:"skipped,attr"`
	Attrs   []xml.Attr `xml:",any,attr"`
	Results []resultXML
	Cases   casesXML  `xml:"testcase"`
	Output  outputXML `xml:"system-out"`
}

// outputXML writes the output of a suite.
type outputXML struct {
	get func() (out, errs []string, err error)
}

// MarshalXML implements xml.Marshaler.
func (o outputXML) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	out, errs, err := o.get()
	if err != nil {
		return err
	}
	for _, t := range out {
		if err := e.EncodeElement(jr.Output{Data: Clean(t)}, start); err != nil {
			return err
		}
	}
	start.Name.Local = "system-err"
	for _, t := range errs {
		if err := e.EncodeElement(jr.Output{Data: Clean(t)}, start); err != nil {
			return err
		}
	}
	return nil
}

// casesXML puts ready-made cases where encoding/xml expects to encode a field.
type casesXML struct {
	w    io.Writer
	fill func(io.Writer) error
}

// MarshalXML implements xml.Marshaler. The encoder has written the suite's start
// tag and its properties; the cases go to the same writer behind them.
func (c casesXML) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	if c.fill == nil {
		return nil
	}
	if err := e.Flush(); err != nil {
		return err
	}
	if err := c.fill(c.w); err != nil {
		return err
	}
	return newline(e, c.w, "\n  ")
}

// head is how every report of ours begins, so that it is known again.
const head = xml.Header + "<!-- ci-disagg -->\n"

// Ours reports whether r begins like a report that WriteDocument wrote.
func Ours(r io.Reader) bool {
	got := make([]byte, len(head))
	n, _ := io.ReadFull(r, got) // what is too short, or cannot be read, is not ours
	return string(got[:n]) == head
}

// WriteDocument writes d to w as one XML document.
func WriteDocument(w io.Writer, d Document, o WriteOptions) error {
	bw := bufio.NewWriterSize(w, 256<<10)
	if _, err := bw.WriteString(head); err != nil {
		return err
	}
	root := rootXML{Testsuites: jr.Testsuites{Name: Clean(d.Name), Time: Seconds(d.Time)}}
	root.Tests, root.Failures, root.Errors = d.Counts.Tests, d.Counts.Failures, d.Counts.Errors
	if !o.StrictXSD {
		root.Skipped = &d.Counts.Skipped
	}
	root.Suites.w = bw
	for i := range d.Suites {
		root.Suites.list = append(root.Suites.list, suiteFor(bw, &d.Suites[i], i, o))
	}
	enc := xml.NewEncoder(bw)
	if err := enc.Encode(&root); err != nil {
		return err
	}
	if _, err := bw.WriteString("\n"); err != nil {
		return err
	}
	return bw.Flush()
}

func suiteFor(w io.Writer, b *SuiteBlock, id int, o WriteOptions) suiteXML {
	s := &b.Suite
	x := suiteXML{Cases: casesXML{w: w, fill: b.Cases}, Skipped: b.Counts.Skipped}
	x.Testsuite = jr.Testsuite{
		Name: Clean(s.Name), Tests: b.Counts.Tests, Failures: b.Counts.Failures, Errors: b.Counts.Errors,
		ID: id, Time: Seconds(b.Time), Properties: properties(s.Properties),
	}
	var further []Attr
	for _, a := range s.Attrs {
		switch a.Name {
		case "hostname":
			x.Hostname = Clean(a.Value)
		case "timestamp":
			x.Timestamp = Clean(a.Value)
		case "package":
			x.Package = Clean(a.Value)
		case "file":
			x.File = Clean(a.Value)
		case "name", "tests", "failures", "errors", "skipped", "id", "time", "disabled": // recounted
		default:
			if !o.StrictXSD || a.Name == "log" || a.Name == "url" || a.Name == "version" || a.Name == "group" {
				further = append(further, a)
			}
		}
	}
	x.Attrs = xmlAttrs(further)
	if !o.StrictXSD {
		for _, r := range s.Results {
			x.Results = append(x.Results, resultXML{XMLName: xml.Name{Local: resultName(r.Status)}, Result: jr.Result{Message: Clean(r.Message), Type: Clean(r.Type), Data: Clean(r.Text)}})
		}
	}
	x.Output.get = b.Output
	if b.Output == nil {
		x.Output.get = func() (out, errs []string, err error) { return s.SystemOut, s.SystemErr, nil }
	}
	return x
}
