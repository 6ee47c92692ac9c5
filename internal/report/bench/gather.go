package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Found is everything that Gather read.
type Found struct {
	Results  []Result  // one per point: what one client said twice (text and JSON) is one result
	Files    []string  // that held results
	Ignored  []string  // that held no known format
	Problems []Problem // files that broke off or could not be read
}

// maxFiles bounds a directory walk: an output directory holds tens of files.
const maxFiles = 10_000

// Gather reads all benchmark outputs among the files and below the directories
// given. Files of a directory that hold no known format are listed and passed
// over; a file named by the caller that holds none is a Problem. Broken files
// are Problems, and what could be read of them counts.
func (rd Reader) Gather(paths ...string) (Found, error) {
	var found Found
	if len(rd.Metrics.All()) == 0 {
		rd.Metrics = metric.Default()
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return found, err
		}
		switch {
		case info.Mode().IsRegular():
			rd.gatherAny(&found, path, true)
			continue
		case !info.IsDir(): // a pipe nobody writes to would be waited for until the build is killed
			return found, fmt.Errorf("%s is neither a file nor a directory: write the benchmark's output to a file", path)
		}
		files, err := regularFiles(path)
		if err != nil {
			return found, err
		}
		for _, f := range files {
			rd.gatherAny(&found, f, false)
		}
	}
	found.Results = Combine(found.Results)
	return found, nil
}

// gatherAny picks the reader by the file's name where that is cheaper.
func (rd Reader) gatherAny(found *Found, path string, named bool) {
	if IsGenLog(path) {
		rd.gatherSteps(found, path)
		return
	}
	rd.gatherFile(found, path, named)
}

func (rd Reader) gatherFile(found *Found, path string, named bool) {
	f, err := os.Open(path)
	if err != nil {
		found.Problems = append(found.Problems, Problem{File: path, Text: err.Error()})
		return
	}
	results, err := rd.Read(f, path)
	err = errors.Join(err, f.Close())
	switch {
	case errors.Is(err, ErrUnrecognised) && !named:
		found.Ignored = append(found.Ignored, path)
	case err != nil:
		p := Problem{File: path, Text: strings.TrimPrefix(err.Error(), path+": ")}
		errors.As(err, &p)
		found.Problems = append(found.Problems, p)
	}
	if IsGenLog(path) { // its iterations have been read
		results = slices.DeleteFunc(results, func(r Result) bool { return r.Format == FormatSteps })
	}
	if len(results) > 0 {
		found.Files = append(found.Files, path)
		found.Results = append(found.Results, results...)
	}
}

// gatherSteps reads a generation server's log with the reader made for it.
func (rd Reader) gatherSteps(found *Found, path string) {
	w, err := workerSteps(Worker{File: path})
	if err != nil {
		found.Problems = append(found.Problems, Problem{File: path, Text: err.Error()})
		return
	}
	found.Results = append(found.Results, w.asResult(rd.Metrics))
	switch {
	case w.tables: // an aggregated case: server and client write into one log
		rd.gatherFile(found, path, true)
	case w.Used > 0:
		found.Files = append(found.Files, path)
	default:
		found.Ignored = append(found.Ignored, path)
	}
}

// regularFiles lists the files below dir in byte order; linked directories are
// not entered.
func regularFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 { // a role's log may be linked in; a dead link is no file
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() {
				return nil //nolint:nilerr // as said
			}
		} else if !d.Type().IsRegular() {
			return nil
		}
		if len(files) >= maxFiles {
			return fmt.Errorf("%s: more than %d files", dir, maxFiles)
		}
		files = append(files, path)
		return nil
	})
	slices.Sort(files)
	return files, err
}
