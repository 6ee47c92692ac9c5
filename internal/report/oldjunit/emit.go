package junit

import "unicode/utf8"

// closeCase makes an item of the case that was read: what go-junit gets right in
// the batch, and everything as overlay where it would drop something.
func (b *builder) closeCase() error {
	b.inCase = false
	status := b.status()
	b.file.Counts.Add(status)
	if b.seen != nil {
		b.seen(b.suite.pub, b.ownAttr("classname"), b.ownAttr("name"), status)
	}
	if !b.want {
		if b.late {
			b.add(item{suite: b.pubSuite(), offset: b.start})
		}
		return b.flushIfFull()
	}
	it := item{suite: b.pubSuite(), offset: b.start, alone: b.bare()}
	simple := !it.alone && b.simple()
	if !simple {
		it.overlay = b.overlay()
	}
	b.add(it)
	b.cur.cases++
	if !it.alone {
		b.cur.sent++
		b.cur.xml = b.appendCase(b.cur.xml, simple)
	}
	if b.bigSize > 0 {
		return b.flush()
	}
	return b.flushIfFull()
}

// pubSuite is the suite that the visitor sees, nil outside of any.
func (b *builder) pubSuite() *Suite {
	if b.suite == b.outer {
		return nil
	}
	return b.suite.pub
}

func (b *builder) add(it item) {
	if !b.want && !b.late {
		return
	}
	if b.cur == nil {
		b.cur = &batch{xml: make([]byte, 0, batchBytes+batchBytes/8), items: make([]item, 0, batchItems)}
	}
	b.cur.items = append(b.cur.items, it)
}

func (b *builder) flushIfFull() error {
	if b.cur == nil || !b.cur.full() {
		return nil
	}
	return b.flush()
}

func (b *builder) flush() error {
	full := b.cur
	b.cur = nil
	return b.emit(full)
}

func (b *builder) status() Status {
	s := Passed
	for _, p := range b.pieces {
		if p.kind == pieceResult {
			if r := resultStatus(p.name); r.Worse(s) {
				s = r
			}
		}
	}
	return s
}

// bare reports whether a case has nothing inside but properties. The splitter
// has decoded its attributes already and go-junit could only repeat them, at
// several times the price of everything else; most cases of most files pass.
func (b *builder) bare() bool {
	for i := range b.pieces {
		if b.pieces[i].kind != pieceProp {
			return false
		}
	}
	return true
}

// simple reports whether go-junit reads the case without loss.
func (b *builder) simple() bool {
	var results, outs, errs int
	for i := range b.pieces {
		p := &b.pieces[i]
		if p.big != "" {
			return false
		}
		switch p.kind {
		case pieceResult:
			results++
			if !b.simpleResult(p) {
				return false
			}
		case pieceOut:
			outs++
			if p.text.from == p.text.to {
				return false // an empty element is an element
			}
		case pieceErr:
			errs++
			if p.text.from == p.text.to {
				return false
			}
		default:
			return false
		}
	}
	if results > 1 || outs > 1 || errs > 1 {
		return false
	}
	for i, a := range b.attrs[b.own.from:b.own.to] {
		if !goName(b.arena[a.name.from:a.name.to]) {
			return false
		}
		for _, c := range b.attrs[b.own.from : b.own.from+i] {
			if string(b.arena[a.name.from:a.name.to]) == string(b.arena[c.name.from:c.name.to]) {
				return false
			}
		}
	}
	return true
}

// simpleResult reports whether go-junit keeps all of a failure, error or skipped:
// message and type, and no text where it is skipped.
func (b *builder) simpleResult(p *piece) bool {
	if p.name == "skipped" && p.text.from != p.text.to {
		return false
	}
	for _, a := range b.attrs[p.attrs.from:p.attrs.to] {
		switch string(b.arena[a.name.from:a.name.to]) {
		case "message":
		case "type":
			if p.name == "skipped" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// goName reports whether encoding/xml takes the name for an attribute.
func goName(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return len(name) > 0 && name[0] != '-' && name[0] != '.' && (name[0] < '0' || name[0] > '9')
}

// appendCase writes the case for go-junit: all of it, or just its names if there
// is an overlay.
func (b *builder) appendCase(dst []byte, all bool) []byte {
	dst = append(dst, "<testcase"...)
	for _, a := range b.attrs[b.own.from:b.own.to] {
		name := b.arena[a.name.from:a.name.to]
		if all || string(name) == "name" || string(name) == "classname" {
			dst = b.appendAttr(dst, a)
		}
	}
	if !all || len(b.pieces) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(dst, '>')
	for _, p := range b.pieces {
		dst = append(dst, '<')
		dst = append(dst, p.name...)
		if p.kind == pieceResult {
			for _, a := range b.attrs[p.attrs.from:p.attrs.to] {
				dst = b.appendAttr(dst, a)
			}
		}
		dst = append(dst, '>')
		dst = appendEscaped(dst, b.arena[p.text.from:p.text.to])
		dst = append(dst, "</"...)
		dst = append(dst, p.name...)
		dst = append(dst, '>')
	}
	return append(dst, "</testcase>"...)
}

func (b *builder) appendAttr(dst []byte, a attrSpan) []byte {
	dst = append(dst, ' ')
	dst = append(dst, b.arena[a.name.from:a.name.to]...)
	dst = append(dst, '=', '"')
	dst = appendEscaped(dst, b.arena[a.value.from:a.value.to])
	return append(dst, '"')
}

// overlay is the whole case. Its short strings share one copy of the arena.
func (b *builder) overlay() *Case {
	arena := string(b.arena)
	own := b.attrs[b.own.from:b.own.to]
	c := &Case{Attrs: attrList(arena, own, "name", "classname", "time")}
	for _, a := range own {
		value := arena[a.value.from:a.value.to]
		switch arena[a.name.from:a.name.to] {
		case "name":
			c.Name = value
		case "classname":
			c.Classname = value
		case "time":
			c.Time = ParseTime(value)
		}
	}
	var reruns map[int]int
	for i, p := range b.pieces {
		if p.kind == pieceRerun {
			if reruns == nil {
				reruns = make(map[int]int)
			}
			reruns[i+1] = len(c.Reruns)
		}
		b.addTo(c, arena, p, reruns)
	}
	return c
}

func (b *builder) addTo(c *Case, arena string, p piece, reruns map[int]int) {
	text := p.value(arena)
	if p.in > 0 {
		addToRerun(&c.Reruns[reruns[p.in]], p.kind, text)
		return
	}
	switch p.kind {
	case pieceResult:
		r := Result{Status: resultStatus(p.name), Text: text, Attrs: attrList(arena, b.attrs[p.attrs.from:p.attrs.to], "message", "type")}
		r.Message, r.Type = b.messageAndType(arena, p)
		c.Results = append(c.Results, r)
	case pieceRerun:
		r := Rerun{Kind: RerunKind(p.name)}
		r.Message, r.Type = b.messageAndType(arena, p)
		if !blank(text) {
			r.StackTrace = text
		}
		c.Reruns = append(c.Reruns, r)
	case pieceOut:
		c.SystemOut = append(c.SystemOut, text)
	case pieceErr:
		c.SystemErr = append(c.SystemErr, text)
	case pieceProp:
		c.Properties = append(c.Properties, b.property(arena, b.attrs, p))
	case pieceExtra:
		c.Extra = append(c.Extra, Extra{p.name, attrList(arena, b.attrs[p.attrs.from:p.attrs.to]), text})
	case pieceStack:
	}
}

func addToRerun(r *Rerun, kind pieceKind, text string) {
	switch kind {
	case pieceStack:
		r.StackTrace = join(r.StackTrace, text)
	case pieceOut:
		r.SystemOut = join(r.SystemOut, text)
	case pieceErr:
		r.SystemErr = join(r.SystemErr, text)
	default:
	}
}

// join puts two texts of one kind under each other.
func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "\n" + b
}

func blank(s string) bool {
	for i := range len(s) {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}

func (b *builder) messageAndType(arena string, p piece) (message, kind string) {
	for _, a := range b.attrs[p.attrs.from:p.attrs.to] {
		switch arena[a.name.from:a.name.to] {
		case "message":
			message = arena[a.value.from:a.value.to]
		case "type":
			kind = arena[a.value.from:a.value.to]
		}
	}
	return message, kind
}
