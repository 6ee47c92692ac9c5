package junit

import "bytes"

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
func (b *builder) closeText(name []byte, empty bool) error {
	if !b.inCase {
		return b.suiteText(name, empty)
	}
	b.storeText(&b.pieces[len(b.pieces)-1], &b.text)
	return nil
}
