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
		if outer := &p.file.Outer; len(p.open) == 0 {
			outer.Attrs = p.attrs(outer.Attrs)
			outer.Pytest = outer.Attr("name") == "pytest tests"
		}
	default:
		if p.kept() {
			return p.said(name)
		}
	}
	return p.body(nil, (*parser).outside)
}

// inside reads an element that stands in a test case.
func (p *parser) inside(name string) error {
	if p.sc.Whole && len(p.sc.QName) != len(name) {
		return errOdd
	}
	switch name {
	case "testcase":
		return p.testCase()
	case "flakyFailure", "flakyError", "rerunFailure", "rerunError":
		return p.attempt(RerunKind(strings.Clone(name)))
	default:
		return p.said(name)
	}
}

// said reads an element that cases and suites may have, into the innermost open one.
func (p *parser) said(name string) error {
	props, results, out, errs := &p.suite.Properties, &p.suite.Results, &p.suite.SystemOut, &p.suite.SystemErr
	if c := p.in; c != nil {
		props, results, out, errs = &c.Properties, &c.Results, &c.SystemOut, &c.SystemErr
	}
	switch {
	case name == "properties" && (p.sink == nil || p.in == nil):
		return p.body(nil, func(p *parser, name string) error { return p.property(name, props) })
	case name == "failure":
		return p.result(Failed, results)
	case name == "error":
		return p.result(Errored, results)
	case name == "skipped":
		return p.result(Skipped, results)
	case name == "system-out":
		return p.textInto(out)
	case name == "system-err":
		return p.textInto(errs)
	case p.in == nil && p.suite == &p.file.Outer:
		return p.body(nil, (*parser).outside)
	default:
		return p.unknown()
	}
}

// unknown reads an element of a suite or case that JUnit does not know: it is output, as
// it is, and searched for cases and results.
func (p *parser) unknown() error {
	each := (*parser).outside
	if p.in != nil {
		each = (*parser).inside
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
	return p.output(text)
}

// property reads a child of <properties>.
func (p *parser) property(name string, into *[]Property) error {
	if name != "property" {
		return p.unknown()
	}
	const none = "\x00" // no clean text
	one := Property{Value: none}
	p.attrs(nil, field{"name", &one.Name}, field{"value", &one.Value})
	text, err := p.text()
	if one.Value == none {
		one.Value = strings.TrimSpace(text)
	}
	*into = append(*into, one)
	return cmp.Or(err, p.hold(len(one.Name)+len(one.Value)))
}

// textInto reads an output into a list.
func (p *parser) textInto(list *[]string) error {
	text, err := p.text()
	if err != nil {
		return err
	}
	*list = append(*list, text)
	return p.hold(len(text))
}

// result reads a <failure>, <error> or <skipped> into a list.
func (p *parser) result(s Status, into *[]Result) (err error) {
	r := Result{Status: s}
	r.Attrs = p.attrs(nil, field{"message", &r.Message}, field{"type", &r.Type})
	if r.Text, err = p.text(); err != nil {
		return err
	}
	*into = append(*into, r)
	return p.hold(len(r.Text))
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

// testCase reads a case: as a shallow one if it can stand in a report as it is.
func (p *parser) testCase() error {
	if p.sc.Whole {
		return errOdd
	}
	begin, dec, sink, open := p.sc.TokenStart, p.dec, p.sink, p.open
	for again := p.v.Shallow && p.in == nil; again; {
		p.sc.Whole, p.odd = true, false
		c, err := p.oneCase(p.newCase())
		p.sc.Whole, p.odd = false, false
		if err == nil {
			return p.visit(c)
		}
		p.dec, p.sink, p.open = dec, sink, open
		p.sc.Back(begin)
		again = errors.Is(err, xmltext.ErrShort) && p.sc.More() == nil
		if _, err := p.sc.Next(); err != nil { // its start tag again
			return err
		}
	}
	c, err := p.oneCase(&Case{})
	if err != nil {
		return err
	}
	return p.visit(c)
}

// newCase is a shallow case with nothing in it, made of the one before.
func (p *parser) newCase() *Case {
	s := &p.spare
	*s = Case{Attrs: s.Attrs[:0], Properties: s.Properties[:0], Results: s.Results[:0], SystemOut: s.SystemOut[:0], SystemErr: s.SystemErr[:0]}
	return s
}

// oneCase reads a case. Those inside of it end before it.
func (p *parser) oneCase(c *Case) (*Case, error) {
	outer, took := p.in, ""
	if outer == nil {
		p.pieces = len(p.sc.Attrs)
	}
	if p.suite != &p.file.Outer {
		c.Suite = p.suite
	}
	c.Offset = p.sc.TokenStart
	p.odd = p.sc.Whole && len(p.sc.QName) != len("testcase")
	c.Attrs = p.attrs(c.Attrs, field{"name", &c.Name}, field{"classname", &c.Classname}, field{"time", &took})
	var plain bool
	c.Time, plain = plainTime(took)
	p.in = c
	err := p.body(nil, (*parser).inside)
	p.in = outer
	if err != nil {
		return nil, err
	}
	made := len(c.Results) == 0 && c.saysEnd()
	if p.sc.Whole {
		single := len(c.Results) < 2 && len(c.SystemOut) < 2 && len(c.SystemErr) < 2
		if p.odd || !plain || !single || made || c.Name == "" || c.Classname == "" {
			return nil, errOdd
		}
		c.Raw = p.sc.Between(c.Offset, p.sc.Offset())
	}
	return c, nil
}

// visit counts a case that has ended, and gives it out.
func (p *parser) visit(c *Case) error {
	status := c.Status()
	p.file.Counts.Add(status)
	p.suite.Cases++
	p.suite.Counts.Add(status)
	p.suite.Time += c.Time
	p.suite.reruns += len(c.Reruns)
	if p.v.Case == nil {
		return nil
	}
	if err := p.v.Case(c); err != nil {
		return errVisitor{err}
	}
	return nil
}

// saysEnd makes a case what only an attribute says of it: it failed or, for GoogleTest and CTest, did not run.
func (c *Case) saysEnd() bool {
	for _, name := range [...]string{"result", "status"} {
		switch value := c.Attr(name); strings.ToLower(value) {
		case "fail", "failed", "failure", "error", "errored", "broken":
			c.Results = []Result{{Status: Failed, Type: "ci-disagg.attribute", Message: "failed without a failure element: " + name + `="` + value + `"`}}
			return true
		case "notrun", "disabled", "suppressed", "skipped":
			c.Results = []Result{{Status: Skipped, Message: "not run: " + name + `="` + value + `"`}}
		}
	}
	return len(c.Results) > 0
}

// attempt reads one that a runner reports inside the final case.
func (p *parser) attempt(kind RerunKind) error {
	if p.sc.Whole {
		return errOdd
	}
	c, r := p.in, Rerun{Kind: kind}
	p.attrs(nil, field{"message", &r.Message}, field{"type", &r.Type})
	parts := map[string]*string{"stackTrace": &r.StackTrace, "system-out": &r.SystemOut, "system-err": &r.SystemErr}
	var rest []byte
	err := p.body(&rest, func(p *parser, name string) error {
		part := parts[name]
		if part == nil {
			return p.markup(name)
		}
		text, err := p.text()
		*part = join(*part, text)
		return err
	})
	if trace := takeText(rest); strings.TrimSpace(trace) != "" { // where there is no element for it
		r.StackTrace = join(trace, r.StackTrace)
	}
	c.Reruns = append(c.Reruns, r)
	return err
}

// join puts two texts of one kind under each other.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}
