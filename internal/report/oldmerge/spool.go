package merge

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// spoolInMemory is the size up to which a spool needs no file.
const spoolInMemory = 4 << 20

// spool holds encoded test cases between the reading of the inputs and the
// writing of the report: counts stand in front of the cases, so nothing can be
// written before everything was read. A large spool is an unlinked temporary
// file, gone with the process however that ends.
type spool struct {
	dir  string
	mu   sync.Mutex // a rewrite reads old records while it appends new ones
	mem  []byte
	file *os.File
}

// Write appends p.
func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil && len(s.mem)+len(p) > spoolInMemory {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		s.mem = append(s.mem, p...)
		return len(p), nil
	}
	return s.file.Write(p)
}

func (s *spool) toFile() error {
	// The first report of a run directory: nothing has made its report/ yet.
	if err := os.MkdirAll(s.dir, rundir.DirMode); s.dir != "" && err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, ".ci-disagg-spool-*")
	if err != nil {
		return err
	}
	if err := errors.Join(os.Remove(f.Name()), writeAll(f, s.mem)); err != nil {
		return errors.Join(err, f.Close())
	}
	s.file, s.mem = f, nil
	return nil
}

func writeAll(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}

// ReadAt implements io.ReaderAt.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	f := s.file
	if f == nil {
		defer s.mu.Unlock()
		if off >= int64(len(s.mem)) {
			return 0, io.EOF
		}
		n := copy(p, s.mem[off:])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	s.mu.Unlock()
	return f.ReadAt(p, off)
}

// Close frees the file.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// span is a part of the spool.
type span struct{ off, n int64 }

// spanReader reads spans one after the other; adjoining ones in one go.
type spanReader struct {
	from io.ReaderAt
	next func() (span, bool)
	cur  span
	then *span
}

// Read implements io.Reader.
func (r *spanReader) Read(p []byte) (int, error) {
	for r.cur.n == 0 {
		if !r.advance() {
			return 0, io.EOF
		}
	}
	n, err := r.from.ReadAt(p[:min(int64(len(p)), r.cur.n)], r.cur.off)
	r.cur.off += int64(n)
	r.cur.n -= int64(n)
	if n > 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}

// advance makes cur the next run of adjoining spans.
func (r *spanReader) advance() bool {
	if r.then != nil {
		r.cur, r.then = *r.then, nil
	} else {
		s, ok := r.next()
		if !ok {
			return false
		}
		r.cur = s
	}
	for {
		s, ok := r.next()
		if !ok {
			return true
		}
		if s.off != r.cur.off+r.cur.n {
			r.then = &s
			return true
		}
		r.cur.n += s.n
	}
}
