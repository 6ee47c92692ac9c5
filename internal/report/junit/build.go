package junit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// elem is what an open element means.
type elem int

const (
	elOuter    elem = iota // outside of suites: testsuites, or whatever the root is
	elSuite                // testsuite
	elCase                 // testcase
	elProps                // properties of a case, a suite or the root
	elText                 // an element whose text is wanted
	elRerun                // flakyFailure and its kin
	elMarkup               // an element inside a text
	elProperty             // property
	elIgnored              // what does not belong into properties
)

type frame struct {
	elem elem
	name int // where its qualified name begins in names
}

// pieceKind is a child of a test case.
type pieceKind int

const (
	pieceResult pieceKind = iota
	pieceRerun
	pieceStack
	pieceOut
	pieceErr
	pieceProp
	pieceExtra
)

// piece is one child of the case being read.
type piece struct {
	kind  pieceKind
	name  string // of results and reruns; of an extra element
	in    int    // for stack, out, err: index+1 of the rerun they are in
	attrs span   // in builder.attrs
	text  span   // in arena
	big   string // or the text itself
}

type span struct{ from, to int }

// attrSpan is a decoded attribute in the arena.
type attrSpan struct{ name, value span }

// maxPieces bounds the children and attributes of one case.
const maxPieces = 1 << 20

// builder follows the tokens and makes items of them.
type builder struct {
	sc  *scanner
	dec decoder
	o   ReadOptions
	mem *budget

	stack []frame
	names []byte // qualified names of the open elements
	file  *File
	suite *suiteBuild // innermost open suite
	outer *suiteBuild // stands for everything outside

	// the case being read
	inCase  bool
	start   int64 // offset of its tag
	arena   []byte
	attrs   []attrSpan
	own     span // the case's own attributes in attrs
	pieces  []piece
	bigSize int64
	text    textBuf
	direct  textBuf // text directly inside a rerun
	rerun   int     // index+1 of the open rerun

	cur  *batch
	emit func(*batch) error
	want bool // someone wants the cases, not only the counts
	late bool // someone wants the suites
	junk bool // text before any element
}

// errTooDeep and errTooLarge end the reading of a hostile file.
var (
	errTooDeep  = errors.New("elements are nested deeper than the limit")
	errTooLarge = errors.New("a test case is larger than the limit")
	errTooMuch  = errors.New("the file is larger than the limit")
	errMismatch = errors.New("go-junit and the splitter disagree about a case")
)

// run follows the tokens to the end of the input or to the first error. All
// complete cases have been emitted then.
func (b *builder) run() error {
	err := b.tokens()
	for b.suite != b.outer { // cut off: their cases count, they are not complete
		b.closeSuite(false)
	}
	if b.cur != nil && len(b.cur.items) > 0 {
		if e := b.flush(); e != nil {
			return e
		}
	}
	return err
}

func (b *builder) tokens() error {
	for {
		kind, err := b.sc.next()
		if err != nil {
			return err
		}
		switch kind {
		case tokEOF:
			if len(b.stack) > 0 {
				return errTruncated
			}
			return nil
		case tokText, tokCDATA:
			err = b.chars(kind == tokCDATA)
		case tokStart:
			err = b.open()
		case tokEnd:
			err = b.close(b.sc.qname, false)
		}
		if err != nil {
			return err
		}
		if b.sc.offset() > b.o.MaxBytes {
			return errTooMuch
		}
	}
}

// top is what the innermost open element means.
func (b *builder) top() elem {
	if len(b.stack) == 0 {
		return elOuter
	}
	return b.stack[len(b.stack)-1].elem
}

func (b *builder) push(e elem, name []byte) error {
	if len(b.stack) >= b.o.MaxDepth {
		return errTooDeep
	}
	b.stack = append(b.stack, frame{e, len(b.names)})
	b.names = append(b.names, name...)
	return nil
}

func (b *builder) open() error {
	s := b.sc
	if len(b.stack) == 0 {
		if b.file.Root != "" {
			b.file.Trailing = true
		} else {
			b.file.Root = string(s.name)
		}
	}
	e, err := b.begin(b.top(), string(s.name))
	if err != nil {
		return err
	}
	if err := b.push(e, s.qname); err != nil {
		return err
	}
	if s.selfClose {
		return b.close(s.qname, true)
	}
	return nil
}

// begin starts the element that the scanner stands on, inside one that means in.
func (b *builder) begin(in elem, name string) (elem, error) {
	switch in {
	case elOuter, elSuite:
		return b.beginOuter(in, name)
	case elCase:
		return b.beginChild(name)
	case elProps:
		if name == "property" {
			return elProperty, b.beginProperty()
		}
		return elIgnored, nil
	case elIgnored:
		return elIgnored, nil
	case elRerun:
		return b.beginInRerun(name)
	default: // markup inside a text
		b.markup(b.sc.qname, b.sc.attrs, b.sc.selfClose)
		return elMarkup, b.checkSize()
	}
}

func (b *builder) beginOuter(in elem, name string) (elem, error) {
	switch name {
	case "testsuite":
		return elSuite, b.openSuite()
	case "testcase":
		return elCase, b.openCase()
	case "properties":
		if in == elSuite || b.isRoot() {
			return elProps, nil
		}
	case "system-out", "system-err", "error", "failure", "skipped":
		if in == elSuite || b.isRoot() {
			b.arena, b.attrs = b.arena[:0], b.attrs[:0]
			b.text.reset()
			_, err := b.parseAttrs()
			return elText, err
		}
	case "testsuites":
		if len(b.stack) == 0 {
			var err error
			b.file.Attrs, err = b.ownAttrs()
			return elOuter, err
		}
	}
	if in == elSuite {
		// not JUnit's, and not ours to drop: keep it as markup in the suite's output
		b.arena, b.attrs = b.arena[:0], b.attrs[:0]
		b.text.reset()
		b.markup(b.sc.qname, b.sc.attrs, b.sc.selfClose)
		return elText, nil
	}
	return elOuter, nil
}

// isRoot reports whether the innermost open element is the <testsuites>.
func (b *builder) isRoot() bool {
	return len(b.stack) == 1 && string(local(b.names)) == "testsuites"
}

func (b *builder) openCase() error {
	b.inCase = true
	b.start = b.sc.tokStart
	b.arena, b.attrs, b.pieces = b.arena[:0], b.attrs[:0], b.pieces[:0]
	b.bigSize, b.rerun = 0, 0
	var err error
	b.own, err = b.parseAttrs()
	return err
}

func (b *builder) beginChild(name string) (elem, error) {
	p := piece{name: name}
	e := elText
	switch name {
	case "properties":
		return elProps, nil
	case "failure", "error", "skipped":
		p.kind = pieceResult
	case "flakyFailure", "flakyError", "rerunFailure", "rerunError":
		p.kind = pieceRerun
		e = elRerun
		b.rerun = len(b.pieces) + 1
		b.direct.reset()
	case "system-out":
		p.kind = pieceOut
	case "system-err":
		p.kind = pieceErr
	default:
		p.kind = pieceExtra
	}
	return e, b.addPiece(p)
}

func (b *builder) addPiece(p piece) error {
	if len(b.pieces)+len(b.attrs) > maxPieces {
		return errTooLarge
	}
	var err error
	p.attrs, err = b.parseAttrs()
	b.pieces = append(b.pieces, p)
	b.text.reset()
	return err
}

func (b *builder) beginProperty() error {
	if !b.inCase {
		if len(b.suite.late.Properties) > maxPieces/4 {
			return errTooLarge
		}
		b.arena, b.attrs, b.pieces = b.arena[:0], b.attrs[:0], b.pieces[:0]
	}
	return b.addPiece(piece{kind: pieceProp})
}

func (b *builder) beginInRerun(name string) (elem, error) {
	p := piece{name: name, in: b.rerun}
	switch name {
	case "stackTrace":
		p.kind = pieceStack
	case "system-out":
		p.kind = pieceOut
	case "system-err":
		p.kind = pieceErr
	default: // markup inside its own text
		b.text, b.direct = b.direct, b.text
		b.markup(b.sc.qname, b.sc.attrs, b.sc.selfClose)
		b.text, b.direct = b.direct, b.text
		return elMarkup, b.checkSize()
	}
	return elText, b.addPiece(p)
}

// markup appends a start tag to the current text as it was written.
func (b *builder) markup(name, attrs []byte, empty bool) {
	t := append(b.text.tail(), '<')
	t = append(t, name...)
	t = b.dec.appendText(t, attrs)
	if empty {
		t = append(t, '/')
	}
	b.text.put(append(t, '>'))
}

// chars adds text to the element that wants it.
func (b *builder) chars(cdata bool) error {
	t := &b.text
	switch b.top() {
	case elText, elProperty:
	case elMarkup:
		if b.markupInRerun() {
			t = &b.direct
		}
	case elRerun:
		t = &b.direct
	case elOuter:
		b.junk = b.junk || b.file.Root == "" && len(bytes.TrimSpace(b.sc.text)) > 0
		return nil
	default:
		return nil
	}
	if !b.want && !b.late { // only the counts matter
		t.skip(len(b.sc.text))
		return b.checkSize()
	}
	before := t.n
	if cdata {
		t.put(b.dec.appendCDATA(t.tail(), b.sc.text))
	} else {
		t.put(b.dec.appendText(t.tail(), b.sc.text))
	}
	if t.n >= bigText && b.want {
		// twice: as pieces, and as the string that is made of them
		b.mem.hold(2 * int64(t.n-before))
	}
	return b.checkSize()
}

// markupInRerun reports whether the innermost markup stands directly in a rerun.
func (b *builder) markupInRerun() bool {
	for i := len(b.stack) - 1; i >= 0; i-- {
		if e := b.stack[i].elem; e != elMarkup {
			return e == elRerun
		}
	}
	return false
}

func (b *builder) checkSize() error {
	if int64(len(b.arena))+b.bigSize+int64(b.text.n)+int64(b.direct.n) > b.o.MaxCase {
		return errTooLarge
	}
	return nil
}

// close ends the innermost element; empty says that it is <name/>.
func (b *builder) close(name []byte, empty bool) error {
	if len(b.stack) == 0 {
		return fmt.Errorf("</%s> closes nothing", name)
	}
	f := b.stack[len(b.stack)-1]
	if open := b.names[f.name:]; !bytes.Equal(open, name) {
		return fmt.Errorf("</%s> where </%s> was expected", name, open)
	}
	b.stack = b.stack[:len(b.stack)-1]
	b.names = b.names[:f.name]
	switch f.elem {
	case elSuite:
		b.closeSuite(true)
		return b.flushIfFull()
	case elCase:
		return b.closeCase()
	case elText:
		b.closeText(name, empty)
	case elProperty:
		b.closeProperty()
	case elRerun:
		b.closeRerun()
	case elMarkup:
		if !empty {
			b.closeMarkup(name)
		}
	case elOuter, elProps, elIgnored:
	}
	return nil
}

func (b *builder) closeMarkup(name []byte) {
	t := &b.text
	if b.top() == elRerun || b.top() == elMarkup && b.markupInRerun() {
		t = &b.direct
	}
	t.put(appendEndTag(t.tail(), name))
}

func appendEndTag(dst, name []byte) []byte {
	dst = append(dst, "</"...)
	dst = append(dst, name...)
	return append(dst, '>')
}

// closeText stores the text of a child of a case, a suite or the root.
func (b *builder) closeText(name []byte, empty bool) {
	if !b.inCase {
		b.suiteText(name, empty)
		return
	}
	b.storeText(&b.pieces[len(b.pieces)-1], &b.text)
}

func (b *builder) storeText(p *piece, t *textBuf) {
	if t.big() {
		b.bigSize += int64(t.n)
		if b.want {
			p.big = t.take()
		} else {
			t.reset()
		}
		return
	}
	p.text.from = len(b.arena)
	b.arena = append(b.arena, t.small...)
	p.text.to = len(b.arena)
	t.reset()
}

func (b *builder) closeProperty() {
	p := &b.pieces[len(b.pieces)-1]
	b.storeText(p, &b.text)
	if b.inCase {
		return
	}
	prop := b.property(string(b.arena), b.attrs, *p)
	b.suite.late.Properties = append(b.suite.late.Properties, prop)
	b.pieces = b.pieces[:0]
}

func (b *builder) closeRerun() {
	// its own text is the stack trace where there is no element for it
	b.storeText(&b.pieces[b.rerun-1], &b.direct)
	b.rerun = 0
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

func (b *builder) property(arena string, attrs []attrSpan, p piece) Property {
	var out Property
	hasValue := false
	for _, s := range attrs[p.attrs.from:p.attrs.to] {
		switch arena[s.name.from:s.name.to] {
		case "name":
			out.Name = arena[s.value.from:s.value.to]
		case "value":
			out.Value = arena[s.value.from:s.value.to]
			hasValue = true
		}
	}
	if text := p.value(arena); !hasValue && text != "" {
		out.Value = strings.TrimSpace(text)
	}
	return out
}

// value is the piece's text.
func (p piece) value(arena string) string {
	if p.big != "" {
		return p.big
	}
	return arena[p.text.from:p.text.to]
}
