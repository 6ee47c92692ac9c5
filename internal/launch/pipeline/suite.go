package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Selection says which cases are meant and where they are to run: the flags that plan and run have in common.
type Selection struct {
	Tests      []string // ids, or lines of a list
	Lists      []string // files
	Waives     []string // files beside the config's
	Backend    string
	Cluster    string
	Stage      string
	Shard      string // i/n
	SplitGroup int
}

// Request is everything that a suite is planned from.
type Request struct {
	Config Config
	Doc    strictyaml.Document // where the config's keys stand; without a file name there is no config
	Base   string              // absolute directory of the config: what its relative paths start from
	Match  []string            // perf.match
	Selection
	WorkDir string // what relative paths of the selection start from
	Getenv  func(string) string
	Now     time.Time
}

// Suite is a request resolved: the cases, planned.
type Suite struct {
	Backend string
	Cluster string // name, "" = none
	Profile script.Profile
	Stage   string
	Plans   []rundir.Plan

	request Request
	input   trtllm.Input
}

// Resolve plans the cases. Its errors are the user's.
func Resolve(r Request) (s Suite, err error) {
	if len(r.Tests) == 0 && len(r.Lists) == 0 {
		return s, errors.New("which tests? Give test ids, or --test-list FILE")
	}
	s.request = r
	if s.Backend, err = r.Config.BackendOr(r.Backend); err != nil {
		return s, err
	}
	if s.Cluster, s.Profile, err = r.Config.Profile(r.Cluster, r.Doc.File); err != nil {
		return s, err
	}
	s.Stage = cmp.Or(r.Stage, r.Getenv("stageName"), r.Config.Stage, r.ListName(), "perf")
	if s.input, err = s.producerInput(); err != nil {
		return s, err
	}
	plans, err := trtllm.Resolve(s.input)
	if err != nil {
		if r.Doc.File == "" {
			err = fmt.Errorf("%w\nthere is no %s in %s: name the config with --config, or go to where it is", err, DefaultFile, r.Base)
		}
		return s, err
	}
	for _, p := range plans {
		p.Classes = r.Config.classRules()
		s.Plans = append(s.Plans, script.Apply(p, s.Profile))
	}
	s.warnMatch()
	s.warnKnown()
	return s, nil
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

// warnKnown warns where known failures match every case that is to be launched: nothing could turn such a run red.
func (s Suite) warnKnown() {
	launched := func(p rundir.Plan) bool { return p.Case.SkipReason == "" }
	if slices.ContainsFunc(s.Plans, func(p rundir.Plan) bool { return launched(p) && p.Case.KnownBug == "" }) {
		return
	}
	for i := range s.Plans {
		if launched(s.Plans[i]) {
			s.warn(i, "workload.known_failures match every case: nothing could turn this run red, and it ends with 5")
		}
	}
}

func (s Suite) warn(i int, format string, args ...any) {
	s.Plans[i].Warnings = append(s.Plans[i].Warnings, fmt.Sprintf(format, args...))
}

// ReadDraft reads a team's own launch draft, with what it calls.
func ReadDraft(path string) ([]byte, error) { return trtllm.ReadDraft(path) }

// UnderDraft marks the plans as started by a team's own launch draft. A draft computes its tasks as nodes × GPUs per
// node, which is too many for some servers.
func (s Suite) UnderDraft(draft string) {
	for i := range s.Plans {
		s.Plans[i].Draft = true
		for _, r := range s.Plans[i].Roles() {
			if first := r.Slice[0]; r.GPUs() != first.GPUs*len(r.Slice) {
				s.warn(i, "%s is made of %d GPUs; a draft that multiplies nodes by GPUs per node starts %d tasks for it: run this case without %s",
					r.Name, r.GPUs(), first.GPUs*len(r.Slice), draft)
			}
		}
	}
}

// producerInput is what trtllm plans from, environment and clock included.
func (s Suite) producerInput() (trtllm.Input, error) {
	r := s.request
	in := trtllm.Input{
		Config: r.Config.Workload, ConfigFile: r.Doc.File, At: r.Doc.At, Base: r.Base,
		Cluster: trtllm.Cluster{
			Name: s.Cluster, GPUsPerNode: s.Profile.GPUsPerNode, MaxNodes: s.Profile.MaxNodes,
			GPUType: s.Profile.GPUType, Arch: s.Profile.Arch, Time: s.Profile.Time,
			Elsewhere: s.Profile.Login != "" || s.Profile.Container != nil,
		},
		Local: s.Backend == jobs.BackendLocal, Stage: s.Stage,
		Tests: r.Tests, Lists: absolute(r.WorkDir, r.Lists), Waives: absolute(r.WorkDir, r.Waives),
		Env: map[string]string{}, Today: r.Now.UTC().Format(time.DateOnly),
		Budgets: r.Config.Budgets, SplitGroup: r.SplitGroup,
	}
	for _, name := range trtllm.EnvNames() {
		if v := r.Getenv(name); v != "" {
			in.Env[name] = v
		}
	}
	var err error
	in.Shard, in.Shards, err = parseShard(r.Shard)
	return in, err
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
