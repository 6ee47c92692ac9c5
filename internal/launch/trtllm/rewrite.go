package trtllm

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/launch/bashword"
)

// roleFile is shell text for a file of the running role. It holds in role.sh,
// which names the role, and under a team's own draft, which only sets
// DISAGG_SERVING_TYPE. Results carry the task's number, because every task of a
// step runs the same text.
func roleFile(name string) string {
	return `"$CI_DISAGG_RUN/roles/${CI_DISAGG_ROLE:-${DISAGG_SERVING_TYPE:-AGG}}/` + name + `"`
}

// resultsFile is shell text for the n-th (from 0) pytest call of a command.
func resultsFile(n int) string {
	if n == 0 {
		return roleFile("results.${SLURM_PROCID:-0}.xml")
	}
	return roleFile("results.${SLURM_PROCID:-0}-" + strconv.Itoa(n+1) + ".xml")
}

// command is a piece of the user's shell text and what was found in it.
type command struct {
	text     string
	launcher bool // the launcher stands in a place where it is run
	pytest   bool // pytest is called in plain sight
	listed   bool // pytest takes its tests from a list
	coverage bool // coverage data would be written to a shared file
	calls    int  // commands in the text
}

// rewriteOptions say what to change in a command.
type rewriteOptions struct {
	launcher     string // base name of the launcher
	pytest       string // first word of how we call pytest ourselves
	dropLauncher bool
	redirect     bool // give every role its own result files
}

// maxCommand is below what Linux allows for one string of an environment, which
// is how drafts get their commands.
const maxCommand = 100_000

// rewrite parses shell text with a real parser and changes only the words that
// have to change; every other byte stays as it was.
func rewrite(src string, o rewriteOptions) (command, error) {
	if len(src) > maxCommand {
		return command{text: src}, fmt.Errorf("%d bytes is more than an environment variable can carry (%d)", len(src), maxCommand)
	}
	r := &rewriter{src: src, o: o}
	if err := r.run(); err != nil {
		return command{text: src}, err
	}
	out, err := apply(src, r.edits)
	r.found.text = out
	if err == nil && len(r.edits) > 0 {
		_, err = parse(out)
	}
	return r.found, err
}

func parse(src string) (*syntax.File, error) {
	if n := len(src) - len(strings.TrimRight(src, `\`)); n%2 == 1 {
		return nil, errors.New("not a bash command: it ends with a backslash, which would join it to what follows")
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(src), "")
	if err != nil {
		return nil, fmt.Errorf("not a bash command: %w", err)
	}
	return f, nil
}

// edit replaces src[from:to].
type edit struct {
	from, to int
	text     string
}

func apply(src string, edits []edit) (string, error) {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		if e.from < at || e.to < e.from || e.to > len(src) {
			return src, fmt.Errorf("cannot rewrite this command: nested changes at byte %d", e.from)
		}
		b.WriteString(src[at:e.from])
		b.WriteString(e.text)
		at = e.to
	}
	b.WriteString(src[at:])
	return b.String(), nil
}

type rewriter struct {
	src   string
	o     rewriteOptions
	edits []edit
	found command
	depth int
	err   error
}

func (r *rewriter) run() error {
	f, err := parse(r.src)
	if err != nil {
		return err
	}
	holder := ""                // variable that is set to the launcher
	var passed []*syntax.Assign // for one command's environment: the shell does not expand them
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			if len(n.Args) > 0 && r.err == nil {
				passed = append(passed, n.Assigns...)
				r.call(n)
			}
		case *syntax.Assign:
			if text := r.src[n.Pos().Offset():n.End().Offset()]; n.Name != nil && r.o.launcher != "" && strings.Contains(text, r.o.launcher) && !slices.Contains(passed, n) {
				holder = n.Name.Value
			}
		}
		return r.err == nil
	})
	if r.err == nil && holder != "" && !r.found.launcher {
		r.err = r.hidden(holder)
	}
	return r.err
}

// hidden is the error of a variable that may be the launcher.
func (r *rewriter) hidden(name string) error {
	return fmt.Errorf("nobody can tell before the run whether $%s is the launcher, and so how many tasks a worker gets: write %s, or its path, in its place", name, r.o.launcher)
}

// call looks at one command: words before pytest may be the launcher, words
// behind it are pytest's options.
func (r *rewriter) call(c *syntax.CallExpr) {
	r.found.calls++
	if r.nested(c) {
		return
	}
	at := r.pytestAt(c.Args)
	before := c.Args
	if at >= 0 {
		before = c.Args[:at]
	}
	for _, w := range before {
		switch {
		case program(w) == r.o.launcher:
			r.found.launcher = true
			if r.o.dropLauncher {
				r.drop(w)
			}
		case at >= 0 && launcherVariable(w) != "":
			r.err = r.hidden(launcherVariable(w))
		}
	}
	if at < 0 {
		return
	}
	n := 0
	if r.found.pytest {
		n = r.found.calls - 1 // a second pytest must not overwrite the first one's results
	}
	r.found.pytest = true
	r.options(c.Args[at+1:], c.Args[len(c.Args)-1], n)
}

// nested handles bash -c '…', whose text is a command itself.
func (r *rewriter) nested(c *syntax.CallExpr) bool {
	i := bashword.ShellText(c.Args)
	if i < 0 || r.depth > 3 {
		return false
	}
	inner, ok := bashword.Literal(c.Args[i])
	if !ok {
		return false
	}
	in := &rewriter{src: inner, o: r.o, depth: r.depth + 1}
	if err := in.run(); in.err != nil {
		r.err = in.err
		return true
	} else if err != nil || (!in.found.launcher && !in.found.pytest) {
		return false
	}
	out, err := apply(inner, in.edits)
	if err == nil && out != inner {
		var q string
		if q, err = syntax.Quote(out, syntax.LangBash); err == nil {
			r.replace(c.Args[i], q)
		}
	}
	r.err = err
	r.found.launcher = r.found.launcher || in.found.launcher
	r.found.pytest = r.found.pytest || in.found.pytest
	r.found.coverage = r.found.coverage || in.found.coverage
	r.found.listed = r.found.listed || in.found.listed
	return true
}

// pytestAt is the index of the word that calls pytest, or -1.
func (r *rewriter) pytestAt(args []*syntax.Word) int {
	for i, w := range args {
		switch base := program(w); {
		case base == "pytest", base == "py.test", base == "pytest-3", base == r.o.pytest && base != "python" && base != "python3":
			return i
		}
	}
	return -1
}

// replace puts text in the place of a word.
func (r *rewriter) replace(w *syntax.Word, text string) {
	r.edits = append(r.edits, edit{int(w.Pos().Offset()), int(w.End().Offset()), text})
}

// drop removes a word and the blanks behind it, or before it when it is last.
func (r *rewriter) drop(w *syntax.Word) {
	from, to := int(w.Pos().Offset()), int(w.End().Offset())
	end := to
	for end < len(r.src) {
		switch {
		case r.src[end] == ' ' || r.src[end] == '\t':
			end++
		case strings.HasPrefix(r.src[end:], "\\\n"):
			end += 2
		default:
			if end == to { // nothing behind: take the blanks before
				for from > 0 && (r.src[from-1] == ' ' || r.src[from-1] == '\t') {
					from--
				}
			}
			r.edits = append(r.edits, edit{from, end, ""})
			return
		}
	}
	for from > 0 && (r.src[from-1] == ' ' || r.src[from-1] == '\t') {
		from--
	}
	r.edits = append(r.edits, edit{from, end, ""})
}

// program is the base name of the program that a word names, "" where bash would
// only know it at run time. A directory behind a variable does not hide it.
func program(w *syntax.Word) string {
	if v, ok := bashword.Literal(w); ok {
		return path.Base(v)
	}
	end := bashword.Suffix(w)
	if !strings.Contains(end, "/") {
		return ""
	}
	return path.Base(end)
}

// launcherVariable is the name of the variable that a word consists of, if by that
// name it may hold the launcher.
func launcherVariable(w *syntax.Word) string {
	parts := w.Parts
	if len(parts) == 1 {
		if q, ok := parts[0].(*syntax.DblQuoted); ok {
			parts = q.Parts
		}
	}
	if len(parts) != 1 {
		return ""
	}
	p, ok := parts[0].(*syntax.ParamExp)
	if !ok || p.Param == nil || !strings.Contains(strings.ToLower(p.Param.Value), "launch") {
		return ""
	}
	return p.Param.Value
}
