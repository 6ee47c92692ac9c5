package junit

import (
	"bytes"
	"slices"
	"strings"
)

// maxAttrs bounds the attributes of one tag. Real files have a dozen; a million
// would be looked up one among the others.
const maxAttrs = 1024

// parseAttrs decodes the attributes of the current tag into the arena.
func (b *builder) parseAttrs() (span, error) {
	from := len(b.attrs)
	rest := b.sc.attrs
	for {
		a, r, ok, err := nextAttr(rest)
		if err != nil {
			return span{}, err
		}
		if !ok {
			return span{from, len(b.attrs)}, nil
		}
		rest = r
		if string(a.name) == "xmlns" || bytes.HasPrefix(a.name, []byte("xmlns:")) {
			continue // says nothing once the prefixes are gone
		}
		if len(b.attrs)-from >= maxAttrs {
			return span{}, errTooMany
		}
		if bytes.IndexByte(a.value, '<') >= 0 {
			b.dec.repaired++ // XML wants it escaped, and nothing is lost
		}
		var s attrSpan
		s.name.from = len(b.arena)
		b.arena = b.dec.appendCDATA(b.arena, local(a.name))
		s.name.to = len(b.arena)
		s.value.from = len(b.arena)
		b.arena = b.dec.appendText(b.arena, a.value)
		s.value.to = len(b.arena)
		b.attrs = append(b.attrs, s)
	}
}

// ownAttrs are the attributes of the current tag, on their own.
func (b *builder) ownAttrs() ([]Attr, error) {
	b.arena, b.attrs = b.arena[:0], b.attrs[:0]
	s, err := b.parseAttrs()
	if err != nil {
		return nil, err
	}
	return attrList(string(b.arena), b.attrs[s.from:s.to]), nil
}

// attrList gives attributes sorted by name, without those in not. Of repeated
// ones it keeps the last.
func attrList(arena string, spans []attrSpan, not ...string) []Attr {
	var out []Attr
	for _, s := range spans {
		a := Attr{arena[s.name.from:s.name.to], arena[s.value.from:s.value.to]}
		if slices.Contains(not, a.Name) {
			continue
		}
		if i := slices.IndexFunc(out, func(o Attr) bool { return o.Name == a.Name }); i >= 0 {
			out[i] = a
			continue
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Attr) int { return strings.Compare(a.Name, b.Name) })
	return out
}
