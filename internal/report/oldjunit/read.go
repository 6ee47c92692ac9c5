package junit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	gojunit "github.com/joshdk/go-junit"
)

// ReadOptions bound what Read accepts. Zero values mean the defaults.
type ReadOptions struct {
	MaxDepth int   // of nested elements; default 64
	MaxBytes int64 // of the whole input; default 4 GiB
	MaxCase  int64 // of one test case; default 256 MiB
	Workers  int   // goroutines that decode; default 2
}

func (o ReadOptions) withDefaults() ReadOptions {
	if o.MaxDepth <= 0 {
		o.MaxDepth = 64
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 4 << 30
	}
	if o.MaxCase <= 0 {
		o.MaxCase = 256 << 20
	}
	if o.Workers <= 0 {
		o.Workers = 2
	}
	return o
}

// inFlight bounds the bytes of cases that were read and not yet visited, unless
// a single case is larger.
const inFlight = 24 << 20

// Visitor receives what Read finds, in file order, from one goroutine. Nil
// functions are not called; with none only the counts are made, texts are not
// looked at, and it is much faster. An error of a function ends Read with that error.
type Visitor struct {
	Case  func(*Case) error  // the case is the callee's
	Suite func(*Suite) error // after the suite's end; also for suites that were cut off
	// Seen is told what identifies each case and how it ended, at little cost. It is
	// called from another goroutine, before Case, and may not keep the bytes.
	Seen func(s *Suite, class, name []byte, status Status)
}

// Read reads one JUnit file. It visits every complete test case, also of a file
// that is cut off or malformed further on; such a file yields a *Problem after
// the visits. The File is valid in any case.
func Read(r io.Reader, file string, o ReadOptions, v Visitor) (File, error) {
	o = o.withDefaults()
	f := File{Name: file}
	in, name, skipped, err := toUTF8(r)
	if err != nil {
		return f, &Problem{File: file, Kind: Unread, Line: 1, Detail: err.Error(), Err: err}
	}
	f.Encoding = name
	p := newPipeline(o, v)
	outer := &suiteBuild{pub: &Suite{}}
	b := &builder{
		sc: newScanner(in, o.MaxCase), dec: decoder{plain: plainBytes()}, o: o, mem: p.mem,
		file: &f, suite: outer, outer: outer, emit: p.send, want: v.Case != nil, late: v.Suite != nil, seen: v.Seen,
	}
	b.sc.base = skipped
	readErr := p.run(b.run)
	f.Bytes = b.sc.base + int64(len(b.sc.buf))
	f.Repaired = b.dec.repaired + b.sc.stray
	f.Outer = outer.late
	if p.failed != nil {
		return f, p.failed
	}
	return f, problem(&f, b, readErr)
}

// problem makes the verdict on the file of how its reading ended.
func problem(f *File, b *builder, err error) error {
	p := &Problem{File: f.Name, Offset: b.sc.offset(), Line: b.sc.line(), Cases: f.Counts.Tests, Err: err, Coded: f.Encoding != "utf-8"}
	switch {
	case err == nil && f.Root == "" && !b.junk:
		p.Kind, p.Detail = Empty, "no bytes but blanks"
	case err == nil && f.Root == "":
		p.Kind, p.Detail = NoSuites, "the file is not XML"
	case err == nil && f.Suites == 0 && f.Counts.Tests == 0 && f.Root != "testsuites":
		p.Kind, p.Detail = NoSuites, fmt.Sprintf("the root element is <%s>", f.Root)
	case err == nil:
		return nil
	case errors.Is(err, errTruncated):
		p.Offset, p.Line = f.Bytes, b.sc.lines+bytes.Count(b.sc.buf, []byte{'\n'})+1
		p.Kind, p.Detail = Truncated, "the file ends inside "+b.where()
	case errors.Is(err, errTooDeep):
		p.Kind, p.Detail = TooDeep, fmt.Sprintf("more than %d elements inside each other", b.o.MaxDepth)
	case isAny(err, errTooLarge, errTooMany, errMuchText, errTagTooLarge, errTooMuch):
		p.Kind, p.Detail = TooLarge, err.Error()
	case b.sc.err != nil:
		p.Kind, p.Detail = Unread, err.Error()
	default:
		p.Offset, p.Line = b.sc.tokStart, b.sc.lineAt(b.sc.tokStart)
		p.Kind, p.Detail = Malformed, err.Error()
	}
	return p
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}

// where names the innermost open element.
func (b *builder) where() string {
	if len(b.stack) == 0 {
		return "a tag"
	}
	return "<" + string(b.names[b.stack[len(b.stack)-1].name:]) + ">"
}

// pipeline runs the splitter, the decoders and the visitor side by side, and
// keeps the order.
type pipeline struct {
	v       Visitor
	workers int
	mem     *budget
	work    chan *batch
	order   chan *batch
	stop    chan struct{}
	failed  error // of the visitor or the decoder
}

func newPipeline(o ReadOptions, v Visitor) *pipeline {
	return &pipeline{
		v: v, workers: o.Workers, mem: newBudget(inFlight),
		work: make(chan *batch, o.Workers), order: make(chan *batch, 2*o.Workers+2), stop: make(chan struct{}),
	}
}

// run calls split in a goroutine and visits what it sends, until it ends.
func (p *pipeline) run(split func() error) error {
	var splitErr error
	go func() {
		splitErr = split()
		close(p.work)
		close(p.order)
	}()
	for range p.workers {
		go func() {
			for b := range p.work {
				b.err = b.decode()
				close(b.done)
			}
		}()
	}
	for b := range p.order {
		<-b.done
		if p.failed == nil {
			if p.failed = p.visit(b); p.failed != nil {
				close(p.stop)
			}
		}
		p.mem.release(b.cost)
	}
	return splitErr // the closed channel orders this after the splitter's end
}

// send hands a batch on; the splitter calls it.
func (p *pipeline) send(b *batch) error {
	select {
	case <-p.stop:
		return errStopped
	default:
	}
	b.done = make(chan struct{})
	b.cost = p.mem.send(int64(8 * len(b.xml)))
	if b.cases == 0 || p.v.Case == nil {
		close(b.done)
	} else {
		p.work <- b
	}
	p.order <- b
	return nil
}

func (p *pipeline) visit(b *batch) error {
	if b.err != nil {
		return b.err
	}
	next := 0
	for i := range b.items {
		it := &b.items[i]
		if it.end != nil {
			if err := p.visitSuite(it); err != nil {
				return err
			}
			continue
		}
		if it.suite != nil {
			it.suite.Cases++
		}
		if p.v.Case == nil {
			continue
		}
		c := &b.out[next]
		next++
		if err := p.v.Case(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *pipeline) visitSuite(it *item) error {
	s := it.suite
	s.Properties, s.Results, s.Complete = it.end.Properties, it.end.Results, it.end.Complete
	s.SystemOut, s.SystemErr = it.end.SystemOut, it.end.SystemErr
	if p.v.Suite == nil {
		return nil
	}
	return p.v.Suite(s)
}

// decode has go-junit read the batch and puts back what it drops. The splitter
// writes the batch in a form that go-junit reads without loss, so a refusal or a
// different number of cases is a bug, and never papered over by a guess.
func (b *batch) decode() error {
	var tests []gojunit.Test
	if b.sent > 0 {
		var err error
		if tests, err = ingest(b.xml); err != nil || len(tests) != b.sent {
			return errors.Join(errMismatch, err, fmt.Errorf("%d cases sent, %d read", b.sent, len(tests)))
		}
	}
	b.out = make([]Case, b.cases)
	next := 0
	for i := range b.items {
		it := &b.items[i]
		switch {
		case it.end != nil:
			continue
		case it.alone:
			b.out[next] = *it.overlay
			b.out[next].Suite, b.out[next].Offset = it.suite, it.offset
		default:
			if err := it.zip(&tests[0], &b.out[next]); err != nil {
				return err
			}
			tests = tests[1:]
		}
		next++
	}
	b.xml = nil
	return nil
}

func ingest(xml []byte) ([]gojunit.Test, error) {
	doc := make([]byte, 0, len(xml)+32)
	doc = append(doc, "<testsuite>"...)
	doc = append(doc, xml...)
	doc = append(doc, "</testsuite>"...)
	suites, err := gojunit.Ingest(doc)
	if err != nil {
		return nil, err
	}
	if len(suites) != 1 {
		return nil, fmt.Errorf("%d suites instead of 1", len(suites))
	}
	return suites[0].Tests, nil
}

// zip makes the case of go-junit's answer and the overlay.
func (it *item) zip(t *gojunit.Test, out *Case) error {
	if it.overlay != nil {
		*out = *it.overlay
		if out.Name != t.Name || out.Classname != t.Classname {
			return fmt.Errorf("%w: %q and %q", errMismatch, t.Classname+"."+t.Name, out.Classname+"."+out.Name)
		}
	} else {
		fromTest(t, out)
	}
	out.Suite, out.Offset = it.suite, it.offset
	return nil
}

// fromTest is a case that go-junit reads without loss.
func fromTest(t *gojunit.Test, c *Case) {
	c.Name, c.Classname, c.Time = t.Name, t.Classname, ParseTime(t.Properties["time"])
	if len(t.Properties) > 0 {
		for name, value := range t.Properties {
			switch name {
			case "name", "classname", "time":
			default:
				c.Attrs = append(c.Attrs, Attr{name, value})
			}
		}
		slices.SortFunc(c.Attrs, func(a, b Attr) int { return strings.Compare(a.Name, b.Name) })
	}
	switch t.Status {
	case gojunit.StatusSkipped:
		c.Results = []Result{{Status: Skipped, Message: t.Message}}
	case gojunit.StatusFailed, gojunit.StatusError:
		r := Result{Status: Failed, Message: t.Message}
		if t.Status == gojunit.StatusError {
			r.Status = Errored
		}
		var e gojunit.Error
		if errors.As(t.Error, &e) {
			r.Type, r.Text = e.Type, e.Body
		}
		c.Results = []Result{r}
	case gojunit.StatusPassed:
	}
	if t.SystemOut != "" {
		c.SystemOut = []string{t.SystemOut}
	}
	if t.SystemErr != "" {
		c.SystemErr = []string{t.SystemErr}
	}
}
