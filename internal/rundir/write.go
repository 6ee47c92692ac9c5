package rundir

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of everything in a run directory: it may hold environment values and
// logs with site details, so nothing is readable by others, but by a group that the run
// directory is shared with (Share).
const (
	FileMode fs.FileMode = 0o600
	DirMode  fs.FileMode = 0o700
	ExecMode fs.FileMode = 0o700
)

// File is a file that is to be written. Path is relative to where it belongs.
type File struct {
	Path string
	Data []byte
	Mode fs.FileMode
}

// WriteJSON replaces path with v as indented JSON, atomically.
func WriteJSON(path string, v any) error { return WriteStream(path, FileMode, asJSON(v)) }

func asJSON(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
}

func asBytes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// CreateJSON is WriteJSON for a file that must not be there: of several that try at
// the same moment one succeeds, and the others get fs.ErrExist. A file system
// without hard links lets the last one win.
func CreateJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return inParent(path, func(root *os.Root, name string) error {
		place := func(tmp, name string) error { return linkOrRename(root, tmp, name) }
		return writeIn(root, name, writing{mode: FileMode, place: place, sync: true}, asBytes(append(data, '\n')))
	})
}

func linkOrRename(root *os.Root, tmp, name string) error {
	if err := root.Link(tmp, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return root.Rename(tmp, name)
	} else if err != nil {
		return err
	}
	return root.Remove(tmp)
}

// WriteFile replaces path with data, atomically.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return WriteStream(path, mode, asBytes(data))
}

// WriteStream replaces path with what fill writes: temporary file in the same
// directory, fsync, rename, fsync of the directory. If fill fails, path is left
// as it was and the temporary file is removed. A link at path is replaced; it is
// not followed, and in a run directory none may stand for a directory of a case. Where
// the software under test writes elsewhere, use a Tree.
//
// A program (mode with an x) can be executed at once: nothing is being started
// while it is open, so fill must not start anything. A child between fork and exec
// would hold it open for writing, and execve of it fail with ETXTBSY
// (https://go.dev/issue/22315).
func WriteStream(path string, mode fs.FileMode, fill func(io.Writer) error) error {
	return inParent(path, func(root *os.Root, name string) error {
		return writeIn(root, name, writing{mode: mode, place: root.Rename, sync: true}, fill)
	})
}

// inParent opens the run directory that path lies in, or its directory; what is missing
// of either is made.
func inParent(path string, do func(root *os.Root, rel string) error) error {
	dir, rel := Within(path)
	if err := os.MkdirAll(dir, DirMode); err != nil {
		return err
	}
	t, err := OpenTree(dir)
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }()
	if err := t.mkdirs(filepath.Dir(rel)); err != nil {
		return err
	}
	return do(t.root, rel)
}
