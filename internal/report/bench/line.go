package bench

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine is how much of a line is looked at. No line of any format is nearly
// as long; the rest of a longer one is read and dropped, so memory is bounded.
const maxLine = 64 << 10

// lines reads a stream line by line. A carriage return ends a line too, because
// progress bars overwrite themselves with it; only \n counts for the number.
type lines struct {
	r      *bufio.Reader
	number int    // of the line that text was taken from, 1-based
	text   []byte // without its end; valid until the next call
	rest   []byte // of the same line, behind a carriage return
	long   []byte // holds a line that was cut
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
	if !errors.Is(err, bufio.ErrBufferFull) {
		return l.finish(line, err)
	}
	l.long = append(l.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.r.ReadSlice('\n')
		if room := maxLine - len(l.long); room > 0 {
			l.long = append(l.long, line[:min(room, len(line))]...)
		}
	}
	if err != nil {
		return l.finish(l.long, err)
	}
	return l.finish(append(l.long, '\n'), nil)
}

func (l *lines) finish(line []byte, err error) ([]byte, bool) {
	if err == nil {
		return line[:len(line)-1], true
	}
	l.err, l.torn = err, errors.Is(err, io.EOF) && len(line) > 0
	return line, len(line) > 0
}

// fault is the error that ended the stream, nil at its proper end.
func (l *lines) fault() error {
	if errors.Is(l.err, io.EOF) {
		return nil
	}
	return l.err
}
