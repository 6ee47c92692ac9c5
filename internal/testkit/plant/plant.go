// Package plant puts things in the place of files: what the software under test, which writes as the same user, may
// leave where ci-disagg reads, writes or removes. For tests only.
package plant

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Canary stands in every file outside: nothing may show it.
const Canary = "canary-of-a-file-outside"

// Outside is a directory that nobody may read, change or remove by way of what is planted.
type Outside struct {
	Dir, File, Sub string
	before         string
}

// NewOutside makes one.
func NewOutside(t testing.TB) Outside {
	t.Helper()
	dir := t.TempDir()
	o := Outside{Dir: dir, File: filepath.Join(dir, "secret"), Sub: filepath.Join(dir, "sub")}
	text := `<testsuite name="s"><testcase name="` + Canary + `"/></testsuite>`
	for _, name := range []string{"secret", "sub/results.0.xml", "sub/output.log", "sub/junit.xml", "sub/cases/old.html", "sub/report/index.html"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	o.before = o.state(t)
	return o
}

// Untouched asserts that all is as it was.
func (o Outside) Untouched(t testing.TB, what string) {
	t.Helper()
	require.Equal(t, o.before, o.state(t), "outside, after %s", what)
}

func (o Outside) state(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, filepath.WalkDir(o.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v", path, info.Mode())
		if e.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %v %x", info.ModTime(), sha256.Sum256(data))
		}
		b.WriteByte('\n')
		return nil
	}))
	return b.String()
}

// Kind is one kind of thing.
type Kind struct {
	Name string
	Is   string // what it is called where it was found in place of a file; "" = it is a regular file
	Put  func(path string, o Outside) error
}

// Kinds are all of them.
func Kinds() []Kind {
	kinds := []Kind{
		{"link to a file", "a symbolic link", func(path string, o Outside) error { return os.Symlink(o.File, path) }},
		{"link to a directory", "a symbolic link", func(path string, o Outside) error { return os.Symlink(o.Sub, path) }},
		{"dangling link", "a symbolic link", func(path string, o Outside) error { return os.Symlink(filepath.Join(o.Dir, "none"), path) }},
		{"FIFO", "a FIFO", func(path string, _ Outside) error { return syscall.Mkfifo(path, 0o600) }},
		{"socket", "a socket", socket},
		{"directory", "a directory", func(path string, _ Outside) error { return os.MkdirAll(filepath.Join(path, "full"), 0o700) }},
		{"sparse file", "", sparse},
		{"hard link", "", func(path string, o Outside) error { return os.Link(o.File, path) }},
	}
	if os.Geteuid() == 0 {
		kinds = append(kinds, Kind{"device", "a device", func(path string, _ Outside) error {
			const zero = 1<<8 | 5
			return syscall.Mknod(path, syscall.S_IFCHR|0o600, zero)
		}})
	}
	return kinds
}

// InPlace puts a kind in the place of whatever is at path.
func (k Kind) InPlace(t testing.TB, path string, o Outside) {
	t.Helper()
	require.NoError(t, os.RemoveAll(path))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, k.Put(path, o), "%s at %s", k.Name, path)
}

// socket binds a short name, which a socket's must be, in the same directory, and moves it.
func socket(path string, _ Outside) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	short := fmt.Sprintf("/proc/self/fd/%d/s", dir.Fd())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return errors.Join(l.Close(), os.Rename(short, path))
}

// sparse makes a file of 1 TB that takes no room.
func sparse(path string, _ Outside) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(1<<40), f.Close())
}
