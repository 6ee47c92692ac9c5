package junit

import (
	"cmp"
	"errors"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// outside reads an element that stands in no test case.
func (p *parser) outside(name string) error {
	switch name {
	case "testcase":
		return p.testCase()
	case "testsuite":
		return p.testSuite()
	case "testsuites":
		if outer := &p.file.Outer; p.depth == 0 {
			outer.Attrs = p.attrs(outer.Attrs)
			outer.Pytest = outer.Attr("name") == "pytest tests"
		}
		return p.body(nil, (*parser).outside)
	}
	kept, s := p.kept(), p.suite
	switch {
	case kept && name == "properties":
		return p.body(nil, (*parser).property)
	case kept && (name == "system-out" || name == "system-err"):
		text, err := p.textInto(name, &s.SystemOut, &s.SystemErr)
		return cmp.Or(err, p.hold(len(text)))
	case kept && (name == "failure" || name == "error" || name == "skipped"):
		r, err := p.result(name, &s.Results)
		return cmp.Or(err, p.hold(len(r.Text)))
	case s != &p.file.Outer:
		return p.unknown(name)
	default:
		return p.body(nil, (*parser).outside)
	}
}

// unknown reads an element of a suite or case that JUnit does not know: it is output, as
// it is, and searched for cases and results.
func (p *parser) unknown(string) error {
	each, out := (*parser).outside, &p.suite.SystemOut
	if p.in != nil {
		each, out = (*parser).inside, &p.in.SystemOut
	}
	if p.sink != nil {
		return p.verbatim(each)
	}
	var text []byte
	p.sink = &text
	if err := p.verbatim(each); err != nil {
		return err
	}
	p.sink = nil
	*out = append(*out, takeText(text))
	if p.in != nil {
		return nil
	}
	return p.hold(len(text))
}

// property reads a child of <properties>.
func (p *parser) property(name string) error {
	if name != "property" {
		return p.unknown(name)
	}
	const none = "\x00" // no clean text
	one := Property{Value: none}
	p.attrs(nil, field{"name", &one.Name}, field{"value", &one.Value})
	text, err := p.text()
	if one.Value == none {
		one.Value = strings.TrimSpace(text)
	}
	if p.in != nil {
		p.in.Properties = append(p.in.Properties, one)
		return err
	}
	p.suite.Properties = append(p.suite.Properties, one)
	return cmp.Or(err, p.hold(len(one.Name)+len(one.Value)))
}

// textInto reads an output into the list that it belongs to.
func (p *parser) textInto(name string, out, errs *[]string) (string, error) {
	if name == "system-err" {
		out = errs
	}
	text, err := p.text()
	if err == nil {
		*out = append(*out, text)
	}
	return text, err
}

// result reads a <failure>, <error> or <skipped> into a list.
func (p *parser) result(name string, into *[]Result) (r Result, err error) {
	switch r.Status = Failed; name {
	case "error":
		r.Status = Errored
	case "skipped":
		r.Status = Skipped
	}
	r.Attrs = p.attrs(nil, field{"message", &r.Message}, field{"type", &r.Type})
	if r.Text, err = p.text(); err == nil {
		*into = append(*into, r)
	}
	return r, err
}

// hold counts one thing of n bytes that is kept until the end of the open suite,
// and refuses what is more than may be held.
func (p *parser) hold(n int) error {
	const itself = 64 // bytes, also of one that is empty
	if p.held += int64(n) + itself; p.held > p.o.MaxCase {
		return errMuchText
	}
	return nil
}

func (p *parser) testSuite() error {
	s := &Suite{}
	s.Attrs = p.attrs(nil, field{"name", &s.Name})
	if p.suite != &p.file.Outer {
		s.Parent = p.suite
	}
	s.Pytest = s.Name == "pytest" || p.suite.Pytest
	outer, held := p.suite, p.held
	p.suite = s
	p.file.Suites++
	err := p.body(nil, (*parser).outside)
	p.suite, p.held = outer, held
	if s.Complete = err == nil; s.Complete {
		s.settle()
	}
	outer.add(s)
	if _, stopped := err.(errVisitor); p.v.Suite != nil && !stopped { //nolint:errorlint // never wrapped
		if failed := p.v.Suite(s); failed != nil {
			return errVisitor{failed}
		}
	}
	return err
}

// testCase reads a case, and again where it does not end in the window.
func (p *parser) testCase() error {
	if outer := p.in; outer != nil {
		outer.Plain = false // it cannot be copied with this one in it
		err := p.oneCase(&Case{})
		p.in = outer
		return err
	}
	begin, before := p.sc.TokenStart, p.state
	for {
		p.sc.Whole, p.pieces = true, len(p.sc.Attrs)
		err := p.oneCase(p.newCase())
		p.sc.Whole, p.in = false, nil
		if errors.Is(err, xmltext.ErrShort) {
			p.sc.Back(begin)
			if err = p.sc.More(); err == nil {
				p.state = before
				_, err = p.sc.Next() // its start tag again
			}
			if err == nil {
				continue
			}
		}
		return cmp.Or(p.visit(), err)
	}
}

// newCase is a case with nothing in it: the one before, if that was shallow.
func (p *parser) newCase() *Case {
	if !p.v.Shallow {
		return &Case{}
	}
	s := &p.spare
	*s = Case{Attrs: s.Attrs[:0], Properties: s.Properties[:0], Results: s.Results[:0], SystemOut: s.SystemOut[:0], SystemErr: s.SystemErr[:0]}
	return s
}

func (p *parser) oneCase(c *Case) error {
	if p.suite != &p.file.Outer {
		c.Suite = p.suite
	}
	before := int64(p.asides) + p.dec.Repaired
	c.Offset, c.Plain = p.sc.TokenStart, len(p.sc.QName) == len("testcase")
	p.in = c
	took := ""
	c.Attrs = p.attrs(c.Attrs, field{"name", &c.Name}, field{"classname", &c.Classname}, field{"time", &took})
	var same bool
	c.Time, same = plainTime(took)
	c.Plain = c.Plain && c.Name != "" && same
	if err := p.body(nil, (*parser).inside); err != nil {
		return err
	}
	if len(c.Results) == 0 {
		c.notRun()
	}
	if p.v.Shallow {
		c.Raw = p.sc.Between(c.Offset, p.sc.Offset())
	}
	c.Plain = c.Plain && before == int64(p.asides)+p.dec.Repaired
	p.ended = append(p.ended, c)
	return nil
}

// visit counts the cases that have ended, and gives them out.
func (p *parser) visit() error {
	for i, c := range p.ended {
		p.ended[i] = nil
		status := c.Status()
		p.file.Counts.Add(status)
		p.suite.Cases++
		p.suite.Counts.Add(status)
		p.suite.Time += c.Time
		p.suite.reruns += len(c.Reruns)
		if p.v.Case != nil {
			if err := p.v.Case(c); err != nil {
				return errVisitor{err}
			}
		}
	}
	p.ended = p.ended[:0]
	return nil
}

// notRun makes a case skipped of which GoogleTest or CTest say by an attribute that it
// did not run: it has no child that says so.
func (c *Case) notRun() {
	for _, name := range [...]string{"status", "result"} {
		switch value := c.Attr(name); value {
		case "notrun", "disabled", "suppressed", "skipped":
			c.Results = append(c.Results, Result{Status: Skipped, Message: "not run: " + name + `="` + value + `"`})
			c.Plain = false
			return
		}
	}
}

// inside reads an element that stands in a test case.
func (p *parser) inside(name string) error {
	c := p.in
	c.Plain = c.Plain && len(p.sc.QName) == len(name)
	switch name {
	case "testcase":
		return p.testCase()
	case "properties":
		if p.sink == nil {
			return p.body(nil, (*parser).property)
		}
		return p.unknown(name)
	case "failure", "error", "skipped":
		_, err := p.result(name, &c.Results)
		c.Plain = c.Plain && len(c.Results) == 1
		return err
	case "flakyFailure", "flakyError", "rerunFailure", "rerunError":
		return p.again(c, RerunKind(strings.Clone(name)))
	case "system-out", "system-err":
		_, err := p.textInto(name, &c.SystemOut, &c.SystemErr)
		c.Plain = c.Plain && len(c.SystemOut) < 2 && len(c.SystemErr) < 2
		return err
	default:
		return p.unknown(name)
	}
}

// again reads an attempt that a runner reports inside the final case.
func (p *parser) again(c *Case, kind RerunKind) error {
	r := Rerun{Kind: kind}
	p.attrs(nil, field{"message", &r.Message}, field{"type", &r.Type})
	c.Plain = false
	p.rerun = &r
	var text []byte
	err := p.body(&text, (*parser).ofAttempt)
	p.rerun = nil
	if trace := takeText(text); strings.TrimSpace(trace) != "" { // where there is no element for it
		r.StackTrace = join(trace, r.StackTrace)
	}
	c.Reruns = append(c.Reruns, r)
	return err
}

// ofAttempt reads a child of such an attempt.
func (p *parser) ofAttempt(name string) error {
	r := p.rerun
	list := map[string]*string{"stackTrace": &r.StackTrace, "system-out": &r.SystemOut, "system-err": &r.SystemErr}[name]
	if list == nil {
		return p.markup(name)
	}
	text, err := p.text()
	*list = join(*list, text)
	return err
}

// join puts two texts of one kind under each other.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}
