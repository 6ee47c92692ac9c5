package junit

import "strings"

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

func (b *builder) openCase() error {
	b.inCase = true
	b.start = b.sc.tokStart
	b.arena, b.attrs, b.pieces = b.arena[:0], b.attrs[:0], b.pieces[:0]
	b.bigSize, b.rerun = 0, 0
	var err error
	b.own, err = b.parseAttrs()
	return err
}

// ownAttr is an attribute of the case itself.
func (b *builder) ownAttr(name string) (value []byte) {
	for _, a := range b.attrs[b.own.from:b.own.to] {
		if string(b.arena[a.name.from:a.name.to]) == name {
			value = b.arena[a.value.from:a.value.to] // of repeated ones the last counts
		}
	}
	return value
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

func (b *builder) closeProperty() error {
	p := &b.pieces[len(b.pieces)-1]
	b.storeText(p, &b.text)
	if b.inCase {
		return nil
	}
	prop := b.property(string(b.arena), b.attrs, *p)
	b.suite.late.Properties = append(b.suite.late.Properties, prop)
	b.pieces = b.pieces[:0]
	return b.holdForSuite(len(prop.Name) + len(prop.Value))
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
