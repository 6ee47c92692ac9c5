package bench

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lines reads a stream line by line. A carriage return ends a line too, because progress bars overwrite themselves with
// it; only \n counts for the number. Of a line that is longer than the reader's buffer, as none of any format is
// nearly, the rest is dropped: memory is bounded.
type lines struct {
	r      *bufio.Reader
	number int    // of the line that text was taken from, 1-based
	text   []byte // without its end; valid until the next call
	rest   []byte // of the same line, behind a carriage return
	torn   bool   // the line is the last one and has no newline
	err    error
}

func newLines(r *bufio.Reader) *lines { return &lines{r: r} }

// next advances to the next line and reports whether there is one.
func (l *lines) next() bool {
	if len(l.rest) == 0 {
		line, ok := l.physical()
		if !ok {
			return false
		}
		l.number++
		l.rest = line
	}
	l.text, l.rest, _ = bytes.Cut(l.rest, []byte{'\r'})
	return true
}

// physical reads up to the next newline.
func (l *lines) physical() ([]byte, bool) {
	if l.err != nil {
		return nil, false
	}
	line, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line) // the start of a line that nothing more is kept of
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = l.r.ReadSlice('\n')
	}
	l.err, l.torn = err, errors.Is(err, io.EOF) && len(line) > 0
	return bytes.TrimSuffix(line, []byte{'\n'}), err == nil || len(line) > 0
}

// fault is the error that ended the stream, nil at its proper end.
func (l *lines) fault() error {
	if errors.Is(l.err, io.EOF) {
		return nil
	}
	return l.err
}
