package junit

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// elem is what an open element means.
type elem int

const (
	elOuter    elem = iota // outside of suites: testsuites, or whatever the root is
	elSuite                // testsuite
	elCase                 // testcase
	elProps                // properties of a case, a suite or the root
	elProperty             // property
	elText                 // an element whose text is wanted: a result, output, a part of a rerun
	elRerun                // flakyFailure and its kin
	elUnknown              // what JUnit does not know: kept as text, and searched for cases and results
	elMarkup               // an element inside a text
)

// frame is an open element.
type frame struct {
	elem elem
	name int       // where its qualified name begins in names
	sink int       // index of the frame that collects the text, -1 = nobody wants it
	kind string    // local name of what collects text
	text []byte    // as collected
	n    int64     // bytes of text, collected or not
	res  Result    // message, type and attributes of what collects text
	own  *caseRead // the case of an elCase
}

// parser follows the tokens and gives the visitor cases and suites.
type parser struct {
	sc   xmltext.Scanner
	dec  xmltext.Decoder
	o    ReadOptions
	v    Visitor
	file *File

	stack []frame
	names []byte    // qualified names of the open elements
	suite *Suite    // innermost open suite; &file.Outer outside of any
	in    *caseRead // innermost open case
	spare *caseRead // used again for the next case

	beside map[*Suite]int64 // bytes that the open suites hold beside their cases
	held   int64            // by all of them
	junk   bool             // text before any element
}

// What ends the reading of a hostile file.
var (
	errTooDeep  = errors.New("elements are nested deeper than the limit")
	errTooLarge = errors.New("a test case is larger than the limit")
	errMuchText = errors.New("what suites say beside their cases is larger than the limit for a test case")
	errTooMuch  = errors.New("the file is larger than the limit")
)

func newParser(f *File, o ReadOptions, v Visitor) *parser {
	return &parser{o: o.WithDefaults(), v: v, file: f, suite: &f.Outer, beside: make(map[*Suite]int64), spare: &caseRead{}}
}

// run follows the tokens to the end of the input or to the first error.
func (p *parser) run() error {
	err := p.tokens()
	if v := (errVisitor{}); errors.As(err, &v) {
		return err
	}
	for p.suite != &p.file.Outer { // cut off: their cases count, they are not complete
		err = errors.Join(err, p.closeSuite(false))
	}
	p.file.Outer.Complete = err == nil
	p.file.Outer.settle()
	return err
}

func (p *parser) tokens() error {
	for {
		kind, err := p.sc.Next()
		if err != nil {
			return err
		}
		switch kind {
		case xmltext.EOF:
			if len(p.stack) > 0 {
				return xmltext.ErrTruncated
			}
			return nil
		case xmltext.CharData, xmltext.CDATA:
			err = p.chars(kind == xmltext.CDATA)
		case xmltext.StartTag:
			err = p.open()
		case xmltext.EndTag:
			err = p.close(p.sc.QName)
		}
		if err != nil {
			return err
		}
		if p.sc.Offset() > p.o.MaxBytes {
			return errTooMuch
		}
	}
}

// top is the innermost open element; outside of all it means elOuter.
func (p *parser) top() (f *frame, index int) {
	if len(p.stack) == 0 {
		return &frame{elem: elOuter, sink: -1}, -1
	}
	return &p.stack[len(p.stack)-1], len(p.stack) - 1
}

// where names the innermost open element.
func (p *parser) where() string {
	if len(p.stack) == 0 {
		return "a tag"
	}
	return "<" + string(p.names[p.stack[len(p.stack)-1].name:]) + ">"
}

func (p *parser) open() error {
	s := &p.sc
	if len(p.stack) == 0 {
		if p.file.Root != "" {
			p.file.Trailing = true
		} else {
			p.file.Root, p.file.Ours = string(s.Name), s.Marked
		}
	}
	if len(p.stack) >= p.o.MaxDepth {
		return errTooDeep
	}
	up, _ := p.top()
	f, err := p.begin(up, intern(s.Name))
	if err != nil {
		return err
	}
	f.name = len(p.names)
	p.names = append(p.names, s.QName...)
	p.stack = append(p.stack, f)
	if s.SelfClose {
		return p.close(s.QName)
	}
	return nil
}

// begin is the frame of the element that the scanner stands on, inside of up.
func (p *parser) begin(up *frame, name string) (frame, error) {
	searched := up.elem == elOuter || up.elem == elSuite || up.elem == elCase || up.elem == elUnknown
	switch {
	case searched && name == "testcase":
		return frame{elem: elCase, sink: -1, own: p.openCase()}, nil
	case searched && name == "testsuite" && p.in == nil:
		p.openSuite()
		return frame{elem: elSuite, sink: -1}, nil
	case up.elem == elRerun && (name == "stackTrace" || name == "system-out" || name == "system-err"):
		return p.collect(elText, name), nil
	case up.elem == elProps && name == "property":
		return p.collect(elProperty, name), nil
	case up.elem == elProps && p.in != nil:
		p.in.span.Properties = true
		p.notPlain()
		return p.collect(elUnknown, name), nil
	case up.elem == elProps:
		return p.markup(p.collect(elUnknown, name)), nil
	case !searched:
		return p.inside(up, elMarkup)
	case p.in != nil:
		return p.beginChild(up, name)
	default:
		return p.beginBeside(up, name)
	}
}

// inside is the frame of markup in a text that up or an element around it
// collects.
func (p *parser) inside(up *frame, e elem) (frame, error) {
	f := frame{elem: e, sink: up.sink}
	if up.sink >= 0 {
		to := &p.stack[up.sink]
		to.text = p.appendMarkup(to.text)
	}
	p.notPlain()
	return f, p.grow(up, len(p.sc.QName)+2)
}

// collect is the frame of an element that collects its own text.
func (p *parser) collect(e elem, name string) frame {
	f := frame{elem: e, sink: len(p.stack), kind: name}
	p.attributes(&f)
	return f
}

// markup makes the element itself a part of the text that it collects.
func (p *parser) markup(f frame) frame {
	p.notPlain()
	f.text = p.appendMarkup(f.text)
	return f
}

// beginBeside starts what stands in a suite or in the root beside cases.
func (p *parser) beginBeside(up *frame, name string) (frame, error) {
	root := len(p.stack) == 1 && p.file.Root == "testsuites"
	outside := p.suite == &p.file.Outer
	switch name {
	case "properties":
		if !outside || root {
			return frame{elem: elProps, sink: -1}, nil
		}
	case "system-out", "system-err", "error", "failure", "skipped":
		if !outside || root {
			return p.collect(elText, name), nil
		}
	case "testsuites":
		if len(p.stack) == 0 {
			for _, a := range p.sc.Attrs {
				p.file.Outer.Attrs = p.addAttr(p.file.Outer.Attrs, a)
			}
			p.file.Outer.Pytest = p.file.Outer.Attr("name") == "pytest tests"
		}
		return frame{elem: elOuter, sink: -1}, nil
	}
	if up.elem == elUnknown {
		return p.inside(up, elUnknown)
	}
	if outside {
		return frame{elem: elOuter, sink: -1}, nil
	}
	return p.markup(p.collect(elUnknown, name)), nil // not JUnit's, and not ours to drop
}

// close ends the innermost element.
func (p *parser) close(name []byte) error {
	if len(p.stack) == 0 {
		return fmt.Errorf("</%s> closes nothing", name)
	}
	f, at := p.top()
	if open := p.names[f.name:]; !bytes.Equal(open, name) {
		return fmt.Errorf("</%s> where </%s> was expected", name, open)
	}
	done := *f
	p.stack = p.stack[:at]
	p.names = p.names[:f.name]
	switch {
	case done.elem == elSuite:
		return p.closeSuite(true)
	case done.elem == elCase:
		return p.closeCase(done.own)
	case done.sink >= 0 && done.sink < at: // markup in the text of another one
		to := &p.stack[done.sink]
		to.text = p.appendEnd(to.text, name)
	case done.sink == at && p.in != nil:
		p.closeChild(&done)
	case done.sink == at:
		return p.closeBeside(&done, name)
	}
	return nil
}

// chars adds text to the element that wants it.
func (p *parser) chars(cdata bool) error {
	up, _ := p.top()
	raw := p.sc.Text
	if up.sink < 0 {
		return p.stray(raw, cdata)
	}
	to := &p.stack[up.sink]
	if p.in != nil {
		to.n += int64(len(raw))
	}
	if p.in != nil && p.v.Case == nil {
		where := xmltext.InText
		if cdata {
			where = xmltext.InCDATA
		}
		p.in.glance(raw, where)
	} else {
		to.text = p.decode(to.text, raw, cdata)
	}
	return p.grow(up, len(raw))
}

func (p *parser) decode(dst, raw []byte, cdata bool) []byte {
	if cdata {
		return p.dec.CDATA(dst, raw)
	}
	return p.dec.Text(dst, raw)
}

// stray takes text between elements, where JUnit has none, for output.
func (p *parser) stray(raw []byte, cdata bool) error {
	raw = bytes.TrimSpace(raw)
	outside := p.suite == &p.file.Outer
	switch {
	case len(raw) == 0:
		return nil
	case p.in != nil:
		c := p.in
		c.span.Plain, c.span.Output = false, max(c.span.Output, int64(len(raw)))
		if c.c != nil {
			c.c.SystemOut = append(c.c.SystemOut, takeText(p.decode(nil, raw, cdata)))
		}
		c.size += int64(len(raw))
		return p.bound(c.size)
	case outside && (p.file.Root != "testsuites" || len(p.stack) != 1):
		p.junk = p.junk || p.file.Root == ""
		return nil
	default:
		text := takeText(p.decode(nil, raw, cdata))
		p.suite.SystemOut = append(p.suite.SystemOut, text)
		return p.hold(len(text))
	}
}

// grow counts n bytes that the open case, or else the element that up belongs to,
// holds.
func (p *parser) grow(up *frame, n int) error {
	size := &p.held
	if p.in != nil {
		size = &p.in.size
	} else if up.sink >= 0 {
		size = &p.stack[up.sink].n
	}
	*size += int64(n)
	return p.bound(*size)
}

func (p *parser) bound(size int64) error {
	if size > p.o.MaxCase {
		return errTooLarge
	}
	return nil
}

// appendMarkup writes the start tag of the current token as it was written.
func (p *parser) appendMarkup(dst []byte) []byte {
	if p.in != nil && p.v.Case == nil {
		return dst
	}
	dst = append(append(dst, '<'), p.sc.QName...)
	for _, a := range p.sc.Attrs {
		dst = append(append(append(dst, ' '), a.Name...), `="`...)
		dst = append(p.dec.Attr(dst, a.Value), '"')
	}
	if p.sc.SelfClose {
		dst = append(dst, '/')
	}
	return append(dst, '>')
}

func (p *parser) appendEnd(dst, name []byte) []byte {
	if p.sc.SelfClose && bytes.Equal(p.sc.QName, name) || p.in != nil && p.v.Case == nil {
		return dst
	}
	return append(append(append(dst, "</"...), name...), '>')
}

func (p *parser) notPlain() {
	if p.in != nil {
		p.in.span.Plain = false
	}
}

// intern is a name without a copy, if it is one of JUnit's.
func intern(name []byte) string {
	switch string(name) {
	case "testcase":
		return "testcase"
	case "testsuite":
		return "testsuite"
	case "properties":
		return "properties"
	case "property":
		return "property"
	case "failure":
		return "failure"
	case "error":
		return "error"
	case "skipped":
		return "skipped"
	case "system-out":
		return "system-out"
	case "system-err":
		return "system-err"
	default:
		return string(name)
	}
}
