package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// tree is a directory whose files may be hostile.
type tree struct{ root *os.Root }

// Open is for walking only.
func (t tree) Open(name string) (fs.File, error) { return t.root.FS().Open(name) }

// ReadDir lists a directory without following links.
func (t tree) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.root.FS(), name) }

// Stat describes a file without following a link.
func (t tree) Stat(name string) (fs.FileInfo, error) { return t.root.Lstat(name) }

var errNotRegular = errors.New("neither a file nor a link to one here: write the benchmark's output to a regular file")

// open opens a regular file, or the one in the tree that a link points to. It
// never waits.
func (t tree) open(name string) (*os.File, error) {
	if target, err := t.root.Readlink(name); err == nil {
		if name = t.inside(path.Dir(name), target); name == "" {
			return nil, fmt.Errorf("a link to %s: only files below the output's own directory are read", target)
		}
	}
	f, err := t.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, plain(err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errNotRegular
	case info.Size() > maxSize:
		err = fmt.Errorf("larger than %d GB", maxSize>>30)
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// inside is the target of a link in dir as a path in the tree, "" if it is not
// in the tree.
func (t tree) inside(dir, target string) string {
	if path.IsAbs(target) {
		rel, err := filepath.Rel(t.root.Name(), target)
		if err != nil {
			return ""
		}
		dir, target = ".", filepath.ToSlash(rel)
	}
	if target = path.Join(dir, target); fs.ValidPath(target) {
		return target
	}
	return ""
}

// plain is an error without the path, which the caller knows better.
func plain(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
