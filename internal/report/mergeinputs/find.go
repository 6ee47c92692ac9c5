// Package mergeinputs finds the files that are to be merged, with the roles that they are of, and the place where the
// report goes.
package mergeinputs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/merge"
)

// Find gives the files, directories and globs that args name, each file once, in their order. output is the report to
// write, which is none of them. Paths are relative to cwd.
func Find(args []string, cwd, output string, stdin io.Reader) (merge.Input, error) {
	f := newFinder(cwd, output)
	for _, arg := range args {
		if arg == Stdio {
			f.files = append(f.files, merge.File{Path: Stdio, Shown: "(standard input)", Content: stdin})
			continue
		}
		if err := f.find(arg); err != nil {
			return merge.Input{}, err
		}
	}
	return merge.Input{Files: f.files, Missing: f.missing}, nil
}

// NamesOne reports whether an argument names one file, which need not be there: no directory and no glob.
func NamesOne(arg string) bool {
	info, err := os.Stat(arg)
	return err == nil && !info.IsDir() || err != nil && !strings.ContainsAny(arg, "*?[{")
}

// finder collects the files, each once.
type finder struct {
	cwd     string
	old     fs.FileInfo // what stands there now; nil = nothing
	seen    map[string]bool
	files   []merge.File
	missing []merge.Missing // arguments that name no file
}

func newFinder(cwd, output string) *finder {
	f := &finder{cwd: cwd, seen: make(map[string]bool)}
	if info, err := os.Stat(output); err == nil {
		f.old = info
	}
	return f
}

// find takes up the files that one argument names: a file, a directory or a glob.
func (f *finder) find(arg string) error {
	if NamesOne(arg) {
		if f.isOldReport(arg) {
			return fmt.Errorf("%s is the report of the last time, and the one to write: quote the glob, or name another file with -o", arg)
		}
		f.add(arg)
		return nil
	}
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		f.dir(arg)
		return nil
	}
	paths, err := expand(arg)
	if err != nil {
		return fmt.Errorf("glob %s: %w", arg, err)
	}
	taken := 0
	for _, p := range paths {
		switch info, err := os.Stat(p); {
		case err == nil && info.IsDir():
			f.dir(p)
		case err == nil && !info.Mode().IsRegular():
			continue // pipes and the like are read only where they are named themselves
		default:
			f.found(p)
		}
		taken++
	}
	if taken == 0 {
		f.missing = append(f.missing, merge.Missing{Name: arg, Why: "matches no file"})
	}
	return nil
}

// dir takes up the *.xml files below a directory.
func (f *finder) dir(dir string) {
	n := 0
	walkFiles(dir, func(path string) {
		if strings.HasSuffix(path, ".xml") {
			n++
			f.found(path)
		}
	}, func(path string) { n++; f.add(path) }, func(path string) {
		if strings.HasSuffix(path, ".xml") {
			n++
			f.missing = append(f.missing, merge.Missing{Name: f.shown(path), Why: "a link that leads out of the directory; name the file itself"})
		}
	})
	if n == 0 {
		f.missing = append(f.missing, merge.Missing{Name: f.shown(dir), Why: "no *.xml file in this directory"})
	}
}

// found takes up a file that was not named itself: the report of the last time
// is none of the inputs.
func (f *finder) found(path string) {
	if f.isOldReport(path) {
		f.seen[absFrom(f.cwd, path)] = true
		return
	}
	f.add(path)
}

func (f *finder) add(path string) {
	if abs := absFrom(f.cwd, path); !f.seen[abs] {
		f.seen[abs] = true
		f.files = append(f.files, merge.File{Path: path, Shown: f.shown(path)})
	}
}

// isOldReport reports whether path is a report of ours that stands where the new
// one goes. What somebody else wrote there is an input like any other.
func (f *finder) isOldReport(path string) bool {
	info, err := os.Stat(path)
	if err != nil || f.old == nil || !info.Mode().IsRegular() || !os.SameFile(info, f.old) {
		return false
	}
	r, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }() // only read from
	return junit.Ours(r)
}

// shown is path as it stands in reports: relative where it lies below the
// working directory, since an absolute one differs from build to build.
func (f *finder) shown(path string) string {
	rel, err := filepath.Rel(f.cwd, absFrom(f.cwd, path))
	if err != nil || !filepath.IsLocal(rel) {
		return path
	}
	return rel
}

func absFrom(cwd, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(cwd, path)
}

// walkFiles calls found for the regular files below dir, and failed for what
// cannot be searched. dir may be a symbolic link; those below it are followed to
// files below it and not to directories: who writes results there could have any
// file shown, so outside is called for other files. Pipes and the like are left alone.
func walkFiles(dir string, found, failed, outside func(path string)) {
	root := dir + string(filepath.Separator)                                       // a link is followed
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error { // each error has gone to failed
		switch {
		case err != nil:
			failed(filepath.Clean(path))
		case d.IsDir():
			if path != root && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
		case d.Type().IsRegular():
			found(path)
		case d.Type()&fs.ModeSymlink != 0:
			switch info, err := os.Stat(path); {
			case err != nil: // a link to nothing is for the report to tell
				found(path)
			case !info.Mode().IsRegular():
			case isBelow(root, path):
				found(path)
			default:
				outside(path)
			}
		}
		return nil
	})
}

// isBelow reports whether path, with all its links followed, lies below dir.
func isBelow(dir, path string) bool {
	for _, p := range []*string{&dir, &path} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return false
		}
		if *p, err = filepath.EvalSymlinks(abs); err != nil {
			return false
		}
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// expand gives the paths that match a glob, in which ** stands for any
// directories. Hidden ones are searched only if the glob names them, links to
// directories are not followed, and what cannot be searched is an error.
func expand(glob string) ([]string, error) {
	return doublestar.FilepathGlob(glob, doublestar.WithNoFollow(), doublestar.WithNoHidden(), doublestar.WithFailOnIOErrors())
}
