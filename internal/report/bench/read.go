package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// ErrUnrecognised says that a stream holds none of the known formats: not a
// broken measurement, just not one.
var ErrUnrecognised = errors.New("no known benchmark output in it")

// peekSize is how much of a stream decides on its format.
const peekSize = 64 << 10

// Reader reads benchmark outputs. The zero value knows the built-in metrics and
// no generic format.
type Reader struct {
	Metrics metric.Table // zero: metric.Default()
	Generic []Generic    // tried before the built-in formats, by file name
}

// Read recognises the format of r by its content and reads all points in it.
// file is only named in results and errors. See Reader.Read.
func Read(r io.Reader, file string) ([]Result, error) {
	return Reader{}.Read(r, file)
}

// Read recognises the format of r by its content and reads all points in it, in
// their order.
//
// A stream with no known format yields ErrUnrecognised. A broken one (cut off
// in a JSON value, a CSV row of the wrong length) yields the points before the
// fault and a Problem with file and line as the error. What is whole but not to
// be trusted is a Problem of its Result. Memory is bounded whatever the stream.
func (rd Reader) Read(r io.Reader, file string) ([]Result, error) {
	if len(rd.Metrics.All()) == 0 {
		rd.Metrics = metric.Default()
	}
	br := bufio.NewReaderSize(r, peekSize)
	head, err := br.Peek(peekSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		_, _ = br.Discard(3)
		head = head[3:]
	}
	results, err := rd.dispatch(br, head, file)
	if err != nil {
		return results, atFile(file, err)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("%s: %w", file, ErrUnrecognised)
	}
	return results, nil
}

func (rd Reader) dispatch(br *bufio.Reader, head []byte, file string) ([]Result, error) {
	for _, g := range rd.Generic {
		if ok, _ := filepath.Match(g.Files, filepath.Base(file)); ok {
			return rd.readGeneric(br, g, file)
		}
	}
	switch {
	case looksLikeJSON(head):
		return rd.readJSON(br, file)
	case looksLikePerfCSV(head):
		return rd.readPerfCSV(br, file)
	default:
		return rd.readText(br, file)
	}
}

// looksLikeJSON tells a JSON document from a log whose lines begin with a
// bracket: [TRT-LLM] [I] … and [12:00:01] … are not JSON.
func looksLikeJSON(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 {
		return false
	}
	switch head[0] {
	case '{':
		rest := bytes.TrimLeft(head[1:], " \t\r\n")
		return len(rest) == 0 || rest[0] == '"' || rest[0] == '}'
	case '[':
		rest := bytes.TrimLeft(head[1:], " \t\r\n")
		return len(rest) > 0 && (rest[0] == '{' || rest[0] == '[' && !bytes.HasPrefix(rest, []byte("[TRT")))
	default:
		return false
	}
}

// atFile names the file in errors that do not name it yet.
func atFile(file string, err error) error {
	var p Problem
	if errors.As(err, &p) || strings.HasPrefix(err.Error(), file) {
		return err
	}
	return fmt.Errorf("%s: %w", file, err)
}
