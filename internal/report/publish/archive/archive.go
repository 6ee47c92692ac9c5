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
	for _, name := range []string{ResultFile, "report", "cases"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return rundir.WriteFile(filepath.Join(dir, mark), nil, rundir.FileMode)
}

// Failed leaves the result of a process that ended with code and has copied no report that says so. What the copy says
// otherwise goes: an earlier report, of before the run was over.
func Failed(dir, tool string, code int, why error) error {
	file := filepath.Join(dir, ResultFile)
	var left error
	if to, err := rundir.OpenTree(dir); err == nil { // else it is not there yet
		defer func() { _ = to.Close() }()
		var told Result
		if to.ReadJSON(file, &told) == nil && told.ExitCode == code {
			return nil
		}
		left = silence(to, dir)
	}
	return errors.Join(left, rundir.WriteJSON(file, Result{Schema: ResultSchema, Tool: tool, ExitCode: code, Result: "error", Headline: why.Error()}))
}

// Copy copies the report of a run directory, and what it links to, to dir. The values of secrets are masked. Where it
// fails, nothing in dir says how the run ended: Tell does, once the report says that it could not be copied.
func Copy(dir string, from rundir.Dir, d report.Report, m *mask.Masker) error {
	return in(dir, from, d, m, func(c copier) error {
		if err := c.all(); err != nil {
			return err
		}
		return c.linked(d)
	})
}

// Tell copies of a report only what says how the run ended.
func Tell(dir string, from rundir.Dir, d report.Report, m *mask.Masker) error {
	return in(dir, from, d, m, func(c copier) error {
		files := c.from.FS(c.dir.Report())
		for _, name := range ends() {
			if err := c.page(files, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// in copies parts of a report, and then writes its result. What says how the run ended is from now, or there is none.
func in(dir string, from rundir.Dir, d report.Report, m *mask.Masker, parts func(copier) error) error {
	if err := os.MkdirAll(dir, rundir.DirMode); err != nil {
		return err
	}
	to, err := rundir.OpenTree(dir) // the jobs may see it, too
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }() // all that was written is closed
	if err := silence(to, dir); err != nil {
		return err
	}
	tree, err := from.Tree()
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }()
	err = parts(copier{mask: m, from: tree, dir: from, to: to, at: dir})
	if err == nil {
		err = rundir.WriteJSON(filepath.Join(dir, ResultFile), Result{
			Schema: ResultSchema, Tool: d.Tool, RunID: d.RunID, RunDir: string(from), ExitCode: d.ExitCode, Result: d.Result,
			Word: label.Run(d.Decision, d.Counts), Headline: d.Headline,
			JUnit: "report/" + rundir.ReportJUnit, Summary: "report/" + rundir.ReportSummary, Index: "report/" + rundir.ReportIndex,
		})
	}
	if err != nil {
		err = errors.Join(err, silence(to, dir))
	}
	return err
}

// ends are the files of a report that say how the run ended.
func ends() []string {
	return []string{rundir.ReportJUnit, rundir.ReportVerdict, rundir.ReportSummary, rundir.ReportIndex}
}

// silence removes from a copy what says how the run ended, and what stands in the place of its report.
func silence(to *rundir.Tree, dir string) error {
	pages := filepath.Join(dir, "report")
	errs := []error{to.RemoveAll(filepath.Join(dir, ResultFile))}
	for _, name := range ends() {
		err := to.RemoveAll(filepath.Join(pages, name))
		if errors.As(err, new(*rundir.NodeError)) {
			err = to.Remove(pages)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// linkedBy lists the files of the run directory that the report points at, each once.
func linkedBy(d report.Report) []string {
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
	from *rundir.Tree // of dir
	dir  rundir.Dir
	to   *rundir.Tree // of at
	at   string
}

// all copies the regular files of the report.
func (c copier) all() error {
	files := c.from.FS(c.dir.Report())
	return fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		return c.page(files, name)
	})
}

// page copies a file of the report.
func (c copier) page(files fs.FS, name string) error {
	in, err := files.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if info, err := in.Stat(); err != nil || info.Size() > maxPage {
		return cmp.Or(err, error(&rundir.SizeError{Path: filepath.Join(c.dir.Report(), name), Limit: maxPage, Unit: "bytes"}))
	}
	return c.write(filepath.Join("report", filepath.FromSlash(name)), in)
}

// linked copies what the report links to.
func (c copier) linked(d report.Report) error {
	left := int64(totalSize)
	if d.Result == report.ResultInterrupted && d.ExitCode != exit.Infra {
		left = 0 // seconds are left
	}
	for _, name := range linkedBy(d) {
		n, err := c.cut(name, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// cut copies a file, of a long one head and tail. left is how many bytes linked files may still take. It gives the
// bytes copied. The link of a file that was not collected is dead there too, and what is no file is none here; one that
// cannot be read says so itself.
func (c copier) cut(name string, left int64) (int64, error) {
	from := filepath.Join(string(c.dir), name)
	in, err := c.from.Open(from)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*rundir.NodeError)) {
		return 0, nil
	}
	if err != nil {
		return 0, c.write(name, &lasting{note: unread(err)})
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return 0, c.write(name, &lasting{note: unread(err)})
	}
	head, tail := int64(headSize), int64(tailSize)
	if left < head+tail {
		head, tail = 0, shortSize
	}
	size := info.Size()
	if size <= head+tail {
		return size, c.write(name, &lasting{r: io.LimitReader(in, size)})
	}
	cut := size - head - tail
	note := fmt.Sprintf("\n[… %d bytes cut here; the whole file is %s …]\n", cut, from)
	return head + tail, c.write(name, &lasting{r: io.MultiReader(
		io.NewSectionReader(in, 0, head), strings.NewReader(note), io.NewSectionReader(in, head+cut, tail))})
}

// lasting reads as far as that goes, and then why it does not go further.
type lasting struct {
	r    io.Reader
	note io.Reader
}

func (l *lasting) Read(p []byte) (int, error) {
	if l.note != nil {
		return l.note.Read(p)
	}
	n, err := l.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		l.note, err = unread(err), nil
	}
	return n, err
}

func unread(err error) io.Reader {
	return strings.NewReader(fmt.Sprintf("\n[… cannot be read: %v …]\n", err))
}

// write does not sync: the copy can be made again, and on NFS thousands of
// syncs take minutes.
func (c copier) write(to string, r io.Reader) error {
	return c.to.WriteDerived(filepath.Join(c.at, to), func(w io.Writer) error {
		masked := c.mask.Writer(w)
		if _, err := io.Copy(masked, r); err != nil {
			return err
		}
		return masked.Flush()
	})
}
