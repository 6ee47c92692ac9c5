package junit

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// ReadOptions bound what Read accepts. Zero values mean the defaults.
type ReadOptions struct {
	MaxBytes int64 // of the whole input; default 4 GiB
	MaxCase  int64 // of one test case; default 256 MiB
}

// WithDefaults gives the bounds that hold.
func (o ReadOptions) WithDefaults() ReadOptions {
	return ReadOptions{cmp.Or(o.MaxBytes, 4<<30), cmp.Or(o.MaxCase, 256<<20)}
}

// Visitor receives what Read finds, in file order. Nil functions are not called. An
// error of a function ends Read with that error.
type Visitor struct {
	Case  func(*Case) error  // the case is the callee's, unless it is shallow
	Suite func(*Suite) error // after the suite's end; also for suites that were cut off
	// Shallow asks for cases that can stand in a report as they are in that form: with names,
	// messages and properties, and texts as they stand in the input. It is many times faster.
	// All of such a case is gone when Case returns. The others are values.
	Shallow bool
}

// Read reads one JUnit file. It visits every complete test case, also of a file that is cut off or malformed further
// on; such a file yields a *Problem after the visits. The File is valid in any case.
func Read(r io.Reader, file string, o ReadOptions, v Visitor) (File, error) {
	t, err := xmltext.Decode(r)
	if err != nil {
		return File{Name: file}, &Problem{File: file, Kind: Unread, Line: 1, Detail: err.Error(), Err: err}
	}
	return ReadText(t, file, o, v)
}

// ReadText is Read for an input that was decoded before.
func ReadText(t xmltext.Source, file string, o ReadOptions, v Visitor) (File, error) {
	f := File{Name: file}
	p := &parser{o: o.WithDefaults(), v: v, file: &f, suite: &f.Outer}
	p.sc = xmltext.NewScanner(t.Reader, t.Skipped, p.o.MaxCase)
	err := p.document()
	f.Outer.Complete = err == nil
	f.Outer.settle()
	return f, p.verdict(err, t.Coded)
}

// ReadCase reads the bytes of one test case.
func ReadCase(raw []byte) (*Case, error) {
	var last *Case
	p := &parser{o: ReadOptions{MaxCase: int64(len(raw)) + 1}.WithDefaults(), file: &File{}, v: Visitor{Case: func(c *Case) error {
		last = c // of cases inside it, it is the last to end
		return nil
	}}}
	p.suite = &p.file.Outer
	p.sc = xmltext.NewBytesScanner(raw)
	if err := p.document(); err != nil {
		return nil, err
	}
	if last == nil {
		return nil, errors.New("there is no test case")
	}
	return last, nil
}

// errVisitor marks an error of the visitor.
type errVisitor struct{ error }

// verdict is the problem of a file whose reading ended with err, if it is one.
func (p *parser) verdict(err error, coded bool) error {
	f := p.file
	f.Repaired = p.dec.Repaired
	if v := (errVisitor{}); errors.As(err, &v) {
		return v.error
	}
	out := &Problem{File: f.Name, Offset: p.sc.Offset(), Line: p.sc.LineAt(p.sc.Offset()), Cases: f.Counts.Tests, Err: err, Coded: coded}
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
		out.Offset, out.Line = p.sc.End(), p.sc.LineAt(p.sc.End())
		out.Kind, out.Detail = Truncated, "the file ends inside a tag"
		if n := len(p.open); n > 0 {
			out.Detail = fmt.Sprintf("the file ends inside <%s>", p.open[n-1])
		}
	case errors.Is(err, errTooDeep), errors.Is(err, xmltext.ErrTooLarge), errors.Is(err, xmltext.ErrTooMany), errors.Is(err, errMuchText), errors.Is(err, errTooMuch):
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
