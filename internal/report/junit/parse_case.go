package junit

import (
	"bytes"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// maxPieces bounds the children and attributes of one case.
const maxPieces = 1 << 20

// caseRead is an open test case.
type caseRead struct {
	outer       *caseRead // the case that it stands in
	span        Span
	c           *Case // nil = no values are wanted
	name, class []byte
	results     int
	outs, errs  int
	pieces      int
	size        int64  // bytes of the texts that have ended
	skipped     int    // comments and stray "<" that the scanner had seen before it
	before      []byte // the end of the text before this piece of it
	notRun      string // the attribute that says that the test did not run
	rerun       *Rerun // the open one
}

func (p *parser) openCase() *caseRead {
	c := p.spare
	if c == nil {
		c = &caseRead{}
	}
	p.spare = nil
	*c = caseRead{outer: p.in, name: c.name[:0], class: c.class[:0], before: c.before[:0], skipped: p.sc.Skipped + int(p.sc.Stray)}
	c.span = Span{Status: Passed, Offset: p.sc.TokenStart, Plain: len(p.sc.QName) == len("testcase")}
	if p.suite != &p.file.Outer {
		c.span.Suite = p.suite
	}
	if p.v.Case != nil {
		c.c = &Case{Suite: c.span.Suite, Offset: c.span.Offset}
	}
	if p.in != nil { // the outer one cannot be copied with this one in it
		p.in.span.Plain = false
	} else if p.v.Span != nil {
		p.sc.BeginSum()
	}
	p.in = c
	for i, a := range p.sc.Attrs {
		p.ownAttr(c, a)
		for _, b := range p.sc.Attrs[:i] {
			if bytes.Equal(a.Name, b.Name) {
				c.span.Plain = false
			}
		}
	}
	c.pieces = len(p.sc.Attrs)
	return c
}

// ownAttr takes over an attribute of the case itself.
func (p *parser) ownAttr(c *caseRead, a xmltext.Attr) {
	asIs := xmltext.Plain(a.Value, xmltext.InAttribute)
	c.span.Plain = c.span.Plain && asIs && plainName(a.Name)
	c.size += int64(len(a.Value))
	switch string(xmltext.Local(a.Name)) {
	case "name":
		c.name = p.into(c.name[:0], a.Value, asIs)
	case "classname":
		c.class = p.into(c.class[:0], a.Value, asIs)
	case "time":
		t, ok := simpleTime(a.Value)
		if !ok {
			t = ParseTime(string(p.dec.Attr(nil, a.Value)))
			c.span.Plain = false
		}
		c.span.Time = t
	case "status", "result":
		c.notRun = notRun(c.notRun, a)
		c.further(p, a)
	default:
		c.further(p, a)
	}
}

// further takes over an attribute that the model has no field for.
func (c *caseRead) further(p *parser, a xmltext.Attr) {
	if bytes.HasPrefix(a.Name, []byte("xmlns")) {
		return // says nothing once the prefixes are gone
	}
	c.span.Properties = true
	if c.c != nil {
		c.c.Attrs = p.addAttr(c.c.Attrs, a)
	}
}

// notRun is the attribute by which GoogleTest and CTest say that a test did not
// run: it has no child that says so.
func notRun(before string, a xmltext.Attr) string {
	switch string(a.Value) {
	case "notrun", "disabled", "suppressed", "skipped":
		return string(a.Name) + `="` + string(a.Value) + `"`
	default:
		return before
	}
}

// into puts a decoded, clean value into dst.
func (p *parser) into(dst, value []byte, asIs bool) []byte {
	if asIs && bytes.IndexByte(value, '&') < 0 {
		return append(dst, value...)
	}
	return append(dst, p.dec.Clean(value)...)
}

func (p *parser) addAttr(attrs []Attr, a xmltext.Attr) []Attr {
	if bytes.HasPrefix(a.Name, []byte("xmlns")) {
		return attrs
	}
	return addAttr(attrs, Attr{Clean(string(p.dec.CDATA(nil, xmltext.Local(a.Name)))), p.dec.Clean(a.Value)})
}

// plainName reports whether every reader takes the name for that of an attribute.
func plainName(name []byte) bool {
	for _, c := range name {
		if c >= 0x80 || c == ':' {
			return false
		}
	}
	return string(name) != "xmlns"
}

// beginChild starts an element inside a case.
func (p *parser) beginChild(up *frame, name string) (frame, error) {
	c := p.in
	if c.pieces += 1 + len(p.sc.Attrs); c.pieces > maxPieces {
		return frame{}, errTooLarge
	}
	c.before = c.before[:0]
	c.span.Plain = c.span.Plain && len(p.sc.QName) == len(name)
	switch name {
	case "properties":
		if up.elem == elCase {
			return frame{elem: elProps, sink: -1}, nil
		}
	case "failure", "error", "skipped":
		f := p.collect(elText, name)
		c.beginResult(&f)
		c.span.Plain = c.span.Plain && c.results == 1
		return f, nil
	case "flakyFailure", "flakyError", "rerunFailure", "rerunError":
		c.span.Plain, c.span.Reruns = false, true
		p.suite.reruns++
		c.rerun = &Rerun{Kind: RerunKind(name)}
		return p.collect(elRerun, name), nil
	case "system-out":
		c.outs++
		c.span.Plain = c.span.Plain && c.outs == 1
		return p.collect(elText, name), nil
	case "system-err":
		c.errs++
		c.span.Plain = c.span.Plain && c.errs == 1
		return p.collect(elText, name), nil
	}
	c.span.Properties = true
	if up.elem == elUnknown {
		return p.inside(up, elUnknown)
	}
	p.notPlain()
	return p.collect(elUnknown, name), nil
}

func (c *caseRead) beginResult(f *frame) {
	c.results++
	if f.res.Status.Worse(c.span.Status) {
		c.span.Status = f.res.Status
	}
	c.span.Message = max(c.span.Message, int64(len(f.res.Message)))
	c.span.Lines = c.span.Lines || strings.ContainsAny(f.res.Message, "\n\r\t")
	c.span.Teardown = c.results == 1 && Result{Status: f.res.Status, Message: f.res.Message}.Teardown()
}

// Teardown reports whether a result is what pytest writes for an error in a
// teardown.
func (r Result) Teardown() bool {
	return r.Status == Errored && (strings.HasPrefix(r.Message, "failed on teardown") || strings.HasPrefix(r.Message, "test teardown failure"))
}

// attributes takes over message, type and further attributes of an element.
func (p *parser) attributes(f *frame) {
	f.res.Status = resultStatus(f.kind)
	values := p.in == nil || p.v.Case != nil
	for i, a := range p.sc.Attrs {
		if p.in != nil {
			p.in.span.Plain = p.in.span.Plain && xmltext.Plain(a.Value, xmltext.InAttribute) && plainName(a.Name)
			p.in.size += int64(len(a.Value))
			for _, b := range p.sc.Attrs[:i] {
				if bytes.Equal(a.Name, b.Name) {
					p.in.span.Plain = false
				}
			}
		}
		switch name := string(xmltext.Local(a.Name)); {
		case name == "message" && f.elem == elText:
			f.res.Message = p.dec.Clean(a.Value)
		case !values:
		case name == "type" && (f.elem == elText || f.elem == elRerun):
			f.res.Type = p.dec.Clean(a.Value)
		case name == "message" && f.elem == elRerun:
			f.res.Message = p.dec.Clean(a.Value)
		default:
			f.res.Attrs = p.addAttr(f.res.Attrs, a)
		}
	}
}

func resultStatus(name string) Status {
	switch name {
	case "error":
		return Errored
	case "skipped":
		return Skipped
	default:
		return Failed
	}
}

// glance looks at a piece of text that is not kept.
func (c *caseRead) glance(raw []byte, where xmltext.Context) {
	c.span.Plain = c.span.Plain && xmltext.Plain(raw, where)
	const marker = "[[ATTACHMENT|"
	if !c.span.Attachment { // it may lie across the border of two pieces
		n := min(len(raw), len(marker))
		c.before = append(c.before, raw[:n]...)
		c.span.Attachment = bytes.Contains(raw, []byte(marker)) || bytes.Contains(c.before, []byte(marker))
		c.before = append(c.before[:0], raw[len(raw)-n:]...)
	}
}

// closeChild stores the text of a child of a case.
func (p *parser) closeChild(f *frame) {
	c := p.in
	switch {
	case f.kind == "system-out" || f.kind == "system-err":
		c.span.Output = max(c.span.Output, f.n)
	case f.elem == elText:
		c.span.Body = max(c.span.Body, f.n)
	case f.elem == elProperty:
		c.span.Properties = true
	}
	if c.c == nil {
		if f.elem == elRerun {
			c.rerun = nil
		}
		return
	}
	text := takeText(f.text)
	switch f.elem {
	case elProperty:
		c.c.Properties = append(c.c.Properties, property(f.res.Attrs, text))
	case elRerun:
		c.rerun.Message, c.rerun.Type = f.res.Message, f.res.Type
		if strings.TrimSpace(text) != "" { // the stack trace where there is no element for it
			c.rerun.StackTrace = join(text, c.rerun.StackTrace)
		}
		c.c.Reruns = append(c.c.Reruns, *c.rerun)
		c.rerun = nil
	case elUnknown:
		c.c.Extra = append(c.c.Extra, Extra{Name: f.kind, Attrs: f.res.Attrs, Text: text})
	default:
		c.closeText(f, text)
	}
}

func (c *caseRead) closeText(f *frame, text string) {
	switch {
	case c.rerun != nil && f.kind == "stackTrace":
		c.rerun.StackTrace = join(c.rerun.StackTrace, text)
	case c.rerun != nil && f.kind == "system-out":
		c.rerun.SystemOut = join(c.rerun.SystemOut, text)
	case c.rerun != nil:
		c.rerun.SystemErr = join(c.rerun.SystemErr, text)
	case f.kind == "system-out":
		c.c.SystemOut = append(c.c.SystemOut, text)
	case f.kind == "system-err":
		c.c.SystemErr = append(c.c.SystemErr, text)
	default:
		f.res.Text = text
		c.c.Results = append(c.c.Results, f.res)
	}
}

// takeText is collected text as a clean string. A large one is not copied.
func takeText(b []byte) string { return Clean(xmltext.OwnString(b)) }

func property(attrs []Attr, text string) Property {
	out := Property{Name: attrOf(attrs, "name"), Value: attrOf(attrs, "value")}
	for _, a := range attrs {
		if a.Name == "value" {
			return out
		}
	}
	out.Value = strings.TrimSpace(text)
	return out
}

// join puts two texts of one kind under each other.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}

// closeCase gives the visitor the case that has ended.
func (p *parser) closeCase(c *caseRead) error {
	if p.in, p.spare = c.outer, c; p.in != nil {
		p.in.size += c.size
	}
	s := &c.span
	s.Len = p.sc.Offset() - s.Offset
	s.Name, s.Classname = c.name, c.class
	if c.notRun != "" && c.results == 0 {
		s.Status, s.Plain = Skipped, false
	}
	s.Bare = len(c.name)+len(c.class) == 0 && c.results == 0 && !s.Reruns && !s.Properties
	s.Plain = s.Plain && p.sc.Skipped+int(p.sc.Stray) == c.skipped && len(c.name) > 0
	s.Sum = 0
	if p.v.Span != nil && c.outer == nil {
		s.Sum = p.sc.EndSum()
	}
	p.file.Counts.Add(s.Status)
	p.suite.Cases++
	p.suite.Counts.Add(s.Status)
	p.suite.Time += s.Time
	if p.v.Span != nil {
		if err := p.v.Span(s); err != nil {
			return errVisitor{err}
		}
	}
	if c.c == nil {
		return nil
	}
	c.c.Name, c.c.Classname, c.c.Time = string(c.name), string(c.class), s.Time
	if c.notRun != "" && c.results == 0 {
		c.c.Results = []Result{{Status: Skipped, Message: "not run: " + c.notRun}}
	}
	if err := p.v.Case(c.c); err != nil {
		return errVisitor{err}
	}
	return nil
}
