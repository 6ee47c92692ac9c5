package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Here is this machine.
type Here struct{ env []string }

// NewHere makes the host that runs commands here, with env as their environment.
func NewHere(env []string) *Here { return &Here{env: env} }

// Name is "here".
func (*Here) Name() string { return "here" }

// Shared is true: this is the same file system.
func (*Here) Shared() bool { return true }

// Close does nothing.
func (*Here) Close() error { return nil }

// Run runs one command to its end.
func (h *Here) Run(ctx context.Context, c Cmd) (Result, error) {
	env := append(Scrub(h.env, c.Unset, c.Keep), c.Env...)
	return run(ctx, c, proc.Command{Argv: c.Argv, Dir: c.Dir, Env: env, Stdin: c.Stdin})
}

// run runs p within the bounds of c; p's argv, environment and stdin are set.
func run(ctx context.Context, c Cmd, p proc.Command) (Result, error) {
	p.Timeout, p.MaxStdout, p.Session, p.Grace = c.Timeout, c.MaxOutput, c.Session, time.Second
	if p.Timeout <= 0 {
		p.Timeout = defaultTimeout
	}
	if p.MaxStdout <= 0 {
		p.MaxStdout = defaultMaxOutput
	}
	child, err := proc.Start(ctx, p)
	if err != nil {
		return Result{Exit: -1}, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	r, err := child.Wait()
	var exit *proc.ExitError
	if errors.As(err, &exit) {
		if exit.Signal != 0 {
			return Result{Stdout: r.Stdout, Stderr: []byte(r.Stderr), Exit: r.Exit}, err
		}
		err = nil
	}
	return Result{Stdout: r.Stdout, Stderr: []byte(r.Stderr), Exit: r.Exit}, err
}

// Scrub is env without the variables that unset names (a trailing * matches a
// prefix) and keep does not.
func Scrub(env, unset, keep []string) []string {
	return proc.Without(env, func(name string) bool {
		return !slices.Contains(keep, name) && slices.ContainsFunc(unset, func(u string) bool {
			prefix, star := strings.CutSuffix(u, "*")
			return name == u || star && strings.HasPrefix(name, prefix)
		})
	})
}

// Push copies files, unless both directories are the same.
func (h *Here) Push(_ context.Context, localDir, dir string, paths []string) error {
	return copyTree(localDir, dir, paths)
}

// Pull copies files, unless both directories are the same.
func (h *Here) Pull(_ context.Context, dir, localDir string, paths []string) error {
	var unread []error
	for _, p := range paths {
		err := copyTree(dir, localDir, []string{p})
		switch {
		case err == nil:
		case isUnreadable(err):
			unread = append(unread, fmt.Errorf("%w: %w", ErrUnread, err))
		default:
			return err
		}
	}
	return errors.Join(unread...)
}

// isUnreadable reports whether it is the file which cannot be read.
func isUnreadable(err error) bool {
	var node *rundir.NodeError
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.As(err, &node)
}

// openRegular opens a regular file. What lies at a path that a role can write may have
// been replaced: no link is followed, and the other end of a FIFO is not waited for.
func openRegular(path string) (*os.File, error) {
	tree, err := rundir.TreeOf(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tree.Close() }()
	return tree.Open(path)
}

func copyTree(from, to string, paths []string) error {
	if filepath.Clean(from) == filepath.Clean(to) || len(paths) == 0 {
		return nil
	}
	tree, err := rundir.OpenTree(from)
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }()
	for _, p := range paths {
		if !filepath.IsLocal(p) {
			return fmt.Errorf("path %q leads out of its directory", p)
		}
		if err := copyFile(tree, filepath.Join(from, p), filepath.Join(to, p)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(tree *rundir.Tree, from, to string) error {
	f, err := tree.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return rundir.WriteStream(to, st.Mode().Perm(), func(w io.Writer) error {
		_, err := io.Copy(w, io.LimitReader(f, st.Size()))
		return err
	})
}

// List lists the regular files below dir, those directly in it first.
func (h *Here) List(_ context.Context, dir string, limit int) ([]FileInfo, error) {
	if err := overNoLink(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	l := listing{dir: dir, limit: limit}
	for _, e := range entries {
		if !e.IsDir() {
			l.add(filepath.Join(dir, e.Name()), e)
		}
	}
	for _, e := range entries {
		if e.IsDir() {
			_ = filepath.WalkDir(filepath.Join(dir, e.Name()), l.walk) // it never fails: l.err does
		}
	}
	return l.files, l.err
}

// overNoLink reports what stands in the place of a directory of a run.
func overNoLink(dir string) error {
	in := filepath.Join(dir, "x")
	tree, err := rundir.TreeOf(in)
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }()
	if _, err = tree.Lstat(in); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// listing is a list of files that goes on past what cannot be seen.
type listing struct {
	dir   string
	limit int
	files []FileInfo
	err   error
}

func (l *listing) walk(path string, d fs.DirEntry, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed while we looked
	case err != nil:
		l.err = fmt.Errorf("%w: %w", ErrPartial, err)
	case !l.add(path, d):
		return fs.SkipAll
	}
	return nil
}

// add takes one file; false = the list is full.
func (l *listing) add(path string, d fs.DirEntry) bool {
	if !d.Type().IsRegular() {
		return true
	}
	info, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return true // replaced while we looked
	}
	rel, relErr := filepath.Rel(l.dir, path)
	if err := errors.Join(err, relErr); err != nil {
		l.err = fmt.Errorf("%w: %w", ErrPartial, err)
		return true
	}
	if len(l.files) >= l.limit {
		l.err = fmt.Errorf("%w: %s has more than %d", ErrPartial, l.dir, l.limit)
		return false
	}
	l.files = append(l.files, FileInfo{Path: rel, Size: info.Size(), MTime: info.ModTime()})
	return true
}

// Read reads small files.
func (h *Here) Read(_ context.Context, most int64, paths ...string) (map[string][]byte, error) {
	out, unread := map[string][]byte{}, UnreadError{}
	for _, p := range paths {
		data, err := readBounded(p, most)
		switch {
		case err == nil:
			out[p] = data
		case !errors.Is(err, fs.ErrNotExist):
			unread[p] = err
		}
	}
	return out, unread.orNil()
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	return data, err
}

// ReadAt reads up to most bytes of a file from offset on.
func (h *Here) ReadAt(_ context.Context, most int, from map[string]int64) (map[string][]byte, error) {
	out, unread := map[string][]byte{}, UnreadError{}
	for p, off := range from {
		f, err := openRegular(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		buf, n := make([]byte, most), 0
		if err == nil {
			n, err = f.ReadAt(buf, off)
			_ = f.Close()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			unread[p] = err
			continue
		}
		out[p] = buf[:n]
	}
	return out, unread.orNil()
}

// Checksum is the SHA-256 of files, in hexadecimal, keyed by path.
func (h *Here) Checksum(_ context.Context, paths ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range paths {
		sum, err := fileSum(p)
		if isUnreadable(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[p] = sum
	}
	return out, nil
}
