package trtllm

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/testlist"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
	"github.com/ci-disagg/ci-disagg/internal/userfile"
)

// Resolve makes one plan per case, in the order of the lists. Skipped cases have
// a plan too, with Case.SkipReason set; such a plan may hold nothing else. The
// error is a Problems with everything that is wrong; then there are no plans.
func Resolve(in Input) ([]rundir.Plan, error) {
	in.Read = userfile.Or(in.Read)
	r := &resolver{in: in, set: settingsOf(in), configs: map[string]configFile{}}
	r.checkSettings()
	entries := r.entries()
	plans := make([]rundir.Plan, 0, len(entries))
	seen := map[string]testlist.Entry{}
	for _, e := range entries {
		p, ok := r.plan(e)
		if !ok {
			continue
		}
		if first, twice := seen[p.Case.ID]; twice {
			r.problem(e.File, e.Line, "", "case %s is listed twice, also at %s: remove one", p.Case.ID, first.Place())
			continue
		}
		seen[p.Case.ID] = e
		plans = append(plans, p)
	}
	if err := r.located().Err(); err != nil {
		return nil, err
	}
	for i := range plans {
		plans[i].Warnings = append(slices.Clone(r.warnings), plans[i].Warnings...)
	}
	return plans, nil
}

type resolver struct {
	in       Input
	set      settings
	known    []testlist.KnownFailure
	waives   []testlist.Waive
	configs  map[string]configFile
	problems document.Problems
	warnings []string
	ids      int  // cases to be planned
	badShell bool // a shell text of the config is none: no command can be made
}

// configFile is one YAML file, read once per run and schema.
type configFile struct {
	path, sum string
	m         *model
	err       error
}

func (r *resolver) problem(file string, line int, key, format string, args ...any) {
	r.problems = append(r.problems, document.Problem{File: file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// located gives problems with keys of ci-disagg.yaml their position in it.
func (r *resolver) located() document.Problems {
	for i, p := range r.problems {
		if r.in.At != nil && p.Line == 0 && p.Key != "" && p.File == r.in.ConfigFile && p.File != "" {
			r.problems[i].Pos = r.in.At(p.Key)
		}
	}
	return r.problems
}

func (r *resolver) checkSelection() {
	in := r.in
	if in.Shards < 0 || in.Shard < 0 || (in.Shards > 0) != (in.Shard > 0) || in.Shard > in.Shards {
		r.problem("", 0, "--shard", "%d/%d is not a part from 1/%d to %d/%d", in.Shard, in.Shards, max(1, in.Shards), max(1, in.Shards), max(1, in.Shards))
	}
	if in.SplitGroup < 0 {
		r.problem("", 0, "--split-group", "%d is no line number: tests count from 1", in.SplitGroup)
	}
	if in.SplitGroup > 0 && in.Shards > 0 {
		r.problem("", 0, "--split-group", "chooses one test, --shard a part of the list: give one of them")
	}
}

// entries are the lines that this run is about: all ids and lists, then the
// shard or the line that was asked for.
func (r *resolver) entries() []testlist.Entry {
	out := r.listed()
	switch {
	case len(out) > 0 || len(r.problems) > 0:
	case len(r.in.Lists) > 0:
		r.problem(strings.Join(r.in.Lists, ", "), 0, "", "names no test, or none whose conditions are met here")
	default:
		r.problem("", 0, "", "no test is named: give ids, or a list")
	}
	r.ids = len(out)
	switch {
	case len(r.problems) > 0 && len(out) == 0:
		return nil
	case r.in.SplitGroup > len(out):
		r.problem("", 0, "--split-group", "%d is behind the end of the list, which has %s", r.in.SplitGroup, testlist.Count(len(out)))
		return nil
	case r.in.SplitGroup > 0:
		return out[r.in.SplitGroup-1 : r.in.SplitGroup]
	case r.in.Shards > 1 && r.in.Shard > 0 && r.in.Shard <= r.in.Shards:
		return r.shard(out)
	}
	return out
}

// listed are the entries of all ids and lists.
func (r *resolver) listed() []testlist.Entry {
	var out []testlist.Entry
	for _, t := range r.in.Tests {
		e, ok, err := testlist.ParseLine(t)
		switch {
		case err != nil:
			r.problem("", 0, t, "%v", err)
		case ok:
			out = append(out, e)
		}
	}
	for _, list := range r.in.Lists {
		data, err := r.in.Read(r.in.abs(list))
		if err != nil {
			r.problem(list, 0, "", "cannot be read: %v", err)
			continue
		}
		entries, warnings, problems := testlist.Parse(list, data, r.facts(), r.set.names)
		out = append(out, testlist.Without(entries, r.in.Own)...)
		r.warnings = append(r.warnings, warnings...)
		r.problems = append(r.problems, problems...)
	}
	return out
}

// shard is every n-th entry.
func (r *resolver) shard(all []testlist.Entry) []testlist.Entry {
	var part []testlist.Entry
	for i := r.in.Shard - 1; i < len(all); i += r.in.Shards {
		part = append(part, all[i])
	}
	if len(part) == 0 {
		r.problem("", 0, "--shard", "part %d of %d is empty: the suite has %s, use at most as many parts", r.in.Shard, r.in.Shards, testlist.Count(len(all)))
	}
	return part
}

// facts for the conditions of a test database: what the config states, else what
// the cluster's profile implies. system_gpu_count, the GPUs of a whole stage there
// (12 for three nodes of four), is not one of them: here every case has its own
// number.
func (r *resolver) facts() map[string]string {
	facts := map[string]string{}
	if g := r.gpuType(); g != "" {
		facts["gpu"] = g
	}
	switch r.in.Cluster.Arch {
	case "amd64":
		facts["cpu"] = "x86_64"
	case "arm64":
		facts["cpu"] = "aarch64"
	}
	for k, v := range r.set.Facts {
		facts[k] = v
	}
	return facts
}

func (r *resolver) gpuType() string { return cmp.Or(r.in.Cluster.GPUType, r.set.GPUType) }

// plan makes the plan of one line. ok is false where it could not be made; the
// problems say why.
func (r *resolver) plan(e testlist.Entry) (rundir.Plan, bool) {
	id, err := r.set.names.ParseID(e.ID)
	if err != nil {
		r.problem(e.File, e.Line, "", "%v", err)
		return rundir.Plan{}, false
	}
	id = r.withMode(id)
	k := &caseBuilder{r: r, e: e, id: id}
	for _, w := range r.waives {
		if k.e.Skip == "" && w.Covers(id.Full, r.gpuType()) {
			k.e.Skip = w.Skip
		}
	}
	for _, f := range r.known {
		if testlist.Match(f.Test, id.Full) {
			k.knownBug = f.Text()
		}
	}
	before := len(r.problems)
	p := k.plan()
	if k.e.Skip != "" {
		// What is not launched cannot be wrong: keep what could be found out.
		r.problems = r.problems[:before]
		return p, true
	}
	return p, len(r.problems) == before
}

// withMode is the id that today's test collects for a config that was given by its
// name alone: it carries the mode. Configs of the folder of before keep theirs, and
// so does a team's own prefix.
func (r *resolver) withMode(id testlist.ID) testlist.ID {
	g, c, _ := r.find(id)
	if !id.Bare || r.set.names.Prefix != defaultPrefix || g.Mode != "" || c.m == nil || strings.HasSuffix(filepath.Dir(c.path), oldConfigs) {
		return id
	}
	mode := c.m.mode
	if mode == rundir.ModeGenNoContext {
		mode = rundir.ModeGenOnly // the config says the rest
	}
	full, err := r.set.names.ParseID(defaultPrefix + "-" + mode + "-" + g.Stem)
	if err != nil {
		return id
	}
	return full
}

// find is the file that the case names, trying each grammar; tried is where it was
// looked for when there is none.
func (r *resolver) find(id testlist.ID) (testlist.Grammar, configFile, []string) {
	var tried []string
	for _, g := range id.Grammars() {
		for _, dir := range r.folders(g) {
			name := filepath.Join(dir, g.Stem+".yaml")
			tried = append(tried, name)
			if c := r.read(name, g.Disagg); !errors.Is(c.err, fs.ErrNotExist) {
				return g, c, nil
			}
		}
	}
	return testlist.Grammar{}, configFile{}, tried
}

// config finds and reads the file that the case names.
func (r *resolver) config(id testlist.ID, e testlist.Entry) (testlist.Grammar, configFile, bool) {
	g, c, tried := r.find(id)
	if tried == nil {
		if c.err != nil {
			r.problems = append(r.problems, document.AsProblems(c.path, c.err)...)
		}
		return g, c, c.err == nil
	}
	key := EnvDisaggFolder + " or workload.disagg_configs"
	if id.Aggregated {
		key = EnvAggFolder + " or workload.agg_configs"
	}
	fix := "set " + key
	if near := r.nearest(id); near != "" {
		fix = "did you mean " + near + "? Else " + fix
	}
	r.problem(e.File, e.Line, "", "no config for %s: none of %s exists; %s", id.Case, strings.Join(slices.Compact(tried), ", "), fix)
	return testlist.Grammar{}, configFile{}, false
}

// nearest is the name of a config that was probably meant by a case, or "".
func (r *resolver) nearest(id testlist.ID) string {
	for _, g := range id.Grammars() {
		var stems []string
		for _, dir := range r.folders(g) {
			files, _ := os.ReadDir(dir) // what cannot be read suggests nothing
			for _, f := range files {
				if stem, ok := strings.CutSuffix(f.Name(), ".yaml"); ok {
					stems = append(stems, stem)
				}
			}
		}
		if near := strictyaml.Nearest(g.Stem, stems); near != "" {
			return near
		}
	}
	return ""
}

// oldConfigs is where disaggregated configs were before ids carried the mode.
const oldConfigs = "tests/integration/defs/perf/disagg/test_configs/disagg/perf"

// folders are where the grammar's config files are: the given folder, else
// upstream's, new before old.
func (r *resolver) folders(g testlist.Grammar) []string {
	root := cmp.Or(r.set.Source, r.in.Base)
	if !g.Disagg {
		if r.set.aggFolder != "" {
			return []string{r.set.aggFolder}
		}
		return []string{filepath.Join(root, "tests/scripts/perf-sanity/aggregated")}
	}
	if r.set.disaggFolder != "" {
		return []string{r.set.disaggFolder}
	}
	return []string{
		filepath.Join(root, "tests/scripts/perf-sanity/disaggregated"),
		filepath.Join(root, oldConfigs),
	}
}

func (r *resolver) read(name string, disagg bool) configFile {
	key := name + "\x00" + strconv.FormatBool(disagg)
	if c, ok := r.configs[key]; ok {
		return c
	}
	c := configFile{path: name}
	var data []byte
	if data, c.err = r.in.Read(name); c.err == nil {
		sum := sha256.Sum256(data)
		c.sum = hex.EncodeToString(sum[:])
		var src *document.Document
		if src, c.err = document.Read(name, data); c.err == nil {
			c.m = readModel(src, disagg)
		}
	}
	r.configs[key] = c
	return c
}
