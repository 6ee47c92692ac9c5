package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stdoutName is the -o that means standard output.
const stdoutName = "-"

// place is where a report is made, and where it goes from there.
type place struct {
	path string // of the report: complete, or not there
	mode fs.FileMode
	to   string // device, pipe or stdoutName to copy it to; "" = it stays
	dir  string // to be removed at the end; "" = none
}

// placeFor says where to make the report that is wanted as output. A file is
// replaced by a rename, also behind a symbolic link; what is no file must not be
// replaced and gets a copy.
func placeFor(output string) (*place, error) {
	info, err := os.Stat(output)
	if output != stdoutName && (err != nil || info.Mode().IsRegular()) {
		if target, err := filepath.EvalSymlinks(output); err == nil {
			output = target
		}
		mask := umask()
		// Unlike a run directory, others may read it if the user lets them.
		if err := os.MkdirAll(filepath.Dir(output), 0o777); err != nil { //nolint:gosec // less the mask
			return nil, err
		}
		return &place{path: output, mode: 0o666 &^ mask}, nil
	}
	dir, err := os.MkdirTemp("", "ci-disagg-merge-*")
	if err != nil {
		return nil, err
	}
	return &place{path: filepath.Join(dir, "junit.xml"), to: output, dir: dir}, nil
}

// umask is what the user takes from the modes of new files. It can only be read
// by setting it; nothing else makes files at that time.
func umask() fs.FileMode {
	mask := unix.Umask(0)
	unix.Umask(mask)
	return fs.FileMode(mask) //nolint:gosec // nine bits
}

// deliver copies the report to where it does not stay.
func (p *place) deliver(stdout io.Writer) (err error) {
	if p.to == "" {
		return nil
	}
	from, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if p.to != stdoutName {
		to, err := os.OpenFile(p.to, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, from)
		return errors.Join(err, to.Close())
	}
	_, err = io.Copy(stdout, from)
	return err
}

// remove leaves nothing behind but the report.
func (p *place) remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir) // in the temporary directory
	}
}
