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
	there  bool  // it could be read
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
		sources, open, err := l.sources(status, r.Now)
		if err != nil {
			return err
		}
		over := !open || !l.Follow
		if err := l.round(shown, sources, w, over); err != nil {
			return err
		}
		if over {
			return nothing(shown)
		}
		if err := l.wait(ctx); err != nil {
			return err
		}
	}
}

// nothing is an error where no log is to be seen: silence would look like roles that have nothing to say.
func nothing(shown map[string]*source) error {
	for _, s := range shown {
		if s.there {
			return nil
		}
	}
	return errors.New("no log is here yet: no role has begun, or the jobs are behind a login node, from where logs come when an attempt is over")
}

// round prints what the logs have more than was printed. One that cannot be read is told of when it is over: the others
// are shown.
func (l Logs) round(shown map[string]*source, sources []*source, w io.Writer, over bool) error {
	tree, err := l.Dir.Tree()
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }() // only read from
	var bad []error
	for _, s := range sources {
		if shown[s.path] == nil {
			shown[s.path] = s
		}
		if s = shown[s.path]; s.bad == nil {
			s.bad = l.more(tree, s, w, over)
		}
		bad = append(bad, s.bad)
	}
	if !over {
		return nil
	}
	return errors.Join(bad...)
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
func (l Logs) sources(s Status, now time.Time) (out []*source, open bool, err error) {
	cases, err := l.cases(s)
	if err != nil {
		return nil, false, err
	}
	var known []string
	for _, c := range cases {
		open = open || s.maySay(c, now)
		for _, role := range c.Roles {
			known = append(known, role.Name)
			if l.Role == "" || strings.EqualFold(l.Role, role.Name) {
				path := rundir.AttemptDir(c.Dir).Run(c.run).RoleLog(role.Name)
				out = append(out, &source{prefix: l.prefix(c, role, len(cases) > 1), path: path})
			}
		}
	}
	if l.Role != "" && len(out) == 0 && (len(known) > 0 || !open) {
		slices.Sort(known)
		return nil, false, fmt.Errorf("no role %q%s", l.Role, Meant(l.Role, strings.Join(slices.Compact(known), "\n"), "roles"))
	}
	return out, open, nil
}

// agentSilent is after how long without a sign of life, which comes every few seconds, an agent is taken for gone:
// killed, it says no end. Clocks of machines and caches of file systems are far less apart.
const agentSilent = 5 * time.Minute

// maySay reports whether anything may still be added to the logs of a case: where nobody drives the run, no further job
// is started.
func (s Status) maySay(c Case, now time.Time) bool {
	switch s.State {
	case Ended, Interrupted:
		return false
	case Running:
		return c.State == rundir.CaseWaiting || c.goesOn()
	default:
		return c.goesOn() && c.Over == nil && (c.Beat == nil || now.Sub(*c.Beat) < agentSilent)
	}
}

// prefix begins the lines of a role where several are shown.
func (l Logs) prefix(c Case, role Role, several bool) string {
	text := ""
	if several {
		text = rundir.ShortID(c.ID) + " "
	}
	if l.Role == "" {
		text += "[" + role.Name + "] "
	}
	return text
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
		if err != nil {
			return notThere(err)
		}
		s.there = true
		s.at += int64(len(data))
		s.rest = append(s.rest, data...)
		if err := l.lines(w, s, len(data) == 0 && last); err != nil || len(data) == 0 {
			return err
		}
	}
}

// lines prints the whole lines that were read; all says that no line will be longer.
func (l Logs) lines(w io.Writer, s *source, all bool) error {
	for {
		line, rest, whole := bytes.Cut(s.rest, []byte("\n"))
		if !whole && (len(line) == 0 || !all && len(line) < logStep) {
			return nil
		}
		s.rest = rest
		if err := l.line(w, s, line); err != nil {
			return err
		}
	}
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
