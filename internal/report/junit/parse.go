package junit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// parser follows the tokens and gives the visitor cases and suites: a method for each
// element that JUnit knows. A case is read when all of it is in the scanner's window:
// one that is not is read again from its beginning when there is more.
type parser struct {
	sc    xmltext.Scanner
	o     ReadOptions
	v     Visitor
	file  *File
	suite *Suite // innermost open suite; &file.Outer outside of any
	in    *Case  // innermost open case
	spare Case   // shallow cases are made of it
	held  int64  // bytes that the open suites hold beside their cases
	junk  bool   // text before any element
	state
}

// state is what changes inside of a case.
type state struct {
	dec    xmltext.Decoder
	rerun  *Rerun  // the open one
	sink   *[]byte // collects text; nil: where the tokens are, JUnit has none
	ended  []*Case // that were not given out yet: the outermost one is last
	depth  int
	names  []byte // qualified names of the open elements
	inner  int    // where that of the innermost begins
	pieces int    // children and attributes of the case
	asides int    // comments and the like so far
}

// maxPieces bounds the children and attributes of one case.
const maxPieces = 1 << 20

// What ends the reading of a hostile file.
var (
	errTooDeep  = errors.New("elements are nested deeper than the limit")
	errMuchText = errors.New("what suites say beside their cases is larger than the limit for a test case")
	errTooMuch  = errors.New("the file is larger than the limit")
)

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

// next is the next token that says something.
func (p *parser) next() (kind xmltext.Kind, err error) {
	for kind = xmltext.Aside; kind == xmltext.Aside && err == nil; {
		if kind, err = p.sc.Next(); errors.Is(err, xmltext.ErrShort) && p.in == nil {
			kind, err = xmltext.Aside, p.sc.More()
		} else if kind == xmltext.Aside {
			p.asides++
		}
	}
	if err == nil && kind == xmltext.CharData {
		p.dec.Repaired += p.sc.Stray
	}
	switch {
	case err != nil:
		return kind, err
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

// body reads what stands inside the element that has just begun, up to its end tag.
// Text goes to the sink.
func (p *parser) body(sink *[]byte, each child) error {
	if p.sc.SelfClose {
		return nil
	}
	if p.depth++; p.depth > p.o.MaxDepth {
		return errTooDeep
	}
	outerSink, outerName, name := p.sink, p.inner, len(p.names)
	p.sink, p.inner = sink, name
	p.names = append(p.names, p.sc.QName...)
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
		case !bytes.Equal(p.names[name:], p.sc.QName):
			err = fmt.Errorf("</%s> where </%s> was expected", p.sc.QName, p.names[name:])
		default:
			p.sink, p.inner, p.names = outerSink, outerName, p.names[:name]
			p.depth--
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// chars takes text over. Between elements, where JUnit has none, it is output.
func (p *parser) chars(raw []byte, where xmltext.Context) error {
	if p.shallow() {
		if p.sink == nil {
			raw = bytes.TrimSpace(raw)
			p.in.Plain = p.in.Plain && len(raw) == 0
		}
		if !xmltext.Plain(raw, where) {
			p.in.Plain = false
			p.dec.Count(raw, where)
		}
		return nil
	}
	if p.sink != nil {
		*p.sink = p.dec.Append(*p.sink, raw, where)
		return nil
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || p.in == nil && !p.kept() {
		return nil
	}
	text := takeText(p.dec.Append(nil, raw, where))
	if p.in != nil {
		p.in.SystemOut = append(p.in.SystemOut, text)
		return nil
	}
	p.suite.SystemOut = append(p.suite.SystemOut, text)
	return p.hold(len(text))
}

// shallow reports whether texts are only looked at.
func (p *parser) shallow() bool { return p.v.Shallow && p.in != nil }

// kept reports whether what stands here, outside of all cases, is said of tests: in a
// suite, or directly in <testsuites>.
func (p *parser) kept() bool {
	return p.suite != &p.file.Outer || p.file.Root == "testsuites" && p.depth == 1
}

// text reads the text of the element that has just begun. Elements inside are markup
// in it. In a shallow case it is what stands there.
func (p *parser) text() (string, error) {
	var text []byte
	from := p.sc.Offset()
	err := p.body(&text, (*parser).markup)
	if p.shallow() && !p.sc.SelfClose && err == nil {
		return xmltext.OwnString(p.sc.Between(from, p.sc.TokenStart)), nil
	}
	return takeText(text), err
}

// takeText is collected text as a clean string. A large one is not copied.
func takeText(b []byte) string { return Clean(xmltext.OwnString(b)) }

// markup makes the current element a part of the text that is collected.
func (p *parser) markup(string) error { return p.verbatim((*parser).markup) }

func (p *parser) verbatim(each child) error {
	p.notPlain()
	name := bytes.Clone(p.sc.QName)
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

// attrs are the attributes of the current tag, clean and sorted by name, but for those
// that have a field.
func (p *parser) attrs(into []Attr, fields ...field) []Attr {
	seen := 0 // fields, as bits
	for _, a := range p.sc.Attrs {
		name, plain := plainName(a.Name), xmltext.Plain(a.Value, xmltext.InAttribute)
		if !name || !plain {
			p.notPlain()
		}
		if bytes.HasPrefix(a.Name, []byte("xmlns")) {
			continue // says nothing once the prefixes are gone
		}
		one := Attr{Name: p.copied(xmltext.Local(a.Name)), Value: p.copied(a.Value)}
		if !name {
			one.Name = Clean(string(p.dec.Append(nil, xmltext.Local(a.Name), xmltext.InCDATA)))
		}
		if !plain || strings.IndexByte(one.Value, '&') >= 0 {
			one.Value = p.dec.Clean(a.Value)
		}
		if i := slices.IndexFunc(fields, func(f field) bool { return f.name == one.Name }); i >= 0 {
			if *fields[i].to = one.Value; seen&(1<<i) != 0 {
				p.notPlain()
			}
			seen |= 1 << i
			continue
		}
		n := len(into)
		if into = addAttr(into, one); len(into) == n {
			p.notPlain()
		}
	}
	return into
}

// copied is b as a string: of a shallow case, of the window.
func (p *parser) copied(b []byte) string {
	if p.shallow() {
		return xmltext.OwnString(b)
	}
	return string(b)
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

func (p *parser) notPlain() {
	if p.in != nil {
		p.in.Plain = false
	}
}
