package mergeinputs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Stdio is the name that means standard input, and as an output standard output.
const Stdio = "-"

// Place is where a report is made, and where it goes from there.
type Place struct {
	Path string // of the report: complete, or not there
	Mode fs.FileMode
	to   string // device, pipe or Stdio to copy it to; "" = it stays
	dir  string // to be removed at the end; "" = none
}

// PlaceFor tells where to make the report that is wanted as output. A file is
// replaced by a rename, also behind a symbolic link; what is no file must not be
// replaced and gets a copy.
func PlaceFor(output string) (*Place, error) {
	info, err := os.Stat(output)
	if output != Stdio && (err != nil || info.Mode().IsRegular()) {
		if target, err := filepath.EvalSymlinks(output); err == nil {
			output = target
		}
		mask := umask()
		// Unlike a run directory, others may read it if the user lets them.
		if err := os.MkdirAll(filepath.Dir(output), 0o777); err != nil { //nolint:gosec // less the mask
			return nil, err
		}
		return &Place{Path: output, Mode: 0o666 &^ mask}, nil
	}
	dir, err := os.MkdirTemp("", "ci-disagg-merge-*")
	if err != nil {
		return nil, err
	}
	return &Place{Path: filepath.Join(dir, "junit.xml"), to: output, dir: dir}, nil
}

// Beside is the directory for a large report in the making: that of its place, "" = the
// system's for temporary files.
func (p *Place) Beside() string {
	if p.to != "" {
		return ""
	}
	return filepath.Dir(p.Path)
}

// umask is what the user takes from the modes of new files. It can only be read
// by setting it; nothing else makes files at that time.
func umask() fs.FileMode {
	mask := unix.Umask(0)
	unix.Umask(mask)
	return fs.FileMode(mask) //nolint:gosec // nine bits
}

// Deliver copies the report to where it does not stay.
func (p *Place) Deliver(stdout io.Writer) (err error) {
	if p.to == "" {
		return nil
	}
	from, err := os.Open(p.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if p.to != Stdio {
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

// Remove leaves nothing behind but the report.
func (p *Place) Remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir) // in the temporary directory
	}
}
