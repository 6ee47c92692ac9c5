package points

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/bench/steps"
	"github.com/ci-disagg/ci-disagg/internal/report/figures"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Found is everything that Gather read.
type Found struct {
	Results  []bench.Result  // one per point: what one client said twice (text and JSON) is one result
	Files    []string        // that held results
	Ignored  []string        // that held no known format
	Problems []bench.Problem // files that broke off or could not be read
	Nothing  []bench.Problem // one that lists what was looked for, if no file held anything known
	Warnings []bench.Problem // what a person should know of results that count
}

// Reader reads the outputs of the benchmark clients of an attempt.
type Reader struct {
	bench.Reader
	// StepLogs are patterns of the names of files in which servers log their iterations:
	// of those, one that holds none is told. nil = those that TensorRT-LLM's tests write.
	StepLogs []string

	ColdStart    ColdStart // what is made of a cold first wave
	DiscardFirst bool      // a client that repeats a point warms up with the first run
}

// ColdStart is what becomes of a measurement whose first requests waited for something that the others did not: kernels
// that were compiled, caches that were filled.
type ColdStart string

// What can become of it.
const (
	ColdStartTell    ColdStart = "tell" // a warning; the default
	ColdStartInvalid ColdStart = "invalid"
	ColdStartOff     ColdStart = "off"
)

// UnmarshalText reads the value of perf.cold_start.
func (c *ColdStart) UnmarshalText(text []byte) error {
	*c = ColdStart(text)
	if !slices.Contains([]ColdStart{ColdStartTell, ColdStartInvalid, ColdStartOff}, *c) {
		return fmt.Errorf("%q is none of tell, invalid and off", text)
	}
	return nil
}

// Only is the reader that knows the formats of one name alone.
func (rd Reader) Only(name string) (_ Reader, err error) {
	rd.Reader, err = rd.Reader.Only(name)
	return rd, err
}

// Bounds on what is read. An output directory holds tens of files; the log of a generation server may have gigabytes.
const (
	maxFiles   = 10_000
	maxResults = 10_000
	maxSize    = 64 << 30
)

// Gather reads all benchmark outputs among the files and below the directories given, which a person has named: links
// in their own paths are followed. See GatherTree.
func (rd Reader) Gather(paths ...string) (Found, error) {
	g := gatherer{rd: rd}
	return g.all(paths, g.named)
}

// GatherTree reads all benchmark outputs among the files and below the directories of the tree. A link, pipe or device
// among them is a bench.Problem, except where links has the file of the tree that the link's path stands for: a role's
// log, say, that was linked into the outputs because hard links are not to be had.
//
// Files of a directory that hold no known format are listed and passed over; a file that was named and holds none is a
// bench.Problem. Broken files are Problems, and what could be read of them counts.
func (rd Reader) GatherTree(tree *rundir.Tree, links map[string]string, paths ...string) (Found, error) {
	g := gatherer{rd: rd, tree: tree, links: links}
	return g.all(paths, g.walk)
}

// gatherer collects what Gather finds.
type gatherer struct {
	rd    Reader
	tree  *rundir.Tree
	links map[string]string
	found Found
	count int
}

// all combines what each finds, and reports what was looked for if that is nothing.
func (g *gatherer) all(paths []string, each func(path string) error) (Found, error) {
	for _, path := range paths {
		if err := each(path); err != nil {
			return g.found, err
		}
	}
	f := g.found
	f.Results = Combine(f.Results)
	if g.rd.DiscardFirst {
		f = discardFirst(f)
	}
	for i := range f.Results {
		for _, r := range f.Results[i].Runs() {
			switch cold := (bench.Problem{File: r.File, Line: r.Line, Text: r.ColdStart}); {
			case cold.Text == "" || g.rd.ColdStart == ColdStartOff:
			case g.rd.ColdStart == ColdStartInvalid:
				f.Results[i].Problems = append(slices.Clip(f.Results[i].Problems), cold)
			default:
				f.Warnings = append(f.Warnings, cold)
			}
		}
	}
	if len(f.Results)+len(f.Problems) == 0 && len(f.Ignored) > 0 {
		f.Nothing = []bench.Problem{{File: f.Ignored[0], Text: fmt.Sprintf("%v (%d files)%s", bench.ErrUnrecognised, len(f.Ignored), g.rd.LookedFor())}}
	}
	return f, nil
}

// named reads what a person named, in a tree of its own.
func (g *gatherer) named(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	dir := path
	if !info.IsDir() {
		if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
			if path, err = filepath.EvalSymlinks(path); err != nil {
				return err
			}
		}
		dir = filepath.Dir(path)
	}
	if g.tree, err = rundir.OpenTree(dir); err != nil {
		return err
	}
	return errors.Join(g.walk(path), g.tree.Close())
}

// walk reads a file or all below a directory.
func (g *gatherer) walk(path string) error {
	info, err := g.tree.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		g.file(path, true)
		return nil
	}
	return fs.WalkDir(g.tree.FS(path), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if g.count++; g.count > maxFiles {
			return fmt.Errorf("%s: more than %d files", path, maxFiles)
		}
		g.file(filepath.Join(path, filepath.FromSlash(name)), false)
		return nil
	})
}

// file reads one file. named: the caller asked for it.
func (g *gatherer) file(path string, named bool) {
	f, err := g.open(path)
	if err != nil {
		g.problem(path, err)
		return
	}
	results, err := g.rd.Read(f, path)
	if err = errors.Join(err, f.Close()); len(g.found.Results)+len(results) > maxResults {
		results, err = nil, fmt.Errorf("more than %d results in all files", maxResults)
	}
	if g.rd.logsSteps(path) && !slices.ContainsFunc(results, isSteps) && (err == nil || errors.Is(err, bench.ErrUnrecognised)) {
		// A server that logged no iteration is not passed over in silence.
		g.found.Results = append(g.found.Results, bench.Result{Format: bench.FormatSteps, File: path, Steps: &steps.Log{Tokens: -1}})
		named = false
	}
	switch {
	case errors.Is(err, bench.ErrUnrecognised) && !named:
		g.found.Ignored = append(g.found.Ignored, path)
	case err != nil:
		g.problem(path, err)
	}
	for i, r := range results {
		results[i].Problems = slices.Concat(r.Problems, figures.Check(r))
	}
	if len(results) > 0 {
		g.found.Files = append(g.found.Files, path)
		g.found.Results = append(g.found.Results, results...)
	}
}

// open opens a regular file, or the one that a known link stands for.
func (g *gatherer) open(path string) (*os.File, error) {
	f, err := g.tree.Open(path)
	if node, ok := errors.AsType[*rundir.NodeError](err); ok && node.Is == rundir.NodeLink && g.links[path] != "" {
		f, err = g.tree.Open(g.links[path])
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > maxSize {
		err = fmt.Errorf("larger than %d GB", maxSize>>30)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (g *gatherer) problem(path string, err error) {
	p := bench.ProblemOf(path, err)
	if node, ok := errors.AsType[*rundir.NodeError](err); ok {
		mend := "write the benchmark's output to a regular file"
		if node.Is == rundir.NodeLink { // as a run directory has them in by-case/
			mend = "give what it leads to by its own path"
		}
		p.Text = fmt.Sprintf("is %s, not %s, and was not read: %s", node.Is, node.Want, mend)
	}
	if errors.Is(err, bench.ErrUnrecognised) {
		p.Text += g.rd.LookedFor()
	}
	g.found.Problems = append(g.found.Problems, p)
}

func isSteps(r bench.Result) bool { return r.Format == bench.FormatSteps }

// logsSteps reports whether a file is one in which a server was to log its iterations.
func (rd Reader) logsSteps(path string) bool {
	patterns := rd.StepLogs
	if patterns == nil {
		patterns = []string{"gen_server_[0-9]*.log", "output_gen_[0-9]*.log"} // of TensorRT-LLM's tests and launch drafts
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := filepath.Match(pattern, filepath.Base(path))
		return ok
	})
}
