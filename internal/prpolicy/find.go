package prpolicy

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/checkout"
)

// Flags say where a run's rules come from.
type Flags struct {
	From     string // a commit or branch of the config's checkout, or a file; "" = a pull request's merge base
	Required bool   // no rules but its own are a mistake
}

// AddFlags registers the flags.
func (o *Flags) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.From, "policy", "", "config whose rules hold (thresholds, known failures, perf.allow_…, export, …): a commit or branch of the checkout, or a file (in a pull request outside of it) (default for a pull request: the commit at which it left its branch)")
	f.BoolVar(&o.Required, "require-policy", false, "refuse (exit 2) to judge a pull request by its own rules where no others can be had")
}

// Asked is what is known of where rules may be.
type Asked struct {
	Flags
	Config    string // absolute path of the run's own config, or where one would be
	MergeBase string // commit; "" = git is asked
	Target    string // branch that a pull request is to join
	Env       []string
	WorkDir   string // relative paths are relative to it
	Stranger  bool   // what is in the checkout may be a pull request's
	ReadFile  func(string) ([]byte, error)
}

// Rules are rules that are not the run's own, as they are kept with the run.
type Rules struct {
	From    string `json:"from,omitempty"`    // where they are, for people
	Text    string `json:"text,omitempty"`    // the config that holds them; "" = the defaults hold, unless Missing
	Pins    string `json:"pins,omitempty"`    // what its file of pins said there; "" = it names none, or one that is none of the checkout's
	Missing string `json:"missing,omitempty"` // why there are none to be had

	commit string // "" = they are a file's
	dir    checkout.Dir
	beside func(path string) ([]byte, error) // reads what a file of rules names; nil = they are no file's
}

// Same reports whether two hold the same rules; nil holds none.
func (r *Rules) Same(o *Rules) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.From == o.From && r.Text == o.Text && r.Pins == o.Pins && r.Missing == o.Missing
}

// Missed are the rules of a run for which none could be found.
func Missed(why error) Rules { return Rules{Missing: why.Error()} }

// Find looks for the rules. An error says why there are none to be had.
func (a Asked) Find() (Rules, error) {
	switch {
	case a.From != "":
		return a.named()
	case a.MergeBase != "":
		return a.at(a.MergeBase)
	}
	if commit := a.checkout().MergeBase(a.Target); commit != "" {
		return a.at(commit)
	}
	switch {
	case !a.checkout().Is():
		return Rules{}, fmt.Errorf("%s is in no checkout that git can read", filepath.Dir(a.Config))
	case a.Target == "":
		return Rules{}, errors.New("it is not known where the pull request left its branch: give --merge-base")
	default:
		return Rules{}, fmt.Errorf("git knows no commit that the checkout shares with %s (too shallow, or the branch was not fetched): give --merge-base", a.Target)
	}
}

func (a Asked) checkout() checkout.Dir {
	return checkout.Dir{Path: filepath.Dir(a.Config), Env: a.Env}
}

// at is the config as it was at a commit.
func (a Asked) at(commit string) (Rules, error) {
	f := Rules{From: fmt.Sprintf("%s at %.12s", filepath.Base(a.Config), commit), commit: commit, dir: a.checkout()}
	if !f.dir.Has(commit) {
		return f, fmt.Errorf("git has no commit %.12s in %s (no checkout, too shallow, or not fetched)", commit, f.dir.Path)
	}
	text, err := f.dir.File(commit, filepath.Base(a.Config))
	if f.Text = string(text); !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if _, own := a.ReadFile(a.Config); errors.Is(own, fs.ErrNotExist) {
		return f, nil
	}
	return f, fmt.Errorf("there is no %s", f.From)
}

// named are the rules of a commit, or of a file, that a person names. Git comes first: a change can add a file that is
// called as the branch is.
func (a Asked) named() (Rules, error) {
	if a.checkout().Has(a.From) {
		return a.at(a.From)
	}
	text, err := a.ReadFile(a.From)
	if err == nil {
		if top := a.within(); a.Stranger && top != "" {
			return Rules{}, fmt.Errorf("--policy %s is no commit or branch that git knows, but a file in %s, which the pull request can write: name a commit or a branch that was fetched, or a file elsewhere", a.From, top)
		}
		beside := func(path string) ([]byte, error) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(a.From), path)
			}
			return a.ReadFile(path)
		}
		return Rules{From: a.From, Text: string(text), beside: beside}, nil
	}
	return Rules{}, fmt.Errorf("--policy %s is neither a file (%w) nor a commit or branch of a checkout in %s", a.From, err, filepath.Dir(a.Config))
}

// within is the checkout, of the config or of where the process is, that the file of rules is in; "" = it is in none. A
// link counts by its own place and by what it leads to.
func (a Asked) within() string {
	file := a.From
	if !filepath.IsAbs(file) {
		file = filepath.Join(a.WorkDir, file)
	}
	own := cmp.Or(a.checkout().Top(), filepath.Dir(a.Config)) // a tree that git cannot read is a change's all the same
	for _, top := range []string{own, checkout.Dir{Path: a.WorkDir, Env: a.Env}.Top()} {
		if top == "" {
			continue
		}
		for _, path := range []string{file, filepath.Join(resolved(filepath.Dir(file)), filepath.Base(file)), resolved(file)} {
			if below(top, path) || below(resolved(top), path) {
				return top
			}
		}
	}
	return ""
}

// resolved is a path without links, as far as it is there.
func resolved(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

func below(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// TakePins reads the file of pins that the rules name, as it was where they are. Its path is absolute, or relative to
// the config. One that is none of the checkout's stands for itself.
func (r *Rules) TakePins(path string) error {
	if path == "" || r.Pins != "" {
		return nil
	}
	text, live, err := r.read(path)
	if err != nil {
		return fmt.Errorf("perf.pins of %s: %w", r.From, err)
	}
	if !live {
		r.Pins = string(text)
	}
	return nil
}

// read reads what the rules name. live reports that it stands for itself, wherever it is.
func (r *Rules) read(path string) (text []byte, live bool, err error) {
	switch {
	case r.beside != nil:
		text, err = r.beside(path)
		return text, false, err
	case r.commit == "":
		return nil, true, nil
	}
	dir := r.dir
	if filepath.IsAbs(path) {
		dir.Path = r.dir.Top()
		rel, err := filepath.Rel(dir.Path, path)
		if err != nil || !below(dir.Path, path) {
			return nil, true, nil //nolint:nilerr // not below the checkout
		}
		path = rel
	}
	text, err = dir.File(r.commit, path)
	return text, false, err
}
