package collect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxScrub is the largest file that is looked through for secrets.
const maxScrub = 4 << 30

// Scrub masks the values of secrets in the files of an attempt that is over, before they
// are kept. What ci-disagg itself wrote for the job is left as it is: it holds no values.
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
		case e.Type().IsRegular() && !ours(name):
			leave(name, r.scrub(tree, filepath.Join(string(dir), filepath.FromSlash(name))))
		}
		return nil
	})
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("%d files could not be looked through for secrets, the first is %s", len(left), left[0])
}

// ours reports whether a file was written for the job, before it began.
func ours(name string) bool {
	base := path.Base(inRun(name))
	if !strings.Contains(name, "/") {
		return isClients(name) || slices.Contains([]string{"plan.json", "job.sh", "test_list.txt", "run.sh"}, name) ||
			strings.HasPrefix(name, "install") && strings.HasSuffix(name, ".sh")
	}
	return base == "role.sh" && strings.HasPrefix(inRun(name), "roles/")
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
