package merge

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"runtime"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/merge/source"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Input are the files to merge.
type Input struct {
	Name  string // of the report, and prefix of the suite for broken files
	Files []File // in any order
	// Missing are names that were to be files and are none: each is a red case.
	Missing []Missing
}

// File is one input.
type File = source.File

// Missing is a name that stands for no file, and why.
type Missing struct{ Name, Why string }

// Policy is how a thing counts that is neither clearly good nor clearly bad.
type Policy = fold.Policy

// Caps bound the text of a report. Zero means the default.
type Caps = fold.Caps

// Options are the policy of a merge. The zero value is the default policy.
type Options struct {
	Caps       Caps
	NoCaps     bool             // cut nothing
	NoFold     bool             // keep cases of one name apart
	FoldReruns bool             // cases of one name in several files are attempts, in order of time
	AsNamed    bool             // with FoldReruns: in the order of Input.Files, whatever times they have
	Flaky      Policy           // of a case that passed only when repeated; default Pass
	Empty      Policy           // of a file without any case; default Fail
	Labels     []junit.Property // of every suite, and part of its name
	Audit      bool             // have go-junit read the finished report
	Dir        string           // where the report lies: of the spool, and for the paths of attachments; "" = the system's, and as they are
	Read       junit.ReadOptions
	Mode       fs.FileMode // of the report; default rundir.FileMode
}

// Result is what a merge did. In = Out - Synthetic + Folded.
type Result struct {
	Counts    junit.Counts
	Suites    []SuiteResult
	Files     []FileResult
	In        int // cases read
	Folded    int // cases that became part of another
	Synthetic int // cases that stand in no file
	Out       int // cases written
	Cut       int64
	Warnings  []string
	Bytes     int64
	Red       []RedCase // the first red cases, in report order
}

// RedCase is one red case of the report.
type RedCase struct{ Suite, Classname, Name, Message string }

// SuiteResult is one suite of the report.
type SuiteResult struct {
	Name   string
	Counts junit.Counts
}

// FileResult is one file that was read.
type FileResult struct {
	Path    string
	Cases   int
	Problem string // "" = well-formed
}

// merger is a report in the making.
type merger struct {
	o        Options
	in       Input
	spool    *source.Spool
	suites   []*suite
	byPath   map[string]*suite // by suitePath.key
	parts    []*part
	problems []*junit.Case // what is wrong with the inputs
	seed     maphash.Seed
	sum      Result
	cut      fold.Cutter
	warned   map[string]bool
	decided  []junit.Decision // of the cases of the report, if it is audited
}

// Files merges files into a report at path: temporary file, fsync, rename.
func Files(in Input, path string, o Options) (Result, error) {
	m, err := newMerger(in, o)
	if err != nil {
		return Result{}, err
	}
	err = m.run(path)
	return m.sum, errors.Join(err, m.spool.Close())
}

func newMerger(in Input, o Options) (*merger, error) {
	spool, err := source.NewSpool(o.Dir)
	o.Caps = o.Caps.WithDefaults()
	o.Mode = cmp.Or(o.Mode, rundir.FileMode)
	in.Name = cmp.Or(in.Name, "merged")
	in.Files = slices.Clone(in.Files)
	for i := range in.Files {
		in.Files[i].Shown, in.Files[i].Nth = cmp.Or(in.Files[i].Shown, in.Files[i].Path), i+1
	}
	slices.SortStableFunc(in.Files, func(x, y File) int { return fold.Natural(x.Shown, y.Shown) })
	in.Files = slices.CompactFunc(in.Files, func(x, y File) bool { return x.Path == y.Path && x.Content == nil && y.Content == nil })
	return &merger{
		o: o, in: in, byPath: make(map[string]*suite), warned: map[string]bool{}, seed: maphash.MakeSeed(),
		spool: spool, cut: fold.Cutter{Caps: o.Caps, Off: o.NoCaps},
	}, err
}

func (m *merger) run(path string) error {
	for i := range m.in.Files {
		if err := m.read(i); err != nil {
			return err
		}
	}
	runtime.GC() // so that a large case is not in memory twice: in the windows of the reader and of the spool
	m.lifecycle()
	m.suites = slices.DeleteFunc(m.suites, func(s *suite) bool {
		return len(s.entries)+len(s.texts)+len(s.head.properties.list) == 0
	})
	if err := m.fold(); err != nil {
		return err
	}
	m.name()
	if err := m.warnRepeated(); err != nil {
		return err
	}
	return m.place(path)
}

// place writes the report and gives it its name; one that the audit rejects gets
// another, and a red one stands in for it.
func (m *merger) place(path string) error {
	err := m.report(path, m.o.Audit)
	if errors.Is(err, junit.ErrAudit) {
		err = errors.Join(err, m.report(path+rejected, false), rundir.WriteStream(path, m.o.Mode, func(w io.Writer) error {
			_, err := junit.WriteDocument(w, junit.Rejected(m.in.Name, path+rejected, err))
			return err
		}))
	}
	return err
}

// rejected is the end of the name of a report that the audit has refused.
const rejected = ".rejected"

// report writes the report, again and again with more of its texts left out until it is
// under its limit, and has an independent reader find in it what was decided.
func (m *merger) report(path string, audited bool) error {
	warnings, err := m.cut.Fit(func() (size int64, err error) {
		err = rundir.WriteStream(path, m.o.Mode, func(w io.Writer) error {
			if size, err = m.write(w); err == nil && !m.cut.Fits(size) {
				err = errTooLarge
			}
			if r, ok := w.(io.ReaderAt); ok && audited && err == nil {
				err = junit.Audit(io.NewSectionReader(r, 0, size), slices.Values(m.decided))
			}
			return err
		})
		if errors.Is(err, errTooLarge) {
			err = nil
		}
		return size, err
	})
	for _, w := range warnings {
		m.warn("%s", w)
	}
	m.sum.Cut = m.cut.Cut
	return err
}

// errTooLarge keeps a report from getting its name that has to be written again.
var errTooLarge = errors.New("the report is larger than it may be")

// warn adds a warning once.
func (m *merger) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	if !m.warned[w] {
		m.warned[w], m.sum.Warnings = true, append(m.sum.Warnings, w)
	}
}
