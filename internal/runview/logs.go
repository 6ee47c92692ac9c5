package runview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Logs are what is to be shown of what the roles of a run print.
type Logs struct {
	Dir    rundir.Dir
	Case   string // id, end of an id, or slug; "" = all
	Role   string // "" = all
	Lines  int    // the last so many of each log to begin with; below 0 = all
	Follow bool   // until the run, or the case, is over
	Clean  bool   // a terminal reads them: control characters are spelt out
	Poll   time.Duration
}

// tail bounds what is read of a log's end, and step what is read at a time.
const (
	logTail = 8 << 20
	logStep = 1 << 20
)

// source is a log of an attempt that is shown.
type source struct {
	prefix string
	path   string
	at     int64
	rest   []byte // a line without its end
	begun  bool
	bad    error // why it cannot be read
}

// Show prints the logs, and what is added to them.
func (r Reader) Show(ctx context.Context, l Logs, w io.Writer, now func() time.Time) error {
	shown := map[string]*source{}
	for {
		r.Now = now()
		status, err := r.Status(l.Dir)
		if err != nil {
			return err
		}
		sources, open, err := l.sources(status)
		if err != nil {
			return err
		}
		tree, err := l.Dir.Tree()
		if err != nil {
			return err
		}
		var bad []error // those of the other logs are shown
		for _, s := range sources {
			if shown[s.path] == nil {
				shown[s.path] = s
			}
			if s = shown[s.path]; s.bad == nil {
				s.bad = l.more(tree, s, w, !open || !l.Follow)
			}
			bad = append(bad, s.bad)
		}
		if err := tree.Close(); err != nil || !l.Follow || !open {
			return errors.Join(append(bad, err)...)
		}
		if err := l.wait(ctx); err != nil {
			return err
		}
	}
}

func (l Logs) wait(ctx context.Context) error {
	t := time.NewTimer(l.Poll)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// sources are the logs of the newest attempts. open reports that something may still be added.
func (l Logs) sources(s Status) (out []*source, open bool, err error) {
	cases, err := l.cases(s)
	if err != nil {
		return nil, false, err
	}
	known := map[string]bool{}
	for _, c := range cases {
		open = open || c.State == rundir.CaseWaiting || c.State == rundir.CaseRunning
		if c.Attempt == 0 {
			continue
		}
		run := rundir.AttemptDir(c.Dir).Run(c.run)
		for _, role := range c.Roles {
			known[role.Name] = true
			if l.Role != "" && !strings.EqualFold(l.Role, role.Name) {
				continue
			}
			prefix := ""
			if l.Role == "" {
				prefix = "[" + role.Name + "] "
			}
			if len(cases) > 1 {
				prefix = rundir.ShortID(c.ID) + " " + prefix
			}
			out = append(out, &source{prefix: prefix, path: run.RoleLog(role.Name)})
		}
	}
	if s.State == Ended || s.State == Interrupted {
		open = false
	}
	if l.Role != "" && len(out) == 0 && (len(known) > 0 || !open) {
		names := make([]string, 0, len(known))
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, false, fmt.Errorf("no role %q%s", l.Role, Meant(l.Role, strings.Join(names, "\n"), "roles"))
	}
	return out, open, nil
}

// cases are those that are meant.
func (l Logs) cases(s Status) ([]Case, error) {
	if l.Case == "" {
		return s.List, nil
	}
	var ids []string
	var out []Case
	for _, c := range s.List {
		if l.Case == c.ID || l.Case == c.Slug || l.Case == rundir.ShortID(c.ID) {
			return []Case{c}, nil
		}
		if strings.Contains(c.ID, l.Case) {
			out = append(out, c)
		}
		ids = append(ids, rundir.ShortID(c.ID))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("run %s has no case %q%s", s.ID, l.Case, Meant(l.Case, strings.Join(ids, "\n"), "cases"))
	}
	return out, nil
}

// more prints what a log has more than was printed of it. last says that nothing will be added.
func (l Logs) more(tree *rundir.Tree, s *source, w io.Writer, last bool) error {
	if !s.begun {
		if err := l.begin(tree, s); err != nil {
			return notThere(err)
		}
		s.begun = true
	}
	for {
		data, err := tree.ReadAt(s.path, s.at, logStep)
		if err != nil && !errors.Is(err, io.EOF) {
			return notThere(err)
		}
		s.at += int64(len(data))
		s.rest = append(s.rest, data...)
		for {
			line, rest, ok := bytes.Cut(s.rest, []byte("\n"))
			if !ok {
				break
			}
			if err := l.line(w, s, line); err != nil {
				return err
			}
			s.rest = rest
		}
		if len(data) == 0 {
			break
		}
		if len(s.rest) > logStep { // a line without an end
			if err := l.line(w, s, s.rest); err != nil {
				return err
			}
			s.rest = nil
		}
	}
	if last && len(s.rest) > 0 {
		line := s.rest
		s.rest = nil
		return l.line(w, s, line)
	}
	return nil
}

// begin leaves out all but the last lines.
func (l Logs) begin(tree *rundir.Tree, s *source) error {
	if l.Lines < 0 {
		return nil
	}
	info, err := tree.Lstat(s.path)
	if err != nil {
		return err
	}
	data, _, err := tree.Tail(s.path, logTail)
	if err != nil {
		return err
	}
	keep := len(data)
	for n := 0; keep > 0; keep-- {
		if data[keep-1] == '\n' && keep < len(data) {
			if n++; n == l.Lines {
				break
			}
		}
	}
	if l.Lines == 0 {
		keep = len(data)
	}
	s.at = max(0, info.Size()-int64(len(data)-keep))
	return nil
}

// notThere passes over a log that has not begun yet.
func notThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (l Logs) line(w io.Writer, s *source, line []byte) error {
	text := string(bytes.TrimSuffix(line, []byte("\r")))
	if l.Clean {
		text = strings.ReplaceAll(clean(strings.ReplaceAll(text, "\t", "        ")), "<U+001B>", "^[")
	}
	_, err := fmt.Fprintf(w, "%s%s\n", s.prefix, text)
	return err
}
