package collect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxScrub is the largest file that is looked through for secrets.
const maxScrub = 4 << 30

// Scrub masks the values of secrets in the files of an attempt that is over, before they
// are kept. What ci-disagg wrote for the job is no exception: roles write as the same user.
// The error names what could not be looked through.
func (r Rules) Scrub(dir rundir.AttemptDir) error {
	if r.Mask == nil {
		return nil
	}
	tree, err := dir.Tree()
	if err != nil {
		return fmt.Errorf("not looked through for secrets: %w", err)
	}
	defer func() { _ = tree.Close() }() // all that was written is closed
	var left []string
	leave := func(name string, err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			left = append(left, fmt.Sprintf("%s: %v", name, err))
		}
	}
	_ = fs.WalkDir(tree.FS(string(dir)), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			leave(name, err)
			return fs.SkipDir
		case e.Type().IsRegular() && !isClients(name):
			leave(name, r.scrub(tree, filepath.Join(string(dir), filepath.FromSlash(name))))
		}
		return nil
	})
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("%d files could not be looked through for secrets, the first is %s", len(left), left[0])
}

func (r Rules) scrub(tree *rundir.Tree, file string) error {
	f, err := tree.Open(file)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	found := false
	if err == nil && info.Size() > maxScrub {
		err = fmt.Errorf("it is larger than %d bytes", int64(maxScrub))
	}
	if err == nil {
		found, err = r.Mask.FindIn(f)
	}
	if err = errors.Join(err, f.Close()); err != nil || !found {
		return err
	}
	return tree.Rewrite(file, func(to io.Writer, from io.Reader) error {
		w := r.Mask.Writer(to)
		if _, err := io.Copy(w, from); err != nil {
			return err
		}
		return w.Flush()
	})
}
