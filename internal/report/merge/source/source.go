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

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/foreign"
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
	files  []input
	spool  spool
	w      *junit.Writer // into the spool
	opened []uint32      // files that are open, the oldest first
	window window
}

// input is one input.
type input struct {
	path   string
	info   fs.FileInfo // when it was first read; nil = it is in the spool
	base   int64       // where it begins there
	handle *os.File
}

// window is a part of a file that was read in one go.
type window struct {
	file uint32
	at   int64
	buf  []byte
}

// Bounds of what is open and read at a time.
const (
	Spool      = 1<<32 - 1 // stands for the spool among the files
	maxOpen    = 64        // files that are open at a time
	windowSize = 256 << 10
	maxGap     = 4 << 10 // bytes between two cases that are read rather than skipped
)

// ErrChanged marks an input that is not what it was in the first pass.
var ErrChanged = errors.New("the file has changed while it was merged")

// New is a source whose temporary file is in dir, "" = that of the system.
func New(dir string) Source {
	return Source{spool: spool{dir: dir}, window: window{file: Spool}}
}

// Read reads an input in the first pass. Base is what has to be added to the offsets
// of its cases.
func (s *Source) Read(f File, o junit.ReadOptions, v junit.Visitor) (got junit.File, err error) {
	s.files = append(s.files, input{path: f.Path})
	at := &s.files[len(s.files)-1]
	r := f.Content
	if r == nil {
		file, info, err := openInput(f.Path)
		if err != nil {
			return got, unread(f, err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if info.Mode().IsRegular() {
			at.info = info
		}
		r = file
	}
	text, err := junit.Decode(r)
	if err != nil {
		return got, unread(f, err)
	}
	begin := bufio.NewReader(text.Reader)
	head, _ := begin.Peek(headSize) // an error comes again
	format := foreign.Detect(head)
	text.Reader = begin
	if at.info != nil && text.Encoding == "utf-8" && format == foreign.None {
		return text.Read(f.Shown, o, v)
	}
	at.info, at.base = nil, s.writer().Size().Bytes
	text, broken, err := s.convert(text, format, o)
	if err != nil {
		return got, err
	}
	got, err = text.Read(f.Shown, o, v)
	if err == nil && broken != nil {
		err = &junit.Problem{File: f.Shown, Kind: junit.Unread, Line: 1, Cases: got.Counts.Tests, Detail: broken.Error(), Err: broken}
	}
	return got, err
}

// headSize is how much of an input tells its format.
const headSize = 1024

func openInput(path string) (*os.File, fs.FileInfo, error) {
	file, err := os.Open(path)
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
func (s *Source) convert(text junit.Text, format foreign.Format, o junit.ReadOptions) (out junit.Text, broken, err error) {
	base := s.w.Size().Bytes
	if format != foreign.None {
		broken = foreign.Convert(format, text.Reader, s.w) // an error of the spool comes again
	} else {
		_, broken = io.Copy(s.w, io.LimitReader(text.Reader, o.WithDefaults().MaxBytes+1))
	}
	if err := s.w.Flush(); err != nil {
		return text, nil, err
	}
	return junit.Text{Reader: io.NewSectionReader(&s.spool, base, s.w.Size().Bytes-base), Encoding: text.Encoding}, broken, nil
}

func (s *Source) writer() *junit.Writer {
	if s.w == nil {
		s.w = junit.NewWriter(&s.spool, junit.WriteOptions{})
	}
	return s.w
}

// Keep puts a case into the spool.
func (s *Source) Keep(c *junit.Case) Span {
	w := s.writer()
	before := w.Size().Bytes
	w.Case(c)
	off := before + int64(len("\n    "))
	return Span{File: Spool, Off: off, N: uint32(w.Size().Bytes - off)} //nolint:gosec // of one case
}

// Base is where an input begins in the spool, 0 if it is not there.
func (s *Source) Base(file int) int64 { return s.files[file].base }

// handle is the open file of an entry.
func (s *Source) handle(file uint32) (io.ReaderAt, error) {
	if file == Spool || s.files[file].info == nil {
		return &s.spool, s.w.Flush()
	}
	f := &s.files[file]
	if f.handle != nil {
		return f.handle, nil
	}
	if len(s.opened) == maxOpen {
		old := &s.files[s.opened[0]]
		s.opened = s.opened[1:]
		if err := old.handle.Close(); err != nil {
			return nil, err
		}
		old.handle = nil
	}
	handle, info, err := openInput(f.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if !os.SameFile(info, f.info) || info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, ErrChanged), handle.Close())
	}
	f.handle = handle
	s.opened = append(s.opened, file)
	return handle, nil
}

// Holds reports whether a span was read with others before it.
func (s *Source) Holds(at Span) bool {
	w := &s.window
	return at.File == w.file && at.Off >= w.at && at.End() <= w.at+int64(len(w.buf))
}

// Follows reports whether a span is so near behind an offset, up to which one is
// read from start on, that it is read, too.
func (s Span) Follows(start Span, end int64) bool {
	return s.File == start.File && s.Off >= end && s.Off <= end+maxGap && s.End()-start.Off <= windowSize
}

// Bytes are those of a span. Up to end is read with it. They are valid until the
// next call.
func (s *Source) Bytes(at Span, end int64) ([]byte, error) {
	if !s.Holds(at) {
		if err := s.fill(at.File, at.Off, int(end-at.Off)); err != nil {
			return nil, err
		}
	}
	b := s.window.buf[at.Off-s.window.at:][:at.N]
	if at.Sum != 0 && at.Sum != Sum(b) {
		return nil, fmt.Errorf("%s: %w", s.files[at.File].path, ErrChanged)
	}
	return b, nil
}

// fill reads n bytes into the window.
func (s *Source) fill(file uint32, off int64, n int) error {
	w := &s.window
	w.file, w.at = file, off
	if cap(w.buf) < n || cap(w.buf) > windowSize && n <= windowSize {
		w.buf = make([]byte, max(n, windowSize))
	}
	w.buf = w.buf[:n]
	r, err := s.handle(file)
	if err != nil {
		return err
	}
	if _, err = r.ReadAt(w.buf, off); errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", s.files[file].path, ErrChanged)
	}
	return err
}

// Close frees the spool and the files.
func (s *Source) Close() error {
	err := s.spool.Close()
	for _, i := range s.opened {
		err = errors.Join(err, s.files[i].handle.Close())
	}
	return err
}

// spool is an unlinked temporary file, gone with the process however that ends.
type spool struct {
	dir  string
	file *os.File
}

// Write appends p.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, ".ci-disagg-spool-*")
		if err != nil {
			return 0, err
		}
		if err := os.Remove(f.Name()); err != nil {
			return 0, errors.Join(err, f.Close())
		}
		s.file = f
	}
	return s.file.Write(p)
}

// ReadAt implements io.ReaderAt.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	if s.file == nil {
		return 0, io.EOF
	}
	return s.file.ReadAt(p, off)
}

// Close frees the file.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
