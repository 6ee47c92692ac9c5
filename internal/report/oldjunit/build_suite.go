package junit

// suiteBuild is an open suite. The visitor sees pub from its first case on, so
// everything that comes later is collected in late and put into pub at the end.
type suiteBuild struct {
	parent *suiteBuild
	pub    *Suite
	late   Suite
	size   int64 // bytes of texts and properties in late
}

// holdForSuite counts one thing of n bytes that is kept until the end of the open
// suite, and refuses what is more than may be held.
func (b *builder) holdForSuite(n int) error {
	const itself = 64 // bytes, also of one that is empty
	b.suite.size += int64(n) + itself
	if b.beside += int64(n) + itself; b.beside > b.o.MaxCase {
		return errMuchText
	}
	return nil
}

func (b *builder) openSuite() error {
	attrs, err := b.ownAttrs()
	if err != nil {
		return err
	}
	pub := &Suite{Offset: b.sc.tokStart, Attrs: attrs}
	for i, a := range attrs {
		if a.Name == "name" {
			pub.Name = a.Value
			pub.Attrs = append(attrs[:i:i], attrs[i+1:]...)
			break
		}
	}
	if b.suite != b.outer {
		pub.Parent = b.suite.pub
	}
	b.suite = &suiteBuild{parent: b.suite, pub: pub}
	b.file.Suites++
	return nil
}

func (b *builder) closeSuite(complete bool) {
	s := b.suite
	s.late.Complete = complete
	b.suite = s.parent
	b.beside -= s.size
	late := s.late
	b.add(item{suite: s.pub, end: &late})
}

// suiteText stores the text of a child of a suite or of the root.
func (b *builder) suiteText(name []byte, empty bool) error {
	late := &b.suite.late
	kind := string(local(name))
	switch kind {
	case "system-out", "system-err", "error", "failure", "skipped":
	default: // kept as markup
		if !empty {
			b.text.put(appendEndTag(b.text.tail(), name))
		}
	}
	text := b.text.take()
	if b.want && len(text) >= bigText {
		b.mem.drop() // charged to the suite, which is bounded by MaxCase
	}
	switch kind {
	case "system-out":
		late.SystemOut = append(late.SystemOut, text)
	case "system-err":
		late.SystemErr = append(late.SystemErr, text)
	case "error", "failure", "skipped":
		r := Result{Status: resultStatus(kind), Text: text}
		for _, a := range b.attrs {
			switch string(b.arena[a.name.from:a.name.to]) {
			case "message":
				r.Message = string(b.arena[a.value.from:a.value.to])
			case "type":
				r.Type = string(b.arena[a.value.from:a.value.to])
			}
		}
		late.Results = append(late.Results, r)
	default:
		late.SystemOut = append(late.SystemOut, text)
	}
	return b.holdForSuite(len(text))
}
