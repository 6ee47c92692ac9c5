package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/bench/steps"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Found is everything that Gather read.
type Found struct {
	Results  []Result  // one per point: what one client said twice (text and JSON) is one result
	Files    []string  // that held results
	Ignored  []string  // that held no known format
	Problems []Problem // files that broke off or could not be read
}

// Bounds on what is read. An output directory holds tens of files; the log of a
// generation server may have gigabytes.
const (
	maxFiles = 10_000
	maxSize  = 64 << 30
)

// Gather reads all benchmark outputs among the files and below the directories
// given, which a person or a plan has named: links in their own paths are
// followed, others are not. See GatherIn.
func (rd Reader) Gather(paths ...string) (Found, error) {
	var found Found
	for _, name := range paths {
		resolved, err := filepath.EvalSymlinks(name)
		if err != nil {
			return found, err
		}
		info, err := os.Lstat(resolved)
		if err != nil {
			return found, err
		}
		switch {
		case info.IsDir():
			err = rd.gatherIn(&found, resolved, name, ".")
		case info.Mode().IsRegular():
			err = rd.gatherIn(&found, filepath.Dir(resolved), filepath.Dir(name), filepath.Base(resolved))
		default: // a pipe nobody writes to would be waited for until the build is killed
			err = fmt.Errorf("%s is neither a file nor a directory: write the benchmark's output to a file", name)
		}
		if err != nil {
			return found, err
		}
	}
	return found.complete(rd), nil
}

// GatherIn reads all benchmark outputs among the files and directories names,
// slash-separated and below dir. Nothing outside of dir is read: a link is
// followed to a regular file in dir and is a Problem otherwise, as is a pipe or
// a device.
//
// Files of a directory that hold no known format are listed and passed over; a
// file that was named and holds none is a Problem. Broken files are Problems,
// and what could be read of them counts.
func (rd Reader) GatherIn(dir string, names ...string) (Found, error) {
	var found Found
	err := rd.gatherIn(&found, dir, dir, names...)
	return found.complete(rd), err
}

// complete combines what was found, and reports what was looked for if that is
// nothing.
func (f Found) complete(rd Reader) Found {
	f.Results = Combine(f.Results)
	if len(f.Results)+len(f.Problems) == 0 && len(f.Ignored) > 0 {
		f.Problems = []Problem{{File: f.Ignored[0], Text: fmt.Sprintf("%v (%d files)%s", ErrUnrecognised, len(f.Ignored), rd.lookedFor())}}
	}
	return f
}

// gatherIn reads dir, which messages and results call shown.
func (rd Reader) gatherIn(found *Found, dir, shown string, names ...string) error {
	if len(rd.Metrics.All()) == 0 {
		rd.Metrics = metric.Default()
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	g := gatherer{rd: rd, files: tree{root}, shown: shown, found: found}
	for _, name := range names {
		if err := g.walk(name); err != nil {
			return errors.Join(err, root.Close())
		}
	}
	return root.Close()
}

// gatherer reads the files of one directory.
type gatherer struct {
	rd    Reader
	files tree
	shown string // how messages and results call the directory
	found *Found
	count int
}

func (g *gatherer) walk(name string) error {
	return fs.WalkDir(g.files, name, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		if g.count++; g.count > maxFiles {
			return fmt.Errorf("%s: more than %d files", g.path(name), maxFiles)
		}
		g.file(at, at == name)
		return nil
	})
}

func (g *gatherer) path(name string) string { return filepath.Join(g.shown, filepath.FromSlash(name)) }

func (g *gatherer) problem(name, format string, args ...any) {
	g.found.Problems = append(g.found.Problems, Problem{File: g.path(name), Text: fmt.Sprintf(format, args...)})
}

// file reads one file. named: the caller asked for it.
func (g *gatherer) file(name string, named bool) {
	f, err := g.files.open(name)
	if err != nil {
		g.problem(name, "%v", err)
		return
	}
	shown := g.path(name)
	results, err := g.rd.Read(f, shown)
	err = errors.Join(err, f.Close())
	if IsGenLog(name) && !slices.ContainsFunc(results, isSteps) && (err == nil || errors.Is(err, ErrUnrecognised)) {
		// A server that logged no iteration is not passed over in silence.
		results = append(results, Result{Format: FormatSteps, File: shown, Steps: &steps.Log{Tokens: -1}})
		g.found.Results = append(g.found.Results, results[len(results)-1])
		results, named = results[:len(results)-1], false
	}
	switch {
	case errors.Is(err, ErrUnrecognised) && !named:
		g.found.Ignored = append(g.found.Ignored, shown)
	case err != nil:
		p := problemOf(err)
		if p.File = shown; errors.Is(err, ErrUnrecognised) {
			p.Text += g.rd.lookedFor()
		}
		g.found.Problems = append(g.found.Problems, p)
	}
	if len(results) > 0 {
		g.found.Files = append(g.found.Files, shown)
		g.found.Results = append(g.found.Results, results...)
	}
}

func isSteps(r Result) bool { return r.Format == FormatSteps }

// IsGenLog reports whether a file is named as the log of a generation server.
func IsGenLog(name string) bool {
	for _, pattern := range []string{"gen_server_[0-9]*.log", "output_gen_[0-9]*.log"} {
		if ok, _ := path.Match(pattern, path.Base(name)); ok {
			return true
		}
	}
	return false
}
