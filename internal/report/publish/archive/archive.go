// Package archive makes the copy of a report that Jenkins archives: whole pages, but of a long log only its head and
// tail, which name the original.
//
// In: a run directory with a report, and the report's value. Out: a directory of the same layout, so that links work,
// and result.json in it, which says how the run ended.
package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/label"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	headSize  = 1 << 20   // bytes kept of the head of a longer file
	tailSize  = 3 << 20   // and of its tail
	totalSize = 512 << 20 // bytes of linked files; behind that, and on the way out of an interrupted run, only short tails
	shortSize = 64 << 10
	maxPage   = 2 << 30 // bytes of one file of the report
)

// ResultFile is the small file in a copy that a caller reads back.
const ResultFile = "result.json"

// ResultSchema is the version of that file.
const ResultSchema = 1

// Result is ResultFile: how the run ended, for a caller that has no use for the
// whole verdict.json. Paths are relative to the copy; they are empty when there
// is no report.
type Result struct {
	Schema   int    `json:"schema"`
	Tool     string `json:"tool"` // ci-disagg version
	RunID    string `json:"run_id"`
	RunDir   string `json:"run_dir"`
	ExitCode int    `json:"exit_code"`
	Result   string `json:"result"`         // as in verdict.json; "error" when there is no report
	Word     string `json:"word,omitempty"` // likewise, in the console's word
	Headline string `json:"headline"`       // one sentence: what happened
	JUnit    string `json:"junit"`
	Summary  string `json:"summary"`
	Index    string `json:"index"`
}

// mark is the first file of a copy: what stands beside it may be removed.
const mark = ".ci-disagg-copy"

// Prepare makes dir ready: an earlier copy in it goes, also one that was cut
// short, so that nobody takes it for this run's. A directory that holds anything
// and no mark of ours is refused.
func Prepare(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ours := len(entries) == 0
	for _, e := range entries {
		ours = ours || e.Name() == mark
	}
	if !ours {
		return fmt.Errorf("%s holds files that are no earlier copy: give an empty directory", dir)
	}
	for _, name := range []string{"report", "cases", ResultFile} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return rundir.WriteFile(filepath.Join(dir, mark), nil, rundir.FileMode)
}

// Failed leaves the result of a run that made no report, unless there is one.
func Failed(dir, tool string, code int, why error) error {
	file := filepath.Join(dir, ResultFile)
	if to, err := rundir.OpenTree(dir); err == nil { // else it is not there yet
		defer func() { _ = to.Close() }()
		if to.Has(file) {
			return nil
		}
	}
	return rundir.WriteJSON(file, Result{Schema: ResultSchema, Tool: tool, ExitCode: code, Result: "error", Headline: why.Error()})
}

// Copy copies the report of a run directory, and what it links to, to dir. The
// result comes last. The values of secrets are masked.
func Copy(dir string, from rundir.Dir, d report.Report, m *mask.Masker) error {
	tree, err := from.Tree()
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }()
	if err := os.MkdirAll(dir, rundir.DirMode); err != nil {
		return err
	}
	to, err := rundir.OpenTree(dir) // the jobs may see it, too
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }() // all that was written is closed
	c := copier{m, to}
	if err := c.all(filepath.Join(dir, "report"), tree, from.Report()); err != nil {
		return err
	}
	left := int64(totalSize)
	if d.Result == report.ResultInterrupted && d.ExitCode != exit.Infra {
		left = 0 // seconds are left
	}
	for _, name := range linked(d) {
		n, err := c.cut(filepath.Join(dir, name), tree, filepath.Join(string(from), name), left)
		// A link of a file that was not collected is dead there too, and what is no file is none here.
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(*rundir.NodeError)) {
			return err
		}
		left -= n
	}
	return rundir.WriteJSON(filepath.Join(dir, ResultFile), Result{
		Schema: ResultSchema, Tool: d.Tool, RunID: d.RunID, RunDir: string(from), ExitCode: d.ExitCode, Result: d.Result,
		Word: label.Run(d.Decision, d.Counts), Headline: d.Headline,
		JUnit: "report/" + rundir.ReportJUnit, Summary: "report/" + rundir.ReportSummary, Index: "report/" + rundir.ReportIndex,
	})
}

// linked lists the files of the run directory that the report points at, each once.
func linked(d report.Report) []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		name = filepath.FromSlash(name)
		if filepath.IsLocal(name) && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, c := range d.Cases {
		for _, a := range c.Attempts {
			for _, r := range a.Roles {
				if r.Log != nil {
					add(r.Log.Path)
				}
			}
			for _, l := range a.Artifacts {
				add(l.Path)
			}
		}
	}
	return names
}

// copier copies files into a copy of the report.
type copier struct {
	mask *mask.Masker
	to   *rundir.Tree
}

// all copies the regular files below a directory.
func (c copier) all(to string, tree *rundir.Tree, from string) error {
	files := tree.FS(from)
	return fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		in, err := files.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		if info, err := in.Stat(); err != nil || info.Size() > maxPage {
			return cmp.Or(err, error(&rundir.SizeError{Path: filepath.Join(from, name), Limit: maxPage, Unit: "bytes"}))
		}
		return c.write(filepath.Join(to, filepath.FromSlash(name)), in)
	})
}

// cut copies a file, of a long one head and tail. left is how many bytes
// linked files may still take. It gives the bytes copied.
func (c copier) cut(to string, tree *rundir.Tree, from string, left int64) (int64, error) {
	in, err := tree.Open(from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	head, tail := int64(headSize), int64(tailSize)
	if left < head+tail {
		head, tail = 0, shortSize
	}
	size := info.Size()
	if size <= head+tail {
		return size, c.write(to, io.LimitReader(in, size))
	}
	cut := size - head - tail
	note := fmt.Sprintf("\n[… %d bytes cut here; the whole file is %s …]\n", cut, from)
	return head + tail, c.write(to, io.MultiReader(
		io.NewSectionReader(in, 0, head), strings.NewReader(note), io.NewSectionReader(in, head+cut, tail)))
}

// write does not sync: the copy can be made again, and on NFS thousands of
// syncs take minutes.
func (c copier) write(to string, r io.Reader) error {
	return c.to.WriteDerived(to, func(w io.Writer) error {
		masked := c.mask.Writer(w)
		if _, err := io.Copy(masked, r); err != nil {
			return err
		}
		return masked.Flush()
	})
}
