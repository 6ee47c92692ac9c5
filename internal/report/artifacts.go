package report

import (
	"io/fs"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/report/publish"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxArtifacts bounds the files of an attempt that the report links to.
const maxArtifacts = 400

// artifacts lists the kept files of an attempt, in natural order of their paths,
// with links relative to the run directory. Symbolic links are left out: what
// they point at is listed, or is not part of the run.
func artifacts(dir rundir.Dir, attempt rundir.AttemptDir) []publish.Link {
	var out []publish.Link
	// An entry that cannot be read is left out: the list is a convenience.
	_ = filepath.WalkDir(string(attempt), func(path string, e fs.DirEntry, err error) error {
		if err != nil || len(out) == maxArtifacts {
			return fs.SkipDir
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // gone while we looked
		}
		label, err := filepath.Rel(string(attempt), path)
		if err != nil {
			return nil //nolint:nilerr // not below the attempt
		}
		rel, err := filepath.Rel(string(dir), path)
		if err != nil {
			return nil //nolint:nilerr // not below the run directory
		}
		out = append(out, publish.Link{Label: label, Path: rel, Bytes: info.Size()})
		return nil
	})
	return out
}
