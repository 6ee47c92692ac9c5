package paired

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Builds is the section builds: of ci-disagg.yaml: the software that is compared. What a
// build does not say is that of workload: and of the cluster.
type Builds struct {
	Base Build `yaml:"base" policy:"base"` // the older one: the merge base, or the last good one
	Head Build `yaml:"head"`               // the newer one, which is also what is run without a comparison
	// Reference is the pinned build of perf.reference, where it does not come about as any other.
	Reference Build `yaml:"reference" policy:"base"`
	// Make is shell text that makes the build of a commit, {commit}, run here once for each
	// that is searched.
	Make     string           `yaml:"make"`
	MakeTime *rundir.Duration `yaml:"make_time"` // until that is ended; default 2h
}

// MakeLimit is how long making a build may take.
func (b Builds) MakeLimit() time.Duration {
	if b.MakeTime == nil {
		return 2 * time.Hour
	}
	return b.MakeTime.D()
}

// Made reports whether the config says how the build of any commit comes about.
func (b Builds) Made() bool {
	return b.Make != "" || b.Head.ofAny()
}

// Unpaired is why the builds of two commits cannot be made and compared by the config, "" = they can.
func (b Builds) Unpaired() string {
	switch {
	case !b.Made():
		return "nothing says how the build of a commit comes about: {commit} in builds.head.source, image or install, or builds.make"
	case b.Base.named() && !b.Base.ofAny():
		return "builds.base would be the same build whatever commit it stands for: write {commit} into it, or remove it: builds.head's recipe then makes both"
	default:
		return ""
	}
}

// ofAny reports whether the build is that of whatever commit is asked for.
func (b Build) ofAny() bool {
	return slices.ContainsFunc([]string{b.Source, b.Image, b.Install, b.Setup}, func(t string) bool { return strings.Contains(t, commitMark) })
}

// Pinned are the builds where the reference, of that commit, is what is run.
func (b Builds) Pinned(commit string) Builds {
	if b.Reference.named() {
		if b.Head = b.Reference; !b.Head.ofAny() {
			b.Make = "" // it is there
		}
	}
	b.Head.Commit = commit
	return b
}

// Pins reports whether the config says how the build of the reference comes about.
func (b Builds) Pins() bool { return b.Reference.named() || b.Made() }

// MakeOf is the shell text that makes a commit's build, "" = nothing has to be done.
func (b Builds) MakeOf(commit string) string { return strings.ReplaceAll(b.Make, commitMark, commit) }

// Build is one build. Relative paths are relative to the config.
type Build struct {
	Source  string            `yaml:"source"`  // root of its checkout, as the nodes see it
	Image   string            `yaml:"image"`   // container image
	Install string            `yaml:"install"` // shell text run once per node before its first run
	Setup   string            `yaml:"setup"`   // shell text that each of its roles runs before its command
	Env     map[string]string `yaml:"env"`     // exported to its roles
	Commit  string            `yaml:"commit"`  // for the record
}

// Config is the section ab: of ci-disagg.yaml.
type Config struct {
	Mode       string           `yaml:"mode"`                      // always, suspicious, off (default)
	AnswerWait *rundir.Duration `yaml:"answer_wait"`               // after a pair, for the driver's answer; default 30s
	OpenAt     *float64         `yaml:"open_at" bounds:"0,"`       // part of min_effect; default 0.5
	GPUHours   float64          `yaml:"max_gpu_hours" bounds:"0,"` // of all sessions of a run at their longest; 0 = no bound
	Time       rundir.Duration  `yaml:"time"`                      // time limit of a session's job; 0 = its runs at the case's budgets
	Paths      []string         `yaml:"paths"`                     // patterns of files whose change is measured whatever the single run says
	Label      string           `yaml:"label"`                     // likewise, of the change
	Repeat     int              `yaml:"repeat" bounds:"0,"`        // times that a run's client runs against the same servers; 0 = once
	Confirm    bool             `yaml:"confirm"`                   // a nightly's regressions are measured in pairs before its end
}

// Flags stand over the config.
type Flags struct {
	Mode    string // "" = the config's
	Base    Build  // source, image and commit
	Changed []string
	Labels  []string
	// Head and MergeBase are the commits of builds that name none, for {commit}.
	Head, MergeBase string
	// PullRequest is set where the run is a pull request's: one that names a base and no
	// mode is measured in pairs where a single run gives reason to.
	PullRequest bool
	Unjudged    bool // perf.off: no verdict is made of what is measured
	// Recorded is the build that the store names, for cases whose base nothing names; only its commit where the build of
	// any commit can be made. nil = nobody asks the store.
	Recorded func(cases []rundir.Plan, commitOnly bool) rundir.Recorded
}

// AddFlags registers the flags.
func (f *Flags) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.Mode, "ab", "", "compare two builds in pairs, in one job per case: always, suspicious (after a single run that gives reason to), off (default ab.mode, else suspicious for a pull request whose base is named, else off)")
	fs.Lookup("ab").NoOptDefVal = rundir.PairAlways
	fs.StringVar(&f.Base.Source, "ab-base-source", "", "checkout of the build to compare with (default builds.base.source)")
	fs.StringVar(&f.Base.Image, "ab-base-image", "", "container image of the build to compare with (default builds.base.image)")
	fs.StringVar(&f.Base.Commit, "ab-base-commit", "", "its commit, for the record (default builds.base.commit, else --merge-base)")
	fs.StringSliceVar(&f.Labels, "ab-labels", nil, "labels of the change, for ab.label")
	fs.StringSliceVar(&f.Changed, "ab-changed", nil, "files that the change touches, for ab.paths (git diff --name-only MERGE_BASE)")
}

const (
	defaultWait   = 30 * time.Second
	defaultOpenAt = 0.5
)

// Validate returns every problem of the section, at its place in doc.
func (c Config) Validate(doc strictyaml.Document) []error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, doc.Problem("ab."+key, format, args...)) }
	if c.Mode != "" && !slices.Contains(modes(), c.Mode) {
		bad("mode", "%q is not %s", c.Mode, strings.Join(modes(), ", "))
	}
	if c.OpenAt != nil && !(*c.OpenAt >= 0) {
		bad("open_at", "%g is negative: 0 opens a session for anything that is worse", *c.OpenAt)
	}
	if !(c.GPUHours >= 0) {
		bad("max_gpu_hours", "%g is negative", c.GPUHours)
	}
	if c.Repeat < 0 {
		bad("repeat", "%d is negative", c.Repeat)
	}
	for i, p := range c.Paths {
		if !doublestar.ValidatePattern(p) {
			errs = append(errs, doc.Problem(strictyaml.Path("ab", "paths", i), "%q is no pattern: %v", p, doublestar.ErrBadPattern))
		}
	}
	return errs
}

func modes() []string { return []string{rundir.PairAlways, rundir.PairSuspicious, rundir.PairOff} }

// Settings are the sections with the flags that stand over them.
type Settings struct {
	Config
	Builds
	Opened string // why there is a session whatever a single run says

	likeHead bool   // the config writes no base: it is made as head is
	lacks    bool   // nothing names the base, or its commit
	baseFrom string // who does, "" = a config or flags
	doubt    string // about that
	checkout bool   // the base's is one that the store recorded
}

// Settle puts flags over config. mergeBase is the commit of a base that names none. Its
// errors are the user's.
func Settle(c Config, b Builds, f Flags) (Settings, error) {
	s := Settings{Config: c, Builds: b}
	if f.Mode != "" {
		if s.Mode = f.Mode; s.Mode == "true" {
			s.Mode = rundir.PairAlways
		}
	}
	if !slices.Contains(append(modes(), "", "false"), s.Mode) {
		return s, fmt.Errorf("--ab=%s: use %s", s.Mode, strings.Join(modes(), ", "))
	}
	over(&s.Base.Source, f.Base.Source)
	over(&s.Base.Image, f.Base.Image)
	over(&s.Base.Commit, f.Base.Commit)
	if s.On() && !s.Base.named() && s.Made() {
		commit := s.Base.Commit // what makes any commit makes this one
		s.Base, s.likeHead = s.Head, true
		s.Base.Commit = commit
	}
	if s.On() && !s.Base.named() && f.Recorded == nil {
		return s, errNoBase
	}
	if s.On() && f.Unjudged {
		return s, fmt.Errorf("perf.off: performance is not judged, and a session of pairs (ab.mode %s) would have no verdict: remove perf.off, or give --ab=off", s.Mode)
	}
	if s.Mode == "" && f.PullRequest && !f.Unjudged && s.Base.named() {
		s.Mode = rundir.PairSuspicious
	}
	s.lacks = s.On() && (!s.Base.named() || s.Base.ofAny() && cmp.Or(s.Base.Commit, f.MergeBase) == "")
	s.Opened = s.opened(f)
	return s, s.fill(f)
}

// errNoBase asks for what nothing names.
var errNoBase = errors.New("which build is it to be compared with? Give --ab-base-source DIR, --ab-base-image IMAGE, or builds.base in the config")

// Complete takes the base of cases whose base nothing names from what the store recorded. Where that names none either,
// a session that was only to be made on suspicion is not, and off says why; one that the change itself demands is owed.
func (s *Settings) Complete(cases []rundir.Plan, f Flags) (off string, err error) {
	if !s.lacks || f.Recorded == nil {
		return "", nil
	}
	found := f.Recorded(cases, s.Base.ofAny())
	base := Build{Source: found.Source, Image: found.Image}
	switch {
	case found.Commit != "" && s.Base.ofAny():
		s.Base.Commit = found.Commit
	case found.Commit != "" && base.named():
		s.Base, s.checkout = base, base.Source != ""
		s.Base.Commit = found.Commit
	case s.Mode == rundir.PairSuspicious && s.Opened == "":
		s.Mode = rundir.PairOff
		return "no case is measured in pairs: no base is named (builds.base, --ab-base-source, --ab-base-image), and " + found.Why, nil
	case s.Opened != "":
		return "", fmt.Errorf("%s, so that it is measured in pairs: %w, or --ab=off; of the last green nightly it is not known: %s", s.Opened, errNoBase, found.Why)
	default:
		return "", fmt.Errorf("%w; of the last green nightly it is not known: %s", errNoBase, found.Why)
	}
	s.lacks, s.baseFrom, s.doubt = false, found.From, found.Doubt
	return "", s.fill(f)
}

// commitMark stands for a build's commit in its texts.
const commitMark = "{commit}"

// fill puts the builds' commits into their texts.
func (s *Settings) fill(f Flags) error {
	var errs []error
	for _, one := range []struct {
		key, give string
		b         *Build
		other     string
	}{
		{"base", "--ab-base-commit, builds.base.commit or --merge-base", &s.Base, f.MergeBase},
		{"head", "GIT_COMMIT, builds.head.commit or, to run, --commit", &s.Head, f.Head},
	} {
		commit := cmp.Or(one.b.Commit, one.other)
		if one.key == "base" && (!s.On() || s.lacks && f.Recorded != nil) {
			continue
		}
		for _, text := range []struct {
			key  string
			text *string
		}{{"source", &one.b.Source}, {"image", &one.b.Image}, {"install", &one.b.Install}, {"setup", &one.b.Setup}} {
			if !strings.Contains(*text.text, commitMark) {
				continue
			}
			if commit == "" {
				errs = append(errs, fmt.Errorf("builds.%s.%s: {commit} is not known: give %s", one.key, text.key, one.give))
			}
			*text.text = strings.ReplaceAll(*text.text, commitMark, commit)
		}
	}
	return errors.Join(errs...)
}

// named reports whether anything says how the build is another than that of workload.
func (b Build) named() bool {
	return b.Source != "" || b.Image != "" || b.Install != "" || b.Setup != "" || len(b.Env) > 0
}

func over(v *string, flag string) {
	if flag != "" {
		*v = flag
	}
}

// On reports whether there are to be sessions.
func (s Settings) On() bool { return s.Mode == rundir.PairAlways || s.Mode == rundir.PairSuspicious }

// opened is why a change is measured in pairs whatever a single run says, "" = it is not.
func (s Settings) opened(f Flags) string {
	if s.Label != "" && slices.Contains(f.Labels, s.Label) {
		return "the change is labelled " + s.Label
	}
	for _, file := range f.Changed {
		for _, pattern := range s.Paths {
			if matches(pattern, file) {
				return fmt.Sprintf("the change touches %s (ab.paths: %s)", file, pattern)
			}
		}
	}
	return ""
}

// matches reports whether a path is one of a pattern's: "**" stands for any number of
// folders, and a pattern also for everything below what it names.
func matches(pattern, file string) bool {
	ok, _ := doublestar.Match(strings.Trim(pattern, "/")+"/**", strings.Trim(file, "/")) // the config's patterns have been checked
	return ok
}

// Environment is the build's variables, sorted.
func (b Build) Environment() []rundir.EnvVar {
	var out []rundir.EnvVar
	for _, name := range slices.Sorted(maps.Keys(b.Env)) {
		out = append(out, rundir.EnvVar{Name: name, Value: b.Env[name]})
	}
	return out
}
