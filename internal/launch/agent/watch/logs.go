package watch

import (
	"cmp"
	"context"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/scan"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of what is looked at in the logs that servers write themselves.
const (
	growthEvery   = 5 * time.Second        // how often their sizes are asked for
	minGrowth     = 100 * time.Millisecond // at most
	workTail      = 1 << 20                // bytes at the end of a file in which a server's last word on its work is looked for
	checksOnly    = 64 << 10               // bytes: more than health checks write between two looks
	maxServerLogs = 16                     // files of one role
)

// Logs are those that the roles' own processes write below output/. They
// say what a role's output does not: pytest captures that. A file that grows is
// life, and what it says is evidence.
type Logs struct {
	output  string
	run     string // the run's directory in the attempt's
	attempt rundir.AttemptDir
	globs   [][]string         // by role index
	health  []scan.HealthCheck // likewise: what its server is asked for
	served  []string           // patterns of files that say that requests are being served
	every   time.Duration

	mu    sync.Mutex
	sizes map[string]int64
	grown []time.Time // by role index: when one of its files was last seen to have grown
	asked []time.Time // likewise: by nothing but health checks
	first time.Time   // when a request was first seen to be served
}

func newLogs(run rundir.RunDir, roles []Role, served []string, hang time.Duration) *Logs {
	s := &Logs{
		output: run.Output(), run: filepath.Base(string(run)), attempt: rundir.AttemptDir(filepath.Dir(string(run))),
		served: served, every: growthEvery, sizes: map[string]int64{}, grown: make([]time.Time, len(roles)), asked: make([]time.Time, len(roles)),
	}
	if hang > 0 {
		s.every = min(s.every, max(hang/8, minGrowth))
	}
	for _, r := range roles {
		s.globs, s.health = append(s.globs, r.Logs), append(s.health, scan.HealthCheck(cmp.Or(r.Health, defaultHealth)))
	}
	return s
}

// Watch notes which files grow, until ctx is done. It asks for sizes, and reads what is
// little: a benchmark must not be disturbed by being watched.
func (s *Logs) Watch(ctx context.Context, now func() time.Time) {
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

func (s *Logs) look(now time.Time) {
	tree, err := s.attempt.Tree()
	if err != nil {
		return // it is looked at again soon
	}
	defer func() { _ = tree.Close() }()
	names := s.names(tree)
	for i := range s.globs {
		for _, name := range matching(s.globs[i], names) {
			info, err := tree.Lstat(filepath.Join(s.output, name))
			if err != nil || !info.Mode().IsRegular() {
				continue // gone again
			}
			s.mu.Lock()
			before := s.sizes[name]
			s.sizes[name] = info.Size()
			s.mu.Unlock()
			switch {
			case s.lives(tree, name, s.health[i], before, info.Size()):
				s.grew(i, name, now)
			case info.Size() > before:
				s.mu.Lock()
				s.asked[i] = now
				s.mu.Unlock()
			}
		}
	}
}

// lives reports whether a file has grown by more than what an access log says of the
// node helper's own questions: a server whose engine is dead may well answer them.
func (s *Logs) lives(tree *rundir.Tree, name string, health scan.HealthCheck, before, size int64) bool {
	if size <= before {
		return false
	}
	if size-before > checksOnly {
		return true
	}
	text, err := tree.ReadAt(filepath.Join(s.output, name), before, int(size-before))
	return err != nil || !health.Only(string(text))
}

func (s *Logs) grew(role int, name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grown[role] = now
	if s.first.IsZero() && len(matching(s.served, []string{name})) > 0 {
		s.first = now
	}
}

// names lists the output directory.
func (s *Logs) names(tree *rundir.Tree) []string {
	entries, err := tree.List(s.output)
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
func (s *Logs) lastGrowth(role int) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grown[role]
}

// lastCheck is when one of a role's files was last seen to have grown by health checks alone.
func (s *Logs) lastCheck(role int) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[role]
}

// FirstServed is when a request was first seen to be served, zero = never.
func (s *Logs) FirstServed() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// work is on how many requests a role worked by the last word of its files, and
// whether they have one.
func (s *Logs) work(role int, say *regexp.Regexp) (int, bool) {
	tree, err := s.attempt.Tree()
	if err != nil {
		return 0, false
	}
	defer func() { _ = tree.Close() }()
	total, known := 0, false
	for _, file := range matching(s.globs[role], s.names(tree)) {
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

// Lines are what a role's files say, as blame wants it.
func (s *Logs) Lines(role int, name string, look *scan.Patterns) []blame.Line {
	tree, err := s.attempt.Tree()
	if err != nil {
		return nil // it says nothing, which is no evidence
	}
	defer func() { _ = tree.Close() }()
	var out []blame.Line
	for _, file := range matching(s.globs[role], s.names(tree)) {
		f, err := tree.Open(filepath.Join(s.output, file))
		if err != nil {
			continue
		}
		l := scan.New(name, path.Join(s.run, "output", file), s.attempt, look)
		l.Health = s.health[role]
		err = l.ReadEnd(f)
		_ = f.Close()
		if err != nil {
			continue
		}
		for _, line := range l.Explaining() {
			line.Server = true
			out = append(out, line)
		}
	}
	return out
}
