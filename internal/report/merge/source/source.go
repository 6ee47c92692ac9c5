// Package source gives the bytes of test cases a second time: from the inputs
// themselves, or from an unlinked temporary file for what is no file, is not in
// UTF-8, is in another format, or was made here.
package source

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/foreign"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// Span is where a case stands.
type Span struct {
	Off  int64
	N    uint32
	Sum  uint32 // checksum of its bytes; 0 = unknown
	File uint32 // as AddFile was called, or Spool
}

// Sum is the checksum of the bytes of a case.
func Sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// End is the offset behind it.
func (s Span) End() int64 { return s.Off + int64(s.N) }

// File is one input.
type File struct {
	Path    string    // to open
	Shown   string    // as people read it; default Path
	Role    string    // the suites of a role are kept apart from those of others
	Content io.Reader // read instead of Path
}

// Source holds the inputs.
type Source struct {
	files []input
	dir   string
	spool *os.File      // nil = nothing is in it
	w     *junit.Writer // into the spool
	open  *os.File      // the input that was read last, if it is not in the spool
	file  uint32        // that the window is of
	at    int64         // where the window begins
	buf   []byte        // a part of a file that was read in one go
}

// input is one input.
type input struct {
	path string
	info fs.FileInfo // when it was first read; nil = it is in the spool
	base int64       // where it begins there
}

// Spool stands for the spool among the files.
const Spool = 1<<32 - 1

// ErrChanged marks an input that is not what it was in the first pass.
var ErrChanged = errors.New("the file has changed while it was merged")

// New is a source whose temporary file is in dir, "" = that of the system.
func New(dir string) Source {
	return Source{dir: dir, file: Spool}
}

// Read reads an input in the first pass. Base is what has to be added to the offsets
// of its cases.
func (s *Source) Read(f File, o junit.ReadOptions, v junit.Visitor) (got junit.File, err error) {
	s.files = append(s.files, input{path: f.Path})
	at := &s.files[len(s.files)-1]
	r, pipe := f.Content, false
	if r == nil {
		file, info, err := openInput(f.Path)
		if err != nil {
			return got, unread(f, err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if info.Mode().IsRegular() {
			at.info = info
		}
		r, pipe = file, info.Mode()&fs.ModeNamedPipe != 0
	}
	text, err := xmltext.Decode(r)
	if err != nil {
		return got, unread(f, err)
	}
	begin := bufio.NewReader(text.Reader)
	head, _ := begin.Peek(headSize) // an error comes again
	if len(head) == 0 && pipe {
		return got, unread(f, errors.New("is a pipe into which nobody writes"))
	}
	format := foreign.Detect(head)
	text.Reader = begin
	if at.info != nil && text.Encoding == "utf-8" && format == foreign.None {
		return junit.ReadText(text, f.Shown, o, v)
	}
	if err := s.begin(); err != nil {
		return got, err
	}
	at.info, at.base = nil, s.w.Size()
	text, broken, err := s.convert(text, format, o)
	if err != nil {
		return got, err
	}
	got, err = junit.ReadText(text, f.Shown, o, v)
	if broken != nil {
		err = &junit.Problem{File: f.Shown, Kind: junit.Unread, Line: 1, Cases: got.Counts.Tests, Detail: broken.Error(), Err: broken}
	}
	return got, err
}

// headSize is how much of an input tells its format.
const headSize = 1024

// openInput opens a file. It does not wait for somebody who writes into a pipe, but for what one writes who is there.
func openInput(path string) (*os.File, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a directory")
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

// unread is the problem of a file that cannot be read.
func unread(f File, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err // the path stands in front already
	}
	return &junit.Problem{File: f.Shown, Kind: junit.Unread, Line: 1, Detail: err.Error(), Err: err}
}

// convert puts a text into the spool and gives it from there. broken is what is
// wrong with an input in another format.
func (s *Source) convert(text xmltext.Source, format foreign.Format, o junit.ReadOptions) (out xmltext.Source, broken, err error) {
	base := s.w.Size()
	if format != foreign.None {
		broken = foreign.Convert(format, text.Reader, s.w) // an error of the spool comes again
	} else {
		_, broken = io.Copy(s.w, io.LimitReader(text.Reader, o.WithDefaults().MaxBytes+1))
	}
	if err := s.w.Flush(); err != nil {
		return text, nil, err
	}
	return xmltext.Source{Reader: io.NewSectionReader(s.spool, base, s.w.Size()-base), Encoding: text.Encoding}, broken, nil
}

// begin makes the spool: an unlinked temporary file, gone with the process however that
// ends.
func (s *Source) begin() error {
	if s.spool != nil {
		return nil
	}
	f, err := os.CreateTemp(s.dir, ".ci-disagg-spool-*")
	if err != nil {
		return err
	}
	s.spool, s.w = f, junit.NewWriter(f)
	return os.Remove(f.Name())
}

// Keep puts a case into the spool.
func (s *Source) Keep(c *junit.Case) (Span, error) {
	if err := s.begin(); err != nil {
		return Span{}, err
	}
	off := s.w.Size() + int64(len("\n    "))
	s.w.Case(c)
	return Span{File: Spool, Off: off, N: uint32(s.w.Size() - off)}, nil //nolint:gosec // of one case
}

// Base is where an input begins in the spool, 0 if it is not there.
func (s *Source) Base(file int) int64 { return s.files[file].base }

// Bytes are those of a span. They are valid until the next call.
func (s *Source) Bytes(at Span) ([]byte, error) {
	if at.File != s.file || at.Off < s.at || at.End() > s.at+int64(len(s.buf)) {
		if err := s.fill(at); err != nil {
			return nil, err
		}
	}
	b := s.buf[at.Off-s.at:][:at.N]
	if at.Sum != 0 && at.Sum != Sum(b) {
		return nil, fmt.Errorf("%s: %w", s.files[at.File].path, ErrChanged)
	}
	return b, nil
}

// fill reads a span into the window, and what follows it.
func (s *Source) fill(at Span) error {
	ahead := 128 << 10
	if at.File != s.file {
		ahead = 4 << 10 // what is folded is of one file after the other
	}
	r, err := s.handle(at.File)
	if err != nil {
		return err
	}
	s.file, s.at = at.File, at.Off
	n := max(int(at.N), ahead)
	if cap(s.buf) < n || cap(s.buf) > max(2*n, 256<<10) { // one large case does not keep its room
		s.buf = make([]byte, n)
	}
	got, err := r.ReadAt(s.buf[:n], at.Off)
	if s.buf = s.buf[:got]; got >= int(at.N) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", r.Name(), ErrChanged)
	}
	return err
}

// handle is the open file of an input.
func (s *Source) handle(file uint32) (*os.File, error) {
	if file == Spool || s.files[file].info == nil {
		return s.spool, s.w.Flush()
	}
	f := &s.files[file]
	if s.open != nil && s.open.Name() == f.path {
		return s.open, nil
	}
	if err := s.release(); err != nil {
		return nil, err
	}
	open, info, err := openInput(f.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if !os.SameFile(info, f.info) || info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, ErrChanged), open.Close())
	}
	s.open = open
	return open, nil
}

// release closes the input that was read last.
func (s *Source) release() error {
	if s.open == nil {
		return nil
	}
	defer func() { s.open = nil }()
	return s.open.Close()
}

// Close frees the spool and the files.
func (s *Source) Close() error {
	err := s.release()
	if s.spool != nil {
		err = errors.Join(err, s.spool.Close())
	}
	return err
}
