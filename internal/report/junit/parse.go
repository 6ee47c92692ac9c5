package junit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// parser follows the tokens and gives the visitor cases and suites: a method for each
// element that JUnit knows. A shallow case is read when all of it is in the scanner's
// window (sc.Whole): one that is not is read again from its beginning when there is more.
type parser struct {
	sc     xmltext.Scanner
	dec    xmltext.Decoder
	o      ReadOptions
	v      Visitor
	file   *File
	suite  *Suite   // innermost open suite; &file.Outer outside of any
	in     *Case    // innermost open case
	pieces int      // children and attributes of the outermost one
	held   int64    // bytes that the open suites hold beside their cases
	sink   *[]byte  // collects text; nil: where the tokens are, JUnit has none
	open   []string // qualified names of the open elements
	junk   bool     // text before any element
	odd    bool     // the shallow case has attributes that cannot stand in a report as they are
	spare  Case     // shallow cases are made of it
}

const (
	maxDepth  = 64      // of nested elements
	maxPieces = 1 << 20 // children and attributes of one case
)

// What ends the reading of a hostile file.
var (
	errTooDeep  = errors.New("elements are nested deeper than the limit")
	errMuchText = errors.New("what suites say beside their cases is larger than the limit for a test case")
	errTooMuch  = errors.New("the file is larger than the limit")
)

// errOdd ends the reading of a shallow case that cannot stand in a report as it is.
var errOdd = errors.New("the case has to be read as a value")

// child reads an element that stands inside of another one: the scanner is behind its
// start tag. The name is gone with the next token.
type child func(p *parser, name string) error

// document follows the tokens to the end of the input or to the first error.
func (p *parser) document() error {
	p.file.Ours = p.sc.Begins(head)
	for {
		p.sc.Pieces = true
		kind, err := p.next()
		p.sc.Pieces = false
		switch {
		case err != nil || kind == xmltext.EOF:
			return err
		case kind == xmltext.EndTag:
			return fmt.Errorf("</%s> closes nothing", p.sc.QName)
		case kind != xmltext.StartTag:
			p.junk = p.junk || p.file.Root == "" && len(bytes.TrimSpace(p.sc.Text)) > 0
			continue
		case p.file.Root == "":
			p.file.Root = strings.Clone(p.name())
		}
		if err := p.outside(p.name()); err != nil {
			return err
		}
	}
}

// next is the next token, as long as the file and the open case are within their bounds.
func (p *parser) next() (xmltext.Kind, error) {
	kind, err := p.sc.Next()
	switch {
	case err != nil:
		return kind, err
	case p.odd, p.sc.Whole && p.sc.Skipped:
		return kind, errOdd
	case p.sc.Offset() > p.o.MaxBytes:
		return kind, errTooMuch
	case p.in == nil:
		return kind, nil
	case kind == xmltext.StartTag:
		p.pieces += 1 + len(p.sc.Attrs)
	}
	if p.pieces > maxPieces || p.sc.Offset()-p.in.Offset > p.o.MaxCase {
		return kind, xmltext.ErrTooLarge
	}
	return kind, nil
}

// name is the local name of the current tag, until the next token.
func (p *parser) name() string { return xmltext.OwnString(xmltext.Local(p.sc.QName)) }

// body reads what stands inside the element that has just begun, up to its end tag. Text goes to the sink.
func (p *parser) body(sink *[]byte, each child) error {
	if p.sc.SelfClose {
		return nil
	}
	if len(p.open) == maxDepth {
		return errTooDeep
	}
	outer, name := p.sink, string(p.sc.QName)
	p.sink, p.open = sink, append(p.open, name)
	for {
		kind, err := p.next()
		switch {
		case err != nil:
		case kind == xmltext.EOF:
			err = xmltext.ErrTruncated
		case kind == xmltext.StartTag:
			err = each(p, p.name())
		case kind == xmltext.CharData:
			err = p.chars(p.sc.Text, xmltext.InText)
		case kind == xmltext.CDATA:
			err = p.chars(p.sc.Text, xmltext.InCDATA)
		case string(p.sc.QName) != name:
			err = fmt.Errorf("</%s> where </%s> was expected", p.sc.QName, name)
		default:
			p.sink, p.open = outer, p.open[:len(p.open)-1]
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// chars takes text over. Between elements, where JUnit has none, it is output.
func (p *parser) chars(raw []byte, where xmltext.Context) error {
	if p.sink == nil {
		raw = bytes.TrimSpace(raw)
	}
	switch {
	case p.sc.Whole && (!xmltext.Plain(raw, where) || p.sink == nil && len(raw) > 0):
		return errOdd
	case p.sc.Whole, p.sink == nil && (len(raw) == 0 || p.in == nil && !p.kept()):
		return nil
	case p.sink == nil:
		return p.output(p.dec.Append(nil, raw, where))
	default:
		*p.sink = p.dec.Append(*p.sink, raw, where)
		return nil
	}
}

// output adds collected text to the output of the open case or suite.
func (p *parser) output(text []byte) error {
	out := &p.suite.SystemOut
	if p.in != nil {
		out = &p.in.SystemOut
	}
	*out = append(*out, takeText(text))
	return p.hold(len(text))
}

// kept reports whether what stands here, outside of all cases, is said of tests: in a
// suite, or directly in <testsuites>.
func (p *parser) kept() bool {
	return p.suite != &p.file.Outer || p.file.Root == "testsuites" && len(p.open) == 1
}

// hold counts one thing of n bytes that is kept until the end of the open suite,
// and refuses what is more than may be held. What a case holds has a bound of its own.
func (p *parser) hold(n int) error {
	const itself = 64 // bytes, also of one that is empty
	if p.in != nil {
		return nil
	}
	if p.held += int64(n) + itself; p.held > p.o.MaxCase {
		return errMuchText
	}
	return nil
}

// text reads the text of the element that has just begun. Elements inside are markup
// in it. In a shallow case it is what stands there.
func (p *parser) text() (string, error) {
	var text []byte
	from := p.sc.Offset()
	err := p.body(&text, (*parser).markup)
	if p.sc.Whole && !p.sc.SelfClose && err == nil {
		return xmltext.OwnString(p.sc.Between(from, p.sc.TokenStart)), nil
	}
	return takeText(text), err
}

// takeText is collected text as a clean string. A large one is not copied.
func takeText(b []byte) string { return Clean(xmltext.OwnString(b)) }

// markup makes the current element a part of the text that is collected.
func (p *parser) markup(string) error { return p.verbatim((*parser).markup) }

func (p *parser) verbatim(each child) error {
	if p.sc.Whole {
		return errOdd
	}
	name := string(p.sc.QName)
	*p.sink = append(append(*p.sink, '<'), name...)
	for _, a := range p.sc.Attrs {
		*p.sink = append(append(append(*p.sink, ' '), a.Name...), `="`...)
		*p.sink = append(p.dec.Append(*p.sink, a.Value, xmltext.InAttribute), '"')
	}
	if p.sc.SelfClose {
		*p.sink = append(*p.sink, "/>"...)
		return nil
	}
	*p.sink = append(*p.sink, '>')
	if err := p.body(p.sink, each); err != nil {
		return err
	}
	*p.sink = append(append(append(*p.sink, "</"...), name...), '>')
	return nil
}

// field is an attribute that the model has a field for.
type field struct {
	name string
	to   *string
}

// attrs are the attributes of the current tag, clean and sorted by name, but for those that have a field.
func (p *parser) attrs(into []Attr, fields ...field) []Attr {
	for i, a := range p.sc.Attrs {
		if p.sc.Whole {
			again := slices.ContainsFunc(p.sc.Attrs[:i], func(b xmltext.Attr) bool { return bytes.Equal(b.Name, a.Name) })
			p.odd = p.odd || again || !plainName(a.Name) || !xmltext.Plain(a.Value, xmltext.InAttribute)
		}
		if bytes.HasPrefix(a.Name, []byte("xmlns")) {
			continue // says nothing once the prefixes are gone
		}
		name, value := xmltext.Local(a.Name), p.value(a.Value, xmltext.InAttribute)
		if i := slices.IndexFunc(fields, func(f field) bool { return f.name == string(name) }); i >= 0 {
			*fields[i].to = value
		} else {
			into = addAttr(into, Attr{p.value(name, xmltext.InCDATA), value})
		}
	}
	return into
}

// value is raw text of a tag, clean; of a shallow case it may be a part of the window.
func (p *parser) value(raw []byte, where xmltext.Context) string {
	if p.sc.Whole && bytes.IndexByte(raw, '&') < 0 {
		return xmltext.OwnString(raw)
	}
	return p.dec.Clean(raw, where)
}

// plainName reports whether every reader takes the name for that of an attribute.
func plainName(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf || c == ':' {
			return false
		}
	}
	return string(name) != "xmlns"
}
