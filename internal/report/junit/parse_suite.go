package junit

import (
	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// hold counts one thing of n bytes that is kept until the end of the open suite,
// and refuses what is more than may be held.
func (p *parser) hold(n int) error {
	const itself = 64 // bytes, also of one that is empty
	p.beside[p.suite] += int64(n) + itself
	if p.held += int64(n) + itself; p.held > p.o.MaxCase {
		return errMuchText
	}
	return nil
}

func (p *parser) openSuite() {
	s := &Suite{Offset: p.sc.TokenStart}
	for _, a := range p.sc.Attrs {
		if string(xmltext.Local(a.Name)) == "name" {
			s.Name = p.dec.Clean(a.Value)
			continue
		}
		s.Attrs = p.addAttr(s.Attrs, a)
	}
	if p.suite != &p.file.Outer {
		s.Parent = p.suite
	}
	s.Pytest = s.Name == "pytest" || p.suite.Pytest
	p.suite = s
	p.file.Suites++
}

func (p *parser) closeSuite(complete bool) error {
	s := p.suite
	s.Complete = complete
	p.held -= p.beside[s]
	delete(p.beside, s)
	if p.suite = s.Parent; p.suite == nil {
		p.suite = &p.file.Outer
	}
	if complete {
		s.settle()
	}
	p.suite.add(s)
	if p.v.Suite == nil {
		return nil
	}
	if err := p.v.Suite(s); err != nil {
		return errVisitor{err}
	}
	return nil
}

// closeBeside stores what stands in a suite or in the root beside cases.
func (p *parser) closeBeside(f *frame, name []byte) error {
	s := p.suite
	if f.elem == elUnknown {
		f.text = p.appendEnd(f.text, name)
	}
	text := takeText(f.text)
	n := len(text)
	switch {
	case f.elem == elProperty:
		one := property(f.res.Attrs, text)
		s.Properties = append(s.Properties, one)
		n = len(one.Name) + len(one.Value)
	case f.kind == "system-err":
		s.SystemErr = append(s.SystemErr, text)
	case f.elem == elUnknown, f.kind == "system-out":
		s.SystemOut = append(s.SystemOut, text)
	default:
		f.res.Text = text
		s.Results = append(s.Results, f.res)
	}
	return p.hold(n)
}
