package rundir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// WriteJSON replaces path with v as indented JSON, atomically.
func (t *Tree) WriteJSON(path string, v any) error {
	if t.Mask == nil {
		return t.WriteStream(path, FileMode, asJSON(v))
	}
	var b bytes.Buffer
	if err := asJSON(v)(&b); err != nil {
		return err
	}
	return t.WriteFile(path, maskTexts(b.Bytes(), t.Mask), FileMode)
}

// WriteFile replaces path with data, atomically.
func (t *Tree) WriteFile(path string, data []byte, mode fs.FileMode) error {
	return t.WriteStream(path, mode, asBytes(data))
}

// WriteStream is the function of this name, below the tree: a link that stands where
// a directory belongs is refused, and one that stands at path is replaced.
func (t *Tree) WriteStream(path string, mode fs.FileMode, fill func(io.Writer) error) error {
	rel, err := t.rel(path)
	if err != nil {
		return err
	}
	if err := t.mkdirs(filepath.Dir(rel)); err != nil {
		return err
	}
	return writeIn(t.root, rel, writing{mode: mode, place: t.root.Rename, sync: true}, fill)
}

// WriteDerived replaces path by a rename, but does not sync: for the thousands of files
// that can be made again from others. On NFS each sync costs milliseconds. The
// directories are made.
func (t *Tree) WriteDerived(path string, fill func(io.Writer) error) error {
	rel, err := t.rel(path)
	if err != nil {
		return err
	}
	if err := t.mkdirs(filepath.Dir(rel)); err != nil {
		return err
	}
	return writeIn(t.root, rel, writing{mode: FileMode, place: t.root.Rename}, fill)
}

// RemoveAll removes an entry with all below it, and follows no link. None is no error.
func (t *Tree) RemoveAll(path string) error {
	rel, err := t.rel(path)
	if err != nil {
		return err
	}
	if err := t.inDirectories(rel); err != nil {
		return ignoreGone(err)
	}
	return t.named(rel, t.root.RemoveAll(rel))
}

// Rewrite replaces a regular file by what fill makes of it, with its mode and its time:
// others tell by them what the file is.
func (t *Tree) Rewrite(path string, fill func(to io.Writer, from io.Reader) error) error {
	rel, err := t.rel(path)
	if err != nil {
		return err
	}
	from, info, err := t.openFile(rel)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	place := func(tmp, name string) error {
		if err := t.root.Chtimes(tmp, info.ModTime(), info.ModTime()); err != nil {
			return err
		}
		return t.root.Rename(tmp, name)
	}
	w := writing{mode: info.Mode().Perm(), place: place, sync: true}
	return writeIn(t.root, rel, w, func(to io.Writer) error { return fill(to, from) })
}

// MkdirAll makes a directory and those above it.
func (t *Tree) MkdirAll(dir string) error {
	rel, err := t.rel(dir)
	if err != nil {
		return err
	}
	return t.mkdirs(rel)
}

func (t *Tree) mkdirs(rel string) error {
	if err := t.inDirectories(filepath.Join(rel, "x")); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dir := filepath.Dir(rel); dir != "." {
		if err := t.mkdirs(dir); err != nil {
			return err
		}
	}
	if err := mkdir(t.root, rel); !errors.Is(err, fs.ErrExist) { // somebody else may make it at the same time
		return t.named(rel, err)
	}
	_, err := t.look(rel, NodeDirectory)
	return err
}

// Append opens a regular file for appending, and makes it where there is none.
func (t *Tree) Append(path string) (*os.File, error) {
	rel, err := t.rel(path)
	if err != nil {
		return nil, err
	}
	if err := t.mkdirs(filepath.Dir(rel)); err != nil {
		return nil, err
	}
	f, err := t.root.OpenFile(rel, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, FileMode)
	if mode := modeBelow(t.root, rel, FileMode); err == nil && mode != FileMode {
		err = f.Chmod(mode)
	}
	if !errors.Is(err, fs.ErrExist) {
		return f, t.named(rel, err)
	}
	f, _, err = t.open(rel, os.O_WRONLY|os.O_APPEND, NodeFile)
	return f, err
}

// Remove removes one entry, a link and not what it leads to. None is no error.
func (t *Tree) Remove(path string) error {
	rel, err := t.rel(path)
	if err != nil {
		return err
	}
	if err := t.inDirectories(rel); err != nil {
		return ignoreGone(err)
	}
	return ignoreGone(t.named(rel, t.root.Remove(rel)))
}

// Alias makes to another name of from, so that both show the same growing file. A
// hard link also works where only to's directory is mounted into a container; a file
// system that has none gets a symbolic one.
func (t *Tree) Alias(from, to string) error {
	relFrom, err := t.rel(from)
	if err != nil {
		return err
	}
	relTo, err := t.rel(to)
	if err != nil {
		return err
	}
	if err := errors.Join(t.inDirectories(relFrom), t.mkdirs(filepath.Dir(relTo)), t.Remove(to)); err != nil {
		return err
	}
	if t.root.Link(relFrom, relTo) == nil {
		return nil
	}
	target, err := filepath.Rel(filepath.Dir(relTo), relFrom)
	if err != nil {
		return err
	}
	return t.named(relTo, t.root.Symlink(target, relTo))
}

// writing is how a file comes to its place.
type writing struct {
	mode  fs.FileMode
	place func(tmp, rel string) error
	sync  bool
}

// writeIn writes rel below root: a new file beside it, then place.
func writeIn(root *os.Root, rel string, w writing, fill func(io.Writer) error) error {
	path := filepath.Join(root.Name(), rel)
	w.mode = modeBelow(root, rel, w.mode)
	tmp, err := writeTemp(root, rel, w, fill)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := w.place(tmp, rel); err != nil {
		if info, lookErr := root.Lstat(rel); lookErr == nil && info.IsDir() {
			err = &NodeError{Path: path, Is: NodeDirectory, Want: NodeFile}
		}
		return errors.Join(err, ignoreGone(root.Remove(tmp)))
	}
	if !w.sync {
		return nil
	}
	return syncDir(root, filepath.Dir(rel))
}

// writeTemp makes a new file beside rel with what fill writes. It is removed if that
// fails.
func writeTemp(root *os.Root, rel string, w writing, fill func(io.Writer) error) (name string, err error) {
	if w.mode&0o111 != 0 {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	f, name, err := newTemp(root, rel)
	if err != nil {
		return "", err
	}
	if err := fillFile(f, w, fill); err != nil {
		return "", errors.Join(err, ignoreGone(root.Remove(name)))
	}
	return name, nil
}

// newTemp makes a file that was not there. O_EXCL follows no link either.
func newTemp(root *os.Root, rel string) (*os.File, string, error) {
	const attempts = 100
	for i := 0; ; i++ {
		name := filepath.Join(filepath.Dir(rel), "."+filepath.Base(rel)+".tmp-"+strconv.FormatUint(rand.Uint64(), 36)) //nolint:gosec // a name, no secret
		f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, FileMode)
		if err == nil || !errors.Is(err, fs.ErrExist) || i == attempts {
			return f, name, err
		}
	}
}

func fillFile(f *os.File, w writing, fill func(io.Writer) error) error {
	err := fill(f)
	if err == nil {
		err = f.Chmod(w.mode)
	}
	if err == nil && w.sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename durable. Some network file systems cannot sync a
// directory; there the rename itself is as durable as it gets.
func syncDir(root *os.Root, rel string) error {
	d, err := root.Open(rel)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
