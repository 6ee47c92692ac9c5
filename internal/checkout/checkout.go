// Package checkout asks git about commits, in a directory that may be a checkout of what is measured.
//
// In: a directory, an environment, commits. Out: what git says; nothing where there is no git, no checkout, or the
// commit is not in it.
package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
)

// maxCommits bounds the commits that a regression is said to have come with.
const maxCommits = 50

// Dir is a directory in which git is asked.
type Dir struct {
	Path    string
	Env     []string      // of git
	Timeout time.Duration // of each question to git; 0 = 10 s
}

// At is another directory in which git is asked likewise.
func (d Dir) At(path string) Dir {
	d.Path = path
	return d
}

// Place is a commit's place in the history of its branch: its time, and how many first parents it has; zero = unknown.
func (d Dir) Place(commit string) (when time.Time, depth int) {
	sec, err := strconv.ParseInt(d.line("show", "-s", "--format=%ct", commit+"^{commit}"), 10, 64)
	if err != nil {
		return when, 0
	}
	// A shallow checkout ends somewhere: counting there says nothing.
	if d.line("rev-parse", "--is-shallow-repository") == "false" {
		depth, _ = strconv.Atoi(d.line("rev-list", "--count", "--first-parent", commit))
	}
	return time.Unix(sec, 0).UTC(), depth
}

// State is the commit that the checkout is at, and whether its files differ from it.
func (d Dir) State(ctx context.Context) (commit string, dirty, ok bool) {
	commit, err := d.ask(ctx, "rev-parse", "HEAD")
	if err != nil {
		return "", false, false
	}
	// Files that git does not know are builds' outputs more often than changes.
	changes, err := d.status(ctx)
	return strings.TrimSpace(commit), changes != "", err == nil
}

// Between are the commits behind good up to bad in a line each, the newest first.
func (d Dir) Between(good, bad string) []string {
	text := d.text("log", "--format=%h %s", "--max-count="+strconv.Itoa(maxCommits), good+".."+bad, "--")
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// Way are the commits from good to bad along first parents, both of them among these, the oldest first: "id subject".
func (d Dir) Way(good, bad string) []string {
	first := d.line("log", "--max-count=1", "--format=%H %s", good, "--")
	if first == "" || !d.Has(bad) {
		return nil
	}
	text := d.text("log", "--first-parent", "--reverse", "--format=%H %s", good+".."+bad, "--")
	return append([]string{first}, strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })...)
}

// line is the first line of what git answers, "" if it does not.
func (d Dir) line(args ...string) string {
	line, _, _ := strings.Cut(d.text(args...), "\n")
	return strings.TrimSpace(line)
}

func (d Dir) text(args ...string) string {
	text, err := d.ask(context.Background(), args...)
	if err != nil {
		return ""
	}
	return text
}

func (d Dir) ask(ctx context.Context, args ...string) (string, error) {
	res, err := proc.Run(ctx, d.command(args...))
	return string(res.Stdout), err
}

// status asks what differs, past the filters that the checkout's own config names: git runs them to compare. A
// submodule has a config of its own, so it is not looked into.
func (d Dir) status(ctx context.Context) (string, error) {
	list, err := d.ask(ctx, "config", "--show-scope", "--null", "--name-only", "--get-regexp", `^filter\.`)
	var ended *proc.ExitError
	if errors.As(err, &ended) && ended.Exit == 1 { // there are none
		list, err = "", nil
	}
	if err != nil {
		return "", err
	}
	var args []string
	parts := strings.Split(list, "\x00") // scope, name, scope, name, ""
	for i := 0; i+1 < len(parts); i += 2 {
		scope, name := parts[i], parts[i+1]
		if scope == "system" || scope == "global" { // of the machine and of who runs this: Git LFS' is there
			continue
		}
		name = name[:strings.LastIndexByte(name, '.')]
		if strings.Contains(name, "=") { // -c could not name it
			return "", fmt.Errorf("the checkout's config has %q", name)
		}
		args = append(args, "-c", name+".clean=", "-c", name+".process=", "-c", name+".required=false")
	}
	return d.ask(ctx, append(args, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")...)
}

// command asks without the index' lock: somebody may be working in the checkout. What a change, or a job, has put there
// runs nothing here: no hook, monitor or signature program, no filter (status), and no transport, by which a clone
// without all objects would get one that is asked for. Git sees no store's password.
func (d Dir) command(args ...string) proc.Command {
	root, _ := d.root()
	argv := []string{
		"git", "--no-optional-locks", "-c", "safe.bareRepository=explicit", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
		"-c", "log.showSignature=false",
	}
	return proc.Command{Argv: append(argv, args...), Dir: root, Env: append(proc.WithoutStore(d.Env), "GIT_ALLOW_PROTOCOL=none"), Timeout: cmp.Or(d.Timeout, 10*time.Second)}
}

// root is the checkout that the directory is in, and the directory's path there. Git itself would stop at the first
// directory that looks like a bare repository, whose files a change can add to the checkout as any others: what they
// say would be the rules, and the commands that their config names would run.
func (d Dir) root() (root, below string) {
	dir, err := filepath.EvalSymlinks(d.Path)
	if err != nil || slices.ContainsFunc(d.Env, func(e string) bool { return strings.HasPrefix(e, "GIT_DIR=") }) {
		return d.Path, "."
	}
	for root = dir; ; root = filepath.Dir(root) {
		if _, err := os.Lstat(filepath.Join(root, ".git")); err == nil {
			below, err = filepath.Rel(root, dir)
			if err == nil {
				return root, below
			}
		}
		if root == filepath.Dir(root) {
			return d.Path, "."
		}
	}
}

// Is reports whether the directory is in a checkout that git can read.
func (d Dir) Is() bool { return d.Top() != "" }

// Top is the root of the checkout, "" where there is none.
func (d Dir) Top() string { return d.line("rev-parse", "--show-toplevel") }

// Has reports whether the checkout has a commit.
func (d Dir) Has(commit string) bool {
	return !strings.HasPrefix(commit, "-") && d.line("rev-parse", "--verify", "--quiet", commit+"^{commit}") != ""
}

// Led reports whether a commit is the other one, or one that it came from.
func (d Dir) Led(commit, to string) bool {
	_, err := d.ask(context.Background(), "merge-base", "--is-ancestor", commit, to)
	return err == nil
}

// MergeBase is the commit at which HEAD left a branch, "" = not known.
func (d Dir) MergeBase(branch string) string {
	if branch == "" {
		return ""
	}
	for _, ref := range []string{"refs/remotes/origin/" + branch, "refs/heads/" + branch} {
		if base := d.line("merge-base", ref, "HEAD"); base != "" {
			return base
		}
	}
	return ""
}

// File is a file as it was at a commit that the checkout has; its path is relative to the directory. One that was not
// there is fs.ErrNotExist; a link is not followed.
func (d Dir) File(commit, path string) ([]byte, error) {
	_, below := d.root()
	name := commit + ":./" + filepath.ToSlash(filepath.Join(below, path))
	if kind := d.line("cat-file", "-t", name); kind != "blob" {
		// A clone without all objects may know of the file and not have it: that is no file that was not there.
		there, err := d.ask(context.Background(), "ls-tree", commit, "--", filepath.ToSlash(filepath.Join(below, path)))
		if kind == "" && (err != nil || there != "") {
			return nil, fmt.Errorf("%s at %s: this clone has no copy of it, and nothing is fetched for that (git show %s fetches it, before)", path, commit, name)
		}
		return nil, fmt.Errorf("%s at %s: %w", path, commit, fs.ErrNotExist)
	}
	res, err := proc.Run(context.Background(), d.command("cat-file", "blob", name))
	return res.Stdout, err
}
