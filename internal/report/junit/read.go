package junit

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// ReadOptions bound what Read accepts. Zero values mean the defaults.
type ReadOptions struct {
	MaxDepth int   // of nested elements; default 64
	MaxBytes int64 // of the whole input; default 4 GiB
	MaxCase  int64 // of one test case; default 256 MiB
}

// WithDefaults gives the bounds that hold.
func (o ReadOptions) WithDefaults() ReadOptions {
	if o.MaxDepth <= 0 {
		o.MaxDepth = 64
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 4 << 30
	}
	if o.MaxCase <= 0 {
		o.MaxCase = 256 << 20
	}
	return o
}

// Visitor receives what Read finds, in file order. Nil functions are not called;
// with Case nil no values are made and it is many times faster. An error of a
// function ends Read with that error.
type Visitor struct {
	Case  func(*Case) error  // the case is the callee's
	Suite func(*Suite) error // after the suite's end; also for suites that were cut off
	Span  func(*Span) error  // before Case; the span is overwritten after the call
}

// Span is where a case stands in the input, in bytes of its text in UTF-8, and
// what can be told of it without making a value.
type Span struct {
	Suite           *Suite // nil outside any suite
	Offset, Len     int64
	Sum             uint32 // checksum of its bytes
	Name, Classname []byte // clean
	Time            time.Duration
	Status          Status
	Teardown        bool // what pytest writes for an error in a teardown, beside the call
	Bare            bool // without names, results, properties and further attributes
	Reruns          bool // rerun elements
	Properties      bool // properties, further attributes or unknown elements
	// Plain reports whether the bytes can stand in a report as they are. Only the
	// bounds of its texts are left to be judged:
	Plain      bool
	Output     int64 // bytes of the output
	Body       int64 // bytes of the result's text
	Message    int64 // bytes of the result's message
	Lines      bool  // the message has several lines
	Attachment bool  // the text may name attachments
}

// Read reads one JUnit file. It visits every complete test case, also of a file
// that is cut off or malformed further on; such a file yields a *Problem after
// the visits. The File is valid in any case.
func Read(r io.Reader, file string, o ReadOptions, v Visitor) (File, error) {
	t, err := Decode(r)
	if err != nil {
		return File{Name: file}, &Problem{File: file, Kind: Unread, Line: 1, Detail: err.Error(), Err: err}
	}
	return t.Read(file, o, v)
}

// Text is an input as UTF-8.
type Text xmltext.Source

// Decode gives r as UTF-8, see xmltext.Decode.
func Decode(r io.Reader) (Text, error) {
	s, err := xmltext.Decode(r)
	return Text(s), err
}

// Read is the function Read for an input that was decoded before.
func (t Text) Read(file string, o ReadOptions, v Visitor) (File, error) {
	f := File{Name: file, Encoding: t.Encoding}
	p := newParser(&f, o, v)
	p.sc = xmltext.NewScanner(t.Reader, t.Skipped, p.o.MaxCase)
	p.sc.Mark = mark
	err := p.run()
	return f, p.result(err)
}

// ReadCase reads one test case back, of which Read has given the span.
func ReadCase(span []byte) (*Case, error) {
	var f File
	var last *Case
	p := newParser(&f, ReadOptions{MaxCase: int64(len(span)) + 1}, Visitor{Case: func(c *Case) error {
		last = c // of cases inside it, it is the last to end
		return nil
	}})
	p.sc = xmltext.NewBytesScanner(span)
	if err := p.run(); err != nil {
		return nil, err
	}
	if last == nil {
		return nil, errors.New("there is no test case")
	}
	return last, nil
}

// errVisitor marks an error of the visitor.
type errVisitor struct{ error }

// result makes the verdict on the file of how its reading ended.
func (p *parser) result(err error) error {
	f := p.file
	end, lastLine := p.sc.End()
	f.Bytes = end
	f.Repaired = p.dec.Repaired + p.sc.Stray
	if v := (errVisitor{}); errors.As(err, &v) {
		return v.error
	}
	out := &Problem{File: f.Name, Offset: p.sc.Offset(), Line: p.sc.LineAt(p.sc.Offset()), Cases: f.Counts.Tests, Err: err, Coded: f.Encoding != "utf-8"}
	switch {
	case err == nil && f.Root == "" && !p.junk:
		out.Kind, out.Detail = Empty, "no bytes but blanks"
	case err == nil && f.Root == "":
		out.Kind, out.Detail = NoSuites, "the file is not XML"
	case err == nil && f.Suites == 0 && f.Counts.Tests == 0 && f.Root != "testsuites":
		out.Kind, out.Detail = NoSuites, fmt.Sprintf("the root element is <%s>", f.Root)
	case err == nil:
		return nil
	case errors.Is(err, xmltext.ErrTruncated):
		out.Offset, out.Line = end, lastLine
		out.Kind, out.Detail = Truncated, "the file ends inside "+p.where()
	case errors.Is(err, errTooDeep):
		out.Kind, out.Detail = TooDeep, fmt.Sprintf("more than %d elements inside each other", p.o.MaxDepth)
	case slices.ContainsFunc([]error{errTooLarge, xmltext.ErrTooMany, errMuchText, xmltext.ErrTagTooLarge, errTooMuch}, func(t error) bool { return errors.Is(err, t) }):
		out.Kind, out.Detail = TooLarge, err.Error()
	case p.sc.Err != nil:
		out.Kind, out.Detail = Unread, err.Error()
	default:
		out.Offset, out.Line = p.sc.TokenStart, p.sc.LineAt(p.sc.TokenStart)
		out.Kind, out.Detail = Malformed, err.Error()
	}
	return out
}

// Clean is text as it may stand in a report, see xmltext.Clean.
func Clean(s string) string { return xmltext.Clean(s) }
