package merge

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
	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// source is where the bytes of cases stand: in the inputs themselves, or in the
// spool: what was no file, is not in UTF-8, or is made here.
type source struct {
	files  []sourceFile // as the merger's files
	spool  spool
	w      *junit.Writer // into the spool
	opened []uint32      // files that are open, the oldest first
	window window
	table  *crc32.Table
}

// sourceFile is one input.
type sourceFile struct {
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

const (
	spoolFile  = 1<<32 - 1 // stands for the spool among the files
	maxOpen    = 64        // files that are open at a time
	windowSize = 256 << 10
	maxGap     = 4 << 10 // bytes between two cases that are read rather than skipped
)

// errChanged marks an input that is not what it was in the first pass.
var errChanged = errors.New("the file has changed while it was merged")

func newSource(dir string) source {
	s := source{spool: spool{dir: dir}, table: xmltext.SumTable(), window: window{file: spoolFile}}
	return s
}

// read reads an input in the first pass.
func (s *source) read(f File, o junit.ReadOptions, v junit.Visitor) (got junit.File, err error) {
	s.files = append(s.files, sourceFile{path: f.Path})
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
	at.info, at.base = nil, s.writer().Bytes()
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
func (s *source) convert(text junit.Text, format foreign.Format, o junit.ReadOptions) (out junit.Text, broken, err error) {
	base := s.w.Bytes()
	if format != foreign.None {
		broken = foreign.Convert(format, text.Reader, s.w) // an error of the spool comes again
	} else {
		_, broken = io.Copy(s.w, io.LimitReader(text.Reader, o.WithDefaults().MaxBytes+1))
	}
	if err := s.w.Flush(); err != nil {
		return text, nil, err
	}
	return junit.Text{Reader: io.NewSectionReader(&s.spool, base, s.w.Bytes()-base), Encoding: text.Encoding}, broken, nil
}

func (s *source) writer() *junit.Writer {
	if s.w == nil {
		s.w = junit.NewWriter(&s.spool, junit.WriteOptions{})
	}
	return s.w
}

// keep puts a case into the spool.
func (s *source) keep(c *junit.Case) entry {
	w := s.writer()
	before := w.Bytes()
	w.Case(c)
	const indent = len("\n    ")
	e := entry{file: spoolFile, off: before + int64(indent), time: c.Time, status: uint8(c.Status().Rank())} //nolint:gosec // 0 to 3
	e.n = uint32(w.Bytes() - e.off)                                                                          //nolint:gosec // of one case
	for _, r := range c.Results {
		if r.Text != "" {
			e.flags |= flagBody
		}
	}
	return e
}

// handle is the open file of an entry.
func (s *source) handle(file uint32) (io.ReaderAt, error) {
	if file == spoolFile || s.files[file].info == nil {
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
		return nil, fmt.Errorf("%w: %w", errChanged, err)
	}
	if !os.SameFile(info, f.info) || info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, errChanged), handle.Close())
	}
	f.handle = handle
	s.opened = append(s.opened, file)
	return handle, nil
}

// bytes are those of an entry. The entries that follow it are read with it if they
// are near. They are valid until the next call.
func (s *source) bytes(e *entry, ahead []entry) ([]byte, error) {
	w := &s.window
	if e.file != w.file || e.off < w.at || e.off+int64(e.n) > w.at+int64(len(w.buf)) {
		end := e.off + int64(e.n)
		for i := range ahead {
			a := &ahead[i]
			if a.file != e.file || a.off < end || a.off > end+maxGap || a.off+int64(a.n)-e.off > windowSize {
				break
			}
			end = a.off + int64(a.n)
		}
		if err := s.fill(e.file, e.off, int(end-e.off)); err != nil {
			return nil, err
		}
	}
	b := w.buf[e.off-w.at:][:e.n]
	return b, s.check(e, crc32.Checksum(b, s.table))
}

// fill reads n bytes into the window.
func (s *source) fill(file uint32, off int64, n int) error {
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
		return fmt.Errorf("%s: %w", s.files[file].path, errChanged)
	}
	return err
}

// copy copies the bytes of an entry.
func (s *source) copy(w *junit.Writer, e *entry, ahead []entry) error {
	w.BeginRaw()
	if e.n <= windowSize {
		b, err := s.bytes(e, ahead)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	}
	var sum uint32
	for done := int64(0); done < int64(e.n); done += windowSize {
		if err := s.fill(e.file, e.off+done, int(min(windowSize, int64(e.n)-done))); err != nil {
			return err
		}
		sum = crc32.Update(sum, s.table, s.window.buf)
		if _, err := w.Write(s.window.buf); err != nil {
			return err
		}
	}
	return s.check(e, sum)
}

func (s *source) check(e *entry, sum uint32) error {
	if e.sum != 0 && e.sum != sum {
		return fmt.Errorf("%s: %w", s.files[e.file].path, errChanged)
	}
	return nil
}

func (s *source) close() error {
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
