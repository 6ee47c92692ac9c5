package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Modes of everything in a run directory: it may hold environment values and
// logs with site details, so nothing is readable by others.
const (
	FileMode fs.FileMode = 0o600
	DirMode  fs.FileMode = 0o700
	ExecMode fs.FileMode = 0o700
)

// WriteJSON replaces path with v as indented JSON, atomically.
func WriteJSON(path string, v any) error {
	return WriteStream(path, FileMode, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	})
}

// CreateJSON is WriteJSON for a file that must not be there: of several that try at
// the same moment one succeeds, and the others get fs.ErrExist. A file system
// without hard links lets the last one win.
func CreateJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeStream(path, FileMode, linkOrRename, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

func linkOrRename(tmp, path string) error {
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return os.Rename(tmp, path)
	} else if err != nil {
		return err
	}
	return os.Remove(tmp)
}

// WriteFile replaces path with data, atomically.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return WriteStream(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteStream replaces path with what fill writes: temporary file in the same
// directory, fsync, rename, fsync of the directory. If fill fails, path is left
// as it was and the temporary file is removed.
//
// A program (mode with an x) can be executed at once: nothing is being started
// while it is open, so fill must not start anything. A child between fork and exec
// would hold it open for writing, and execve of it fail with ETXTBSY
// (https://go.dev/issue/22315).
func WriteStream(path string, mode fs.FileMode, fill func(io.Writer) error) error {
	return writeStream(path, mode, os.Rename, fill)
}

func writeStream(path string, mode fs.FileMode, place func(tmp, path string) error, fill func(io.Writer) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, DirMode); err != nil {
		return err
	}
	tmp, err := writeTemp(dir, "."+filepath.Base(path)+".tmp-*", mode, fill)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := place(tmp, path); err != nil {
		return errors.Join(err, ignoreGone(os.Remove(tmp)))
	}
	return syncDir(dir)
}

// writeTemp makes a new file, synced, with what fill writes. It is removed if that
// fails.
func writeTemp(dir, pattern string, mode fs.FileMode, fill func(io.Writer) error) (name string, err error) {
	if mode&0o111 != 0 {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	if err := fillAndSync(f, mode, fill); err != nil {
		return "", errors.Join(err, ignoreGone(os.Remove(f.Name())))
	}
	return f.Name(), nil
}

// WriteDerived replaces path with data by a rename, but does not sync: for the
// thousands of files that can be made again from others. On NFS each sync costs
// milliseconds. The directory must exist.
func WriteDerived(path string, data []byte, mode fs.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreGone(os.Remove(tmp.Name())))
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}

func fillAndSync(f *os.File, mode fs.FileMode, fill func(io.Writer) error) error {
	err := fill(f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename durable. Some network file systems cannot sync a
// directory; there the rename itself is as durable as it gets.
func syncDir(dir string) error {
	d, err := os.Open(dir)
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

// ReadJSON reads a record into v. It refuses a record of a newer schema.
func ReadJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if head.Schema > Schema {
		return fmt.Errorf("%s: schema %d is newer than this ci-disagg understands (%d)", path, head.Schema, Schema)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
