package bench

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// eachLine reads a stream line by line, numbers counted from 1. A carriage return ends a line too, because progress
// bars overwrite themselves with it; only \n counts for the number. Of a line that is longer than the reader's buffer,
// as none of any format is nearly, the rest is dropped: memory is bounded. torn: the line is the last one and has no
// newline. The text is valid until each returns.
func eachLine(r *bufio.Reader, each func(text []byte, number int, torn bool)) error {
	for number := 1; ; number++ {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			line = bytes.Clone(line) // the start of a line that nothing more is kept of
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
		if err == nil || len(line) > 0 {
			for part := range bytes.SplitSeq(line, []byte{'\r'}) {
				each(part, number, err != nil)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
