package load

import (
	"cmp"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/results"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxArtifacts bounds the files of an attempt that the report links to.
const maxArtifacts = 400

// artifacts lists the kept files of an attempt, in the order of their paths,
// with links relative to the run directory. The test's own output goes first
// where there are too many. Symbolic links are left out: what they point at is
// listed, or is not part of the run.
func artifacts(dir rundir.Dir, at place) []results.KeptFile {
	out := filesBelow(dir, at, string(at.attempt), at.run.Output(), maxArtifacts)
	out = append(out, filesBelow(dir, at, at.run.Output(), "", maxArtifacts-len(out))...)
	slices.SortFunc(out, func(a, b results.KeptFile) int { return cmp.Compare(a.Label, b.Label) })
	return out
}

// filesBelow lists at most so many files below root, but not those below skip.
func filesBelow(dir rundir.Dir, at place, root, skip string, most int) []results.KeptFile {
	var out []results.KeptFile
	// An entry that cannot be read is left out: the list is a convenience.
	_ = fs.WalkDir(at.tree.FS(root), ".", func(name string, e fs.DirEntry, err error) error {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err != nil || path == skip || len(out) >= most {
			return fs.SkipDir
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // gone while we looked
		}
		label, err := filepath.Rel(string(at.attempt), path)
		if err != nil {
			return nil //nolint:nilerr // not below the attempt
		}
		rel, err := filepath.Rel(string(dir), path)
		if err != nil {
			return nil //nolint:nilerr // not below the run directory
		}
		out = append(out, results.KeptFile{Label: label, Path: rel, Bytes: info.Size()})
		return nil
	})
	return out
}
