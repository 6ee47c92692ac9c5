package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// ErrUnrecognised reports that a stream holds none of the known formats: not a broken measurement, just not one.
var ErrUnrecognised = errors.New("no known benchmark output in it")

// peekSize is how much of a stream decides on its format.
const peekSize = 64 << 10

// Reader reads benchmark outputs. The zero value knows the built-in metrics and formats.
type Reader struct {
	Metrics metric.Table // zero: metric.Default()
	Generic []Generic    // tried first, by file name

	only string // the reader that is used alone; "" = all are
}

// Format is one kind of benchmark output, recognised by its content. At most one of JSON and Lines is set.
type Format struct {
	Name    string   // as messages list it
	Readers []string // names by which a config asks for it alone
	// Gives lists what its outputs tell beside metrics (name, concurrency, rate, requested, completed, failed); what
	// they do not, nobody can hold against a plan.
	Gives []string
	// Metrics lists all that its outputs can have; nil = not known.
	Metrics []string
	// JSON maps a document; nil = it is another format's.
	JSON func(t metric.Table, d jsondoc.Document, file string) []Result
	// Marks are JSON Pointers that hardly another document has: by one of them a half-written file of the format is told
	// from half-written foreign JSON.
	Marks []string
	// Lines makes a reader for one text stream. Cuts: it sees by itself where a table was cut off, so it reads a last
	// line without an end, too.
	Cuts  bool
	Lines func(t metric.Table, file string) LineReader
}

// LineReader finds a format among the lines of a log that others write to, too.
type LineReader interface {
	// Line takes the next line, number counted from 1.
	Line(text []byte, number int)
	// End is called behind the last line.
	End() []Result
}

// Read recognises the format of r by its content and reads all points in it, in their order. file is only named in
// results.
//
// A stream with no known format yields ErrUnrecognised. A broken one (cut off in a JSON value, a CSV row of the wrong
// length) yields the points before the fault. ProblemOf an error has the line, where it is known. What is whole but not
// to be trusted is a Problem of its Result. Memory is bounded whatever the stream.
func (rd Reader) Read(r io.Reader, file string) ([]Result, error) {
	if len(rd.Metrics.All()) == 0 {
		rd.Metrics = metric.Default()
	}
	br := bufio.NewReaderSize(r, peekSize)
	head, err := br.Peek(peekSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		_, _ = br.Discard(3)
		head = head[3:]
	}
	results, err := rd.dispatch(br, head, file)
	switch {
	case err == nil && len(results) == 0:
		err = ErrUnrecognised
	case len(results) > maxResults:
		results, err = results[:maxResults], fmt.Errorf("more than %d results", maxResults)
	}
	return results, err
}

func (rd Reader) dispatch(br *bufio.Reader, head []byte, file string) ([]Result, error) {
	for _, g := range rd.Generic {
		if ok, _ := filepath.Match(g.Files, filepath.Base(file)); ok && rd.only == "" || rd.only == g.Name && g.Name != "" {
			return rd.readGeneric(br, g, file)
		}
	}
	switch {
	case jsonStart.Match(head):
		return rd.readJSON(br, file)
	case looksLikePerfCSV(head) && (rd.only == "" || rd.only == perfCSV):
		return rd.readPerfCSV(br, file)
	default:
		return rd.readText(br, file)
	}
}

// jsonStart matches the beginning of a JSON document, and not that of a log whose lines begin with a bracket:
// [TRT-LLM] [I] …, [[TRT-LLM] … and [12:00:01] … are not JSON.
var jsonStart = regexp.MustCompile(`^[ \t\r\n]*(?:\{[ \t\r\n]*(?:["}]|$)|\[[ \t\r\n]*(?:\{|\[(?:[^T]|$)))`)

// jsonList is how many elements of a list are points.
const jsonList = 1000

// readJSON reads the JSON files of all clients: one object, several objects after each other, JSON lines, or a list of
// objects.
func (rd Reader) readJSON(br *bufio.Reader, file string) (results []Result, err error) {
	formats := slices.DeleteFunc(rd.formats(), func(f Format) bool { return f.JSON == nil })
	kept := map[string]int{"/benchmarks": jsonList, ttfts: maxTTFTs}
	torn, err := jsondoc.Read(br, func(list string) int { return kept[list] }, func(d jsondoc.Document) {
		var found []Result
		for i := 0; i < len(formats) && len(found) == 0; i++ {
			found = formats[i].JSON(rd.Metrics, d, file)
		}
		results = added(results, found...)
	})
	// A server's own JSON may well be torn when it is ended; that says nothing about the measurement.
	marked := func(f Format) bool { return slices.ContainsFunc(f.Marks, torn.Has) }
	if err != nil && len(results) == 0 && !slices.ContainsFunc(formats, marked) {
		err = fmt.Errorf("%w: %w", ErrUnrecognised, err)
	}
	return results, err
}

// LookedFor is what an unknown file was searched for.
func (rd Reader) LookedFor() string {
	var names []string
	for _, f := range rd.formats() {
		names = append(names, f.Name)
	}
	return "; looked for " + strings.Join(names, ", ")
}

// formats are those that are looked for, the user's own first.
func (rd Reader) formats() []Format {
	var all []Format
	for _, g := range rd.Generic {
		f := Format{Name: g.label(), Gives: g.gives(), Metrics: g.names()}
		if g.Name != "" {
			f.Readers = []string{g.Name}
		}
		all = append(all, f)
	}
	return slices.DeleteFunc(append(all, Builtin()...), func(f Format) bool { return rd.only != "" && !slices.Contains(f.Readers, rd.only) })
}

// Check reports what is wrong with a reader that a config names: it is none, or none of its formats says how many
// requests succeeded where that is to be known.
func (rd Reader) Check(name string, requests bool) error {
	only, err := rd.Only(name)
	if err != nil || !requests || slices.ContainsFunc(only.formats(), Format.counts) {
		return err
	}
	return fmt.Errorf(uncounted, name, "give an own format of perf.readers completed")
}

// counts reports whether the outputs say how many requests succeeded.
func (f Format) counts() bool { return slices.Contains(f.Gives, "completed") }

// Only is the reader that knows the formats of one name alone.
func (rd Reader) Only(name string) (Reader, error) {
	var known []string
	for _, f := range rd.formats() {
		known = append(known, f.Readers...)
	}
	if slices.Sort(known); !slices.Contains(known, name) {
		known = slices.Compact(known)
		return rd, fmt.Errorf("%q is no reader: there are %s%s", name, strings.Join(known, ", "), strictyaml.DidYouMean(name, known))
	}
	rd.only = name
	return rd, nil
}
