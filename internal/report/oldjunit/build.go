package junit

import (
	"bytes"
	"errors"
	"fmt"
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

// builder follows the tokens and makes items of them.
type builder struct {
	sc  *scanner
	dec decoder
	o   ReadOptions
	mem *budget

	beside int64 // bytes that the open suites hold beside their cases

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
	seen func(s *Suite, class, name []byte, status Status)
	junk bool // text before any element
}

// What ends the reading of a hostile file, and errMismatch, which is a bug of ours.
var (
	errTooDeep  = errors.New("elements are nested deeper than the limit")
	errTooLarge = errors.New("a test case is larger than the limit")
	errTooMany  = fmt.Errorf("a tag has more than %d attributes", maxAttrs)
	errMuchText = errors.New("what suites say beside their cases is larger than the limit for a test case")
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
		return b.closeText(name, empty)
	case elProperty:
		return b.closeProperty()
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
