package pipeline

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/checkout"
	"github.com/ci-disagg/ci-disagg/internal/launch/paired"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Selection says which cases are meant and where they are to run: the flags that plan and run have in common.
type Selection struct {
	Tests      []string // ids, or lines of a list
	Cases      []string // ids of configured cases, or patterns of them
	Tags       []string // of configured cases
	Lists      []string // files
	Waives     []string // files beside the config's
	Backend    string
	Cluster    string
	Stage      string
	Shard      string // i/n
	SplitGroup int
	Avoid      []string     // nodes that jobs keep away from, as far as enough others are left
	AB         paired.Flags // which builds are compared, and when
	Built      bool         // their checkouts are to be there: nobody makes them between this and the run
}

// Request is everything that a suite is planned from.
type Request struct {
	Config Config
	Doc    strictyaml.Document // where the config's keys stand; without a file name there is no config
	Base   string              // absolute directory of the config: what its relative paths start from
	Match  []string            // perf.match
	Selection
	WorkDir string // what relative paths of the selection start from
	Read    func(path string) ([]byte, error)
	Getenv  func(string) string
	Here    checkout.Dir // where git may know the commits; zero = it is not asked
	Now     time.Time
}

// Suite is a request resolved: the cases, planned.
type Suite struct {
	Backend string
	Cluster string // name, "" = none
	Profile script.Profile
	Stage   string
	Plans   []rundir.Plan

	request  Request
	workload workload
}

// nodeName is how Slurm names a node.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// resolve plans the cases of one build.
func resolve(r Request) (s Suite, err error) {
	s.request = r
	mine, theirs, err := r.sorted()
	if err != nil {
		return s, err
	}
	s.request.Lists = mine.lists
	if s.Backend, err = r.Config.BackendOr(r.Backend); err != nil {
		return s, err
	}
	if s.Cluster, s.Profile, err = r.Config.Profile(r.Cluster, r.Doc.File); err != nil {
		return s, err
	}
	for _, node := range r.Avoid { // into the head of a script
		if !nodeName.MatchString(node) {
			return s, fmt.Errorf("--avoid %q is no name of a node", node)
		}
	}
	s.Stage = cmp.Or(r.Stage, r.Getenv("stageName"), r.Config.Stage, r.ListName(), "perf")
	plans, err := s.plans(mine, theirs)
	if err != nil {
		return s, err
	}
	for _, p := range plans {
		p.Avoid = r.Avoid
		p.Classes, p.Seeing = r.Config.classRules(), r.Config.seeing()
		s.Plans = append(s.Plans, script.Apply(p, s.Profile))
	}
	s.warnMatch()
	s.warnKnown()
	return s, nil
}

// plans are those of the configured pipelines' cases, then those of TensorRT-LLM's.
func (s *Suite) plans(mine configured, theirs []string) (out []rundir.Plan, err error) {
	if s.workload, err = s.workloadOf(theirs); err != nil {
		return nil, err
	}
	if mine.any {
		if out, err = s.generic(mine, len(theirs)+len(s.request.Lists) == 0); err != nil {
			return nil, err
		}
	}
	if len(theirs)+len(s.request.Lists) == 0 {
		return out, nil
	}
	plans, err := s.workload.plans()
	if err != nil && s.request.Doc.File == "" {
		err = fmt.Errorf("%w\nthere is no %s in %s: name the config with --config, or go to where it is", err, DefaultFile, s.request.Base)
	}
	return append(out, plans...), err
}

// tests reports whether TensorRT-LLM's tests are among the cases.
func (s Suite) tests() bool {
	return slices.ContainsFunc(s.Plans, func(p rundir.Plan) bool { return p.Case.Pipeline == "" })
}

// warnMatch warns of a key of perf.match that no case has: of a typing error, or a GPU type that nobody named, nothing
// would be seen but runs compared that are not alike.
func (s Suite) warnMatch() {
	for _, key := range s.request.Match {
		if slices.ContainsFunc(s.Plans, func(p rundir.Plan) bool { return p.Match[key] != "" }) {
			continue
		}
		for i := range s.Plans {
			s.warn(i, "perf.match: no case has a %s: runs that differ in it are compared with each other", key)
		}
	}
}

// warnKnown warns where known failures match every case that is to be launched: no failing test could turn such a run
// red.
func (s Suite) warnKnown() {
	launched := func(p rundir.Plan) bool { return p.Case.SkipReason == "" }
	if slices.ContainsFunc(s.Plans, func(p rundir.Plan) bool { return launched(p) && p.Case.KnownBug == "" }) {
		return
	}
	for i := range s.Plans {
		if launched(s.Plans[i]) {
			s.warn(i, "workload.known_failures match every case: no failing test can turn this run red, and it cannot end with 0")
		}
	}
}

func (s Suite) warn(i int, format string, args ...any) {
	s.Plans[i].Warnings = append(s.Plans[i].Warnings, fmt.Sprintf(format, args...))
}

// UnderDraft marks the plans as started by a team's own launch draft, and says what that costs. A draft computes its
// tasks as nodes × GPUs per node, which is too many for some servers.
func (s Suite) UnderDraft(draft string) {
	for i := range s.Plans {
		s.Plans[i].Draft = true
		s.warn(i, "under a draft servers are not watched: one that dies, hangs or answers errors is seen by its test alone, and so may be "+
			"blamed on another role; that the machine stood still while it measured is seen only if Slurm had suspended the job")
		for _, r := range s.Plans[i].Roles() {
			if first := r.Slice[0]; r.GPUs() != first.GPUs*len(r.Slice) {
				s.warn(i, "%s is made of %d GPUs; a draft that multiplies nodes by GPUs per node starts %d tasks for it: run this case without %s",
					r.Name, r.GPUs(), first.GPUs*len(r.Slice), draft)
			}
		}
	}
}

// parseShard reads i/n.
func parseShard(s string) (i, n int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	left, right, ok := strings.Cut(s, "/")
	i, errI := strconv.Atoi(left)
	n, errN := strconv.Atoi(right)
	if !ok || errI != nil || errN != nil || i < 1 || n < i {
		return 0, 0, fmt.Errorf("--shard %q is not i/n with 1 <= i <= n, such as 2/4", s)
	}
	return i, n, nil
}

// ListName is the base name of the only list, without its extension.
func (s Selection) ListName() string {
	if len(s.Lists) != 1 {
		return ""
	}
	base := filepath.Base(s.Lists[0])
	return strings.TrimSuffix(base, filepath.Ext(base))
}

func absolute(dir string, paths []string) []string {
	var out []string
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		out = append(out, p)
	}
	return out
}
