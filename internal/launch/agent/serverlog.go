package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of what is looked at in the logs that servers write themselves.
const (
	growthEvery   = 5 * time.Second        // how often their sizes are asked for
	minGrowth     = 100 * time.Millisecond // at most
	workTail      = 256 << 10              // bytes at the end of a file in which a server's last word on its work is looked for
	maxServerLogs = 16                     // files of one role
	maxServerLog  = 64 << 20               // bytes at the end of a file that are searched
	readChunk     = 256 << 10
)

// serverLogs are the logs that the roles' own processes write below output/. They
// say what a role's output does not: pytest captures that. A file that grows is
// life, and what it says is evidence.
type serverLogs struct {
	output  string
	run     string // the run's directory in the attempt's
	attempt rundir.AttemptDir
	globs   [][]string // by role index
	served  []string   // patterns of files that say that requests are being served
	every   time.Duration

	mu    sync.Mutex
	sizes map[string]int64
	grown []time.Time // by role index: when one of its files was last seen to have grown
	first time.Time   // when a request was first seen to be served
}

func newServerLogs(run rundir.RunDir, specs []stepSpec, p rundir.Plan) *serverLogs {
	s := &serverLogs{
		output: run.Output(), run: filepath.Base(string(run)), attempt: rundir.AttemptDir(filepath.Dir(string(run))),
		globs: make([][]string, len(specs)), served: p.Served, every: growthEvery,
		sizes: map[string]int64{}, grown: make([]time.Time, len(specs)),
	}
	if h := p.Hang.D(); h > 0 {
		s.every = min(s.every, max(h/8, minGrowth))
	}
	for i, spec := range specs {
		s.globs[i] = spec.role.Logs
	}
	return s
}

// watch notes which files grow, until ctx is done. It asks for sizes only: a
// benchmark must not be disturbed by being watched.
func (s *serverLogs) watch(ctx context.Context, now func() time.Time) {
	t := time.NewTicker(s.every)
	defer t.Stop()
	for {
		s.look(now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (s *serverLogs) look(now time.Time) {
	names := s.names()
	for i := range s.globs {
		for _, name := range matching(s.globs[i], names) {
			info, err := os.Stat(filepath.Join(s.output, name))
			if err != nil {
				continue // gone again
			}
			s.mu.Lock()
			if info.Size() > s.sizes[name] {
				s.grown[i] = now
				if s.first.IsZero() && len(matching(s.served, []string{name})) > 0 {
					s.first = now
				}
			}
			s.sizes[name] = info.Size()
			s.mu.Unlock()
		}
	}
}

// names lists the output directory.
func (s *serverLogs) names() []string {
	entries, err := os.ReadDir(s.output)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names
}

// matching are the names that one of the patterns matches, in their order.
func matching(globs, names []string) []string {
	var out []string
	for _, name := range names {
		fits := func(glob string) bool { ok, err := path.Match(glob, name); return ok && err == nil }
		if len(out) < maxServerLogs && slices.ContainsFunc(globs, fits) {
			out = append(out, name)
		}
	}
	return out
}

// lastGrowth is when one of a role's files was last seen to have grown.
func (s *serverLogs) lastGrowth(role int) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grown[role]
}

// firstServed is when a request was first seen to be served, zero = never.
func (s *serverLogs) firstServed() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// work is on how many requests a role worked by the last word of its files, and
// whether they have one.
func (s *serverLogs) work(role int, say *regexp.Regexp) (int, bool) {
	tree, err := rundir.OpenTree(s.output)
	if err != nil {
		return 0, false
	}
	defer func() { _ = tree.Close() }()
	total, known := 0, false
	for _, file := range matching(s.globs[role], s.names()) {
		text, _, err := tree.Tail(filepath.Join(s.output, file), workTail)
		if err != nil {
			continue
		}
		if all := say.FindAllSubmatch(text, -1); len(all) > 0 {
			n, err := strconv.Atoi(string(all[len(all)-1][1]))
			if err == nil {
				total, known = total+n, true
			}
		}
	}
	return total, known
}

// lines are what a role's files say, as blame wants it.
func (s *serverLogs) lines(role int, name string, look *lookout) []blame.Line {
	tree, err := rundir.OpenTree(s.output)
	if err != nil {
		return nil // it says nothing, which is no evidence
	}
	defer func() { _ = tree.Close() }()
	var out []blame.Line
	for _, file := range matching(s.globs[role], s.names()) {
		f, err := tree.Open(filepath.Join(s.output, file))
		if err != nil {
			continue
		}
		scan := newScan(name, path.Join(s.run, "output", file), s.attempt, look)
		err = scan.read(f)
		_ = f.Close()
		if err != nil {
			continue
		}
		for _, line := range scan.explaining() {
			line.Server = true
			out = append(out, line)
		}
	}
	return out
}

// read looks through the end of a file; its lines are numbered from the beginning.
func (s *logScan) read(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if skip := info.Size() - maxServerLog; skip > 0 {
		if s.st.lines, err = countLines(f, skip); err != nil {
			return err
		}
	}
	buf := make([]byte, readChunk)
	for in := io.LimitReader(f, maxServerLog); ; {
		n, err := in.Read(buf)
		s.take(buf[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// countLines reads n bytes and counts the lines that end in them.
func countLines(r io.Reader, n int64) (int, error) {
	count, buf := 0, make([]byte, readChunk)
	for n > 0 {
		k, err := r.Read(buf[:min(n, readChunk)])
		count += bytes.Count(buf[:k], []byte{'\n'})
		if n -= int64(k); err != nil {
			return count, err
		}
	}
	return count, nil
}
