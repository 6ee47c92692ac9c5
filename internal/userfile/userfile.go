// Package userfile reads files that are named to us, on a command line or in a config: regular files of a bounded size,
// without ever waiting for the other end of a FIFO.
//
// In: a path. Out: its bytes. In a pull request the checkout is a stranger's, and can hold links: what they lead to
// outside of it is not read, because messages quote what they cannot read.
package userfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// most is how large a file may be: test lists and configs have thousands of lines, not millions.
const most = 64 << 20

// Read reads a file.
func Read(path string) ([]byte, error) {
	own := strings.HasPrefix(path, "/dev/fd/") || path == "/dev/stdin" // a pipe of the shell's, as in --config <(…)
	flag := os.O_RDONLY | syscall.O_NONBLOCK
	if own {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !own && !info.Mode().IsRegular() {
		return nil, refused(path, errors.New("it is no regular file"))
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(data) > most {
		err = refused(path, fmt.Errorf("it has more than %d MiB", most>>20))
	}
	return data, err
}

func refused(path string, why error) error {
	return &fs.PathError{Op: "read", Path: path, Err: why}
}

// Or is read, or Read where nobody said how files are read.
func Or(read func(string) ([]byte, error)) func(string) ([]byte, error) {
	if read == nil {
		return Read
	}
	return read
}

// ReadOfStranger reads a file of a checkout that a stranger may have made: one that really lies in it.
func ReadOfStranger(path string) ([]byte, error) {
	if err := inCheckouts(path); err != nil {
		return nil, err
	}
	return Read(path)
}

// inCheckouts refuses a file that lies in a git checkout by its path, and by its links does not. That of no checkout
// was named by who is trusted to name files.
func inCheckouts(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return err
	}
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			if err := within(dir, target); err != nil {
				return refused(path, err)
			}
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func within(checkout, target string) error {
	top, err := filepath.EvalSymlinks(checkout)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(top, target)
	if err == nil && filepath.IsLocal(rel) && !isGits(rel) {
		return nil
	}
	return fmt.Errorf("it leads out of the checkout %s, which is not followed in a pull request", checkout)
}

// isGits reports whether a path of a checkout is git's own, which may hold credentials.
func isGits(rel string) bool {
	for rel != "." {
		if filepath.Base(rel) == ".git" {
			return true
		}
		rel = filepath.Dir(rel)
	}
	return false
}
