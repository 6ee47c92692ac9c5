package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A copy of the report is what Jenkins archives: whole pages, but of a long log
// only its head and tail, which name the original.
const (
	copyHead  = 1 << 20   // bytes kept of the head of a longer file
	copyTail  = 3 << 20   // and of its tail
	copyTotal = 512 << 20 // bytes of linked files; behind that, and on the way out of an interrupted run, only short tails
	copyShort = 64 << 10
)

// copyResult is the small file in a copy that a caller reads back.
const copyResult = "result.json"

// resultSchema is the version of that file.
const resultSchema = 1

// result is copyResult: how the run ended, for a caller that has no use for the
// whole verdict.json. Paths are relative to the copy; they are empty when there
// is no report.
type result struct {
	Schema   int    `json:"schema"`
	Tool     string `json:"tool"` // ci-disagg version
	RunID    string `json:"run_id"`
	RunDir   string `json:"run_dir"`
	ExitCode int    `json:"exit_code"`
	Result   string `json:"result"`   // as in verdict.json; "error" when there is no report
	Headline string `json:"headline"` // one sentence: what happened
	JUnit    string `json:"junit"`
	Summary  string `json:"summary"`
	Index    string `json:"index"`
}

// copyFlags say where a copy of the report goes.
type copyFlags struct{ copyTo string }

// AddFlags registers the flags.
func (o *copyFlags) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.copyTo, "copy-report", "", "directory for a copy of the report and of the files it links to, such as one in the workspace; result.json there says how the run ended")
}

// around runs a verb that may copy its report, and leaves result.json also when
// there was nothing to report.
func (o *copyFlags) around(h host, verb func() error) error {
	if o.copyTo == "" {
		return verb()
	}
	dir, err := absPath(h, o.copyTo)
	if err != nil {
		return usageErr(err)
	}
	o.copyTo = dir
	if err := clearCopy(dir); err != nil {
		return usageErr(fmt.Errorf("--copy-report: %w", err))
	}
	err = verb()
	if err == nil {
		return nil
	}
	file := filepath.Join(dir, copyResult)
	if _, statErr := os.Stat(file); statErr == nil {
		return err
	}
	res := result{Schema: resultSchema, Tool: buildVersion(), ExitCode: exitUsage, Result: "error", Headline: err.Error()}
	var end *endError
	if errors.As(err, &end) {
		res.ExitCode = end.code
	}
	if writeErr := rundir.WriteJSON(file, res); writeErr != nil {
		fmt.Fprintf(h.stderr, "ci-disagg: --copy-report: %v\n", writeErr)
	}
	return err
}

// copyMark is the first file of a copy: what stands beside it may be removed.
const copyMark = ".ci-disagg-copy"

// clearCopy makes dir ready: an earlier copy in it goes, also one that was cut
// short, so that nobody takes it for this run's. A directory that holds anything
// and no mark of ours is refused.
func clearCopy(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ours := len(entries) == 0
	for _, e := range entries {
		ours = ours || e.Name() == copyMark
	}
	if !ours {
		return fmt.Errorf("%s holds files that are no earlier copy: give an empty directory", dir)
	}
	if err := os.RemoveAll(filepath.Join(dir, "report")); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, "cases")); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, copyResult)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return rundir.WriteFile(filepath.Join(dir, copyMark), nil, rundir.FileMode)
}

// copyReport copies the report of a run directory, and what it links to, to dir.
// The layout stays, so that the links work. result.json comes last.
func copyReport(dir string, from rundir.Dir, d report.Report) error {
	if dir == "" {
		return nil
	}
	if err := copyTree(filepath.Join(dir, "report"), from.Report()); err != nil {
		return err
	}
	left := int64(copyTotal)
	if d.Result == "interrupted" {
		left = 0 // seconds are left
	}
	for _, name := range linked(d) {
		n, err := copyCut(filepath.Join(dir, name), filepath.Join(string(from), name), left)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a link of a file that was not collected is dead there too
			return err
		}
		left -= n
	}
	return rundir.WriteJSON(filepath.Join(dir, copyResult), result{
		Schema: resultSchema, Tool: d.Tool, RunID: d.RunID, RunDir: string(from), ExitCode: d.ExitCode, Result: d.Result, Headline: d.Headline,
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
		for _, l := range c.Artifacts {
			add(l.Path)
		}
	}
	return names
}

func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		return writeCopy(filepath.Join(to, rel), in)
	})
}

// copyCut copies a file, of a long one head and tail. left is how many bytes
// linked files may still take. It gives the bytes copied.
func copyCut(to, from string, left int64) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, err
	}
	head, tail := int64(copyHead), int64(copyTail)
	if left < head+tail {
		head, tail = 0, copyShort
	}
	size := info.Size()
	if size <= head+tail {
		return size, writeCopy(to, io.LimitReader(in, size))
	}
	cut := size - head - tail
	note := fmt.Sprintf("\n[… %d bytes cut here; the whole file is %s …]\n", cut, from)
	return head + tail, writeCopy(to, io.MultiReader(
		io.NewSectionReader(in, 0, head), strings.NewReader(note), io.NewSectionReader(in, head+cut, tail)))
}

// writeCopy does not sync: the copy can be made again, and on NFS thousands of
// syncs take minutes.
func writeCopy(to string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(to), rundir.DirMode); err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return rundir.WriteDerived(to, data, rundir.FileMode)
}
