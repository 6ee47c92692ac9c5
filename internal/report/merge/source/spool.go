package source

import (
	"errors"
	"io"
	"os"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// Spool keeps cases in an unlinked temporary file, gone with the process however that ends.
type Spool struct {
	file *os.File
	w    *junit.Writer // into the file
	at   int64         // where the window begins
	buf  []byte        // the window: a part of the file that was read in one go
}

// Span is where a case stands in the spool.
type Span struct {
	Off int64
	N   uint32
}

// NewSpool makes a spool in a directory, "" = that of the system for temporary files.
func NewSpool(dir string) (*Spool, error) {
	f, err := os.CreateTemp(dir, ".ci-disagg-spool-*")
	if err != nil {
		return nil, err
	}
	return &Spool{file: f, w: junit.NewWriter(f)}, os.Remove(f.Name())
}

// Keep puts a case into the spool, one that was read shallow as it stands in its input. What fails is told by Bytes.
func (s *Spool) Keep(c *junit.Case) Span {
	off := s.w.Size() + int64(len("\n    "))
	if c.Raw != nil {
		s.w.Raw(c.Raw)
	} else {
		s.w.Case(c)
	}
	return Span{Off: off, N: uint32(s.w.Size() - off)} //nolint:gosec // of one case
}

// Bytes are those of a span. They are valid until the next call.
func (s *Spool) Bytes(at Span) ([]byte, error) {
	if at.Off < s.at || at.Off+int64(at.N) > s.at+int64(len(s.buf)) {
		if err := s.fill(at); err != nil {
			return nil, err
		}
	}
	return s.buf[at.Off-s.at:][:at.N], nil
}

// fill reads a span into the window, and what follows it.
func (s *Spool) fill(at Span) error {
	const near, little = 128 << 10, 4 << 10
	ahead := near
	if past := at.Off - s.at; past < 0 || past > int64(len(s.buf))+near {
		ahead = little // who jumps may jump again
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	n := max(int(at.N), ahead)
	if cap(s.buf) < n || cap(s.buf) > max(2*n, 2*near) { // one large case does not keep its room
		s.buf = make([]byte, n)
	}
	got, err := s.file.ReadAt(s.buf[:n], at.Off)
	s.at, s.buf = at.Off, s.buf[:got]
	if got >= int(at.N) {
		return nil
	}
	return errors.Join(err, io.ErrUnexpectedEOF)
}

// Close frees the file.
func (s *Spool) Close() error { return s.file.Close() }
