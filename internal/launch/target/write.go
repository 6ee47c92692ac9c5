package target

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// WriteAttempt writes what a job of the only case needs to dir, an absolute path, which becomes
// the attempt directory, and gives the path of the job's script. For teams whose own scripts submit and wait.
func (t *Target) WriteAttempt(dir string, plans []rundir.Plan) (job string, err error) {
	if len(plans) != 1 || plans[0].Case.SkipReason != "" {
		return "", exit.ByUser(fmt.Errorf("--write makes the files of one case, and this is %s; use --split-group or --shard", plain.Count(len(plans), "case")))
	}
	if err := fresh(dir); err != nil {
		return "", exit.ByUser(err)
	}
	files, err := t.example(plans[0], rundir.AttemptDir(dir), "ci-disagg-"+plans[0].Case.Slug)
	if err != nil {
		return "", exit.ByUser(err)
	}
	for _, f := range files {
		if err := rundir.WriteFile(filepath.Join(dir, f.Path), f.Data, f.Mode); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, files[0].Path), nil
}

// fresh reports that an earlier job has left something in an attempt directory: its
// results would be taken for those of the next one.
func fresh(dir string) error {
	for _, pattern := range []string{"slurm.out", "run-*/roles/*/results*.xml", "run-*/roles/*/output.log", "run-*/output/*"} {
		found, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fmt.Errorf("--write %s: %s is there from an earlier job: remove the directory, or choose another", dir, found[0])
		}
	}
	return nil
}

// Scripts writes every script of every case that is not skipped, each below a line
// with its path.
func (t *Target) Scripts(w io.Writer, dir rundir.Dir, plans []rundir.Plan) error {
	var b bytes.Buffer
	for _, p := range plans {
		if p.Case.SkipReason != "" {
			continue
		}
		attempt, files, err := t.first(dir, p)
		if err != nil {
			return err
		}
		for _, f := range files {
			if strings.HasSuffix(f.Path, ".sh") {
				fmt.Fprintf(&b, "==> %s <==\n%s\n", filepath.Join(string(attempt), f.Path), f.Data)
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
