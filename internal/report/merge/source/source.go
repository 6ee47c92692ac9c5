// Package source reads what is to be merged, in whatever format and encoding it is, and keeps the cases until the
// report is written.
package source

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/foreign"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/xmltext"
)

// File is one input.
type File struct {
	Path    string    // to open
	Shown   string    // as people read it; default Path
	Role    string    // the suites of a role are kept apart from those of others
	Nth     int       // its number among those named, from 1; a merge gives it
	Content io.Reader // read instead of Path
}

// Read reads an input as junit.Read does.
func Read(f File, o junit.ReadOptions, v junit.Visitor) (got junit.File, err error) {
	r, pipe := f.Content, false
	if r == nil {
		file, info, err := openInput(f.Path)
		if err != nil {
			return got, unread(f, err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
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
	text.Reader = begin
	if format := foreign.Detect(head); format != foreign.None {
		var converted bytes.Buffer
		if err := foreign.Convert(format, begin, &converted); err != nil {
			return got, unread(f, err)
		}
		text.Reader = &converted
	}
	return junit.ReadText(text, f.Shown, o, v)
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
