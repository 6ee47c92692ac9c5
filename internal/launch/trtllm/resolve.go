package trtllm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Resolve makes one plan per case, in the order of the lists. Skipped cases have
// a plan too, with Case.SkipReason set; such a plan may hold nothing else. The
// error is a Problems with everything that is wrong; then there are no plans.
func Resolve(in Input) ([]rundir.Plan, error) {
	r := &resolver{in: in, set: settle(in), configs: map[string]configFile{}}
	r.checkSettings()
	entries := r.entries()
	plans := make([]rundir.Plan, 0, len(entries))
	seen := map[string]entry{}
	for _, e := range entries {
		p, ok := r.plan(e)
		if !ok {
			continue
		}
		if first, twice := seen[p.Case.ID]; twice {
			r.problem(e.file, e.line, "", "case %s is listed twice, also at %s: remove one", p.Case.ID, first.source())
			continue
		}
		seen[p.Case.ID] = e
		plans = append(plans, p)
	}
	if err := r.located().asError(); err != nil {
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
	known    []KnownFailure
	waives   []waive
	configs  map[string]configFile
	problems Problems
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
	r.problems = append(r.problems, Problem{File: file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// located gives problems with keys of ci-disagg.yaml their position in it.
func (r *resolver) located() Problems {
	for i, p := range r.problems {
		if r.in.At != nil && p.Line == 0 && p.Key != "" && p.File == r.in.ConfigFile && p.File != "" {
			r.problems[i].Pos = r.in.At(p.Key)
		}
	}
	return r.problems
}

// asProblems is errors.As for Problems.
func asProblems(err error, ps *Problems) bool { return errors.As(err, ps) }

func (r *resolver) checkSettings() {
	s, file := r.set, r.in.ConfigFile
	if s.OutputLayout != LayoutTRTLLM && s.OutputLayout != LayoutNone {
		r.problem(file, 0, "workload.output_layout", "%q is not trtllm or none", s.OutputLayout)
	}
	r.checkShell()
	values := map[string]string{"source": s.Source, "dir": s.Dir, "disagg_configs": s.DisaggConfigs, "agg_configs": s.AggConfigs, "gpu_type": s.GPUType}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if v := values[key]; placeholder(path.Base(v)) || placeholder(v) {
			r.problem(file, 0, "workload."+key, "%q is a placeholder: write the real value", v)
		}
	}
	if strings.ContainsAny(s.Launcher, " \t\n\"'\\$`;&|<>()") {
		r.problem(file, 0, "workload.launcher", "%q is not the name or path of one program", s.Launcher)
	}
	for _, sec := range s.Secrets {
		if !validName(sec.Name) {
			r.problem(file, 0, "workload.secrets", "%q is not a variable name", sec.Name)
		}
		if sec.File != "" && sec.From != "" {
			r.problem(file, 0, "workload.secrets", "%s: give from or file, not both", sec.Name)
		}
		// Where the file cannot be seen, on a login node say, the role checks it.
		if info, err := os.Stat(r.in.abs(sec.File)); sec.File != "" && err == nil && info.Mode().Perm()&0o077 != 0 {
			r.problem(file, 0, "workload.secrets", "%s: %s can be read by others (mode %04o): chmod 600 it", sec.Name, sec.File, info.Mode().Perm())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !validName(name) {
			r.problem(file, 0, "workload.env", "%q is not a variable name", name)
		}
		if name == roleVariable {
			r.problem(file, 0, "workload.env."+name, "tells each process its role and is set for each: remove it")
		}
	}
	var known Problems
	var warnings []string
	r.known, warnings, known = knownFailures(s.KnownFailures, file, r.in.Today)
	r.warnings = append(r.warnings, warnings...)
	r.problems = append(r.problems, known...)
	for _, w := range slices.Concat(s.Waives, r.in.Waives) {
		name := r.in.abs(w)
		data, err := os.ReadFile(name)
		if err != nil {
			r.problem(w, 0, "", "cannot be read: %v", err)
			continue
		}
		list, ps := parseWaives(w, data)
		r.waives = append(r.waives, list...)
		r.problems = append(r.problems, ps...)
	}
	r.checkSelection()
	r.checkServerLogs()
}

// checkShell parses the shell texts of the config.
func (r *resolver) checkShell() {
	s := r.set
	texts := map[string]string{
		"workload.pytest": s.Pytest, "workload.args": s.Args, s.commandFrom: s.command, "workload.setup": s.Setup,
		"workload.install": s.Install, "workload.precheck": s.Precheck, "workload.ucx": s.UCX,
	}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		file, text := r.in.ConfigFile, texts[key]
		if strings.HasPrefix(key, "$") {
			file = ""
		}
		f, err := parse(text)
		switch {
		case err != nil:
			r.problem(file, 0, key, "%v: %s", err, text)
		case text != "" && len(f.Stmts) == 0 && (key == s.commandFrom || key == "workload.pytest"):
			r.problem(file, 0, key, "%q runs nothing", text)
		default:
			continue
		}
		r.badShell = true
	}
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
func (r *resolver) entries() []entry {
	var out []entry
	for _, t := range r.in.Tests {
		e, ok, err := parseLine(t)
		switch {
		case err != nil:
			r.problem("", 0, t, "%v", err)
		case ok:
			out = append(out, e)
		}
	}
	for _, list := range r.in.Lists {
		data, err := os.ReadFile(r.in.abs(list))
		if err != nil {
			r.problem(list, 0, "", "cannot be read: %v", err)
			continue
		}
		entries, warnings, problems := parseList(list, data, r.facts(), r.set)
		out = append(out, entries...)
		r.warnings = append(r.warnings, warnings...)
		r.problems = append(r.problems, problems...)
	}
	switch {
	case len(out) > 0 || len(r.problems) > 0:
	case len(r.in.Lists) > 0:
		r.problem(strings.Join(r.in.Lists, ", "), 0, "", "names no test, or none whose conditions are met here")
	default:
		r.problem("", 0, "", "no test is named: give ids, or a list")
	}
	if len(r.problems) > 0 && len(out) == 0 {
		return nil
	}
	r.ids = len(out)
	if n := r.in.SplitGroup; n > 0 {
		if n > len(out) {
			r.problem("", 0, "--split-group", "%d is behind the end of the list, which has %s", n, tests(len(out)))
			return nil
		}
		return out[n-1 : n]
	}
	if r.in.Shards > 1 && r.in.Shard > 0 && r.in.Shard <= r.in.Shards {
		var part []entry
		for i, e := range out {
			if i%r.in.Shards == r.in.Shard-1 {
				part = append(part, e)
			}
		}
		if len(part) == 0 {
			r.problem("", 0, "--shard", "part %d of %d is empty: the suite has %s, use at most as many parts", r.in.Shard, r.in.Shards, tests(len(out)))
		}
		return part
	}
	return out
}

func tests(n int) string {
	if n == 1 {
		return "1 test"
	}
	return fmt.Sprintf("%d tests", n)
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

func (r *resolver) gpuType() string { return orDefault(r.in.Cluster.GPUType, r.set.GPUType) }

// plan makes the plan of one line. ok is false where it could not be made; the
// problems say why.
func (r *resolver) plan(e entry) (rundir.Plan, bool) {
	id, err := r.set.parseID(e.id)
	if err != nil {
		r.problem(e.file, e.line, "", "%v", err)
		return rundir.Plan{}, false
	}
	r.waive(&e, id.full)
	k := &kase{r: r, e: e, id: id}
	before := len(r.problems)
	p := k.plan()
	if e.skip != "" {
		// What is not launched cannot be wrong: keep what could be found out.
		r.problems = r.problems[:before]
		return p, true
	}
	return p, len(r.problems) == before
}

func (r *resolver) waive(e *entry, id string) {
	for _, w := range r.waives {
		if e.skip == "" && w.covers(id, r.gpuType()) {
			e.skip = w.skip
		}
	}
	for _, k := range r.known {
		if wildcard(k.Test, id) {
			e.knownBug = k.Bug
			if k.Reason != "" {
				e.knownBug += ": " + k.Reason
			}
		}
	}
}

// config finds and reads the file that the case names, trying each grammar.
func (r *resolver) config(id testID, e entry) (grammar, configFile, bool) {
	var tried []string
	for _, g := range id.grammars() {
		for _, dir := range r.folders(g) {
			name := filepath.Join(dir, g.stem+".yaml")
			tried = append(tried, name)
			c := r.read(name, g.disagg)
			if errors.Is(c.err, fs.ErrNotExist) {
				continue
			}
			if c.err != nil {
				r.addErr(name, c.err)
				return g, c, false
			}
			return g, c, true
		}
	}
	key := EnvDisaggFolder + " or workload.disagg_configs"
	if id.aggr {
		key = EnvAggFolder + " or workload.agg_configs"
	}
	fix := "set " + key
	if near := r.nearest(id); near != "" {
		fix = "did you mean " + near + "? Else " + fix
	}
	r.problem(e.file, e.line, "", "no config for %s: none of %s exists; %s", id.kase, strings.Join(slices.Compact(tried), ", "), fix)
	return grammar{}, configFile{}, false
}

// nearest is the name of a config that was probably meant by a case, or "".
func (r *resolver) nearest(id testID) string {
	for _, g := range id.grammars() {
		var stems []string
		for _, dir := range r.folders(g) {
			files, _ := os.ReadDir(dir) // what cannot be read suggests nothing
			for _, f := range files {
				if stem, ok := strings.CutSuffix(f.Name(), ".yaml"); ok {
					stems = append(stems, stem)
				}
			}
		}
		if near := strictyaml.Nearest(g.stem, stems); near != "" {
			return near
		}
	}
	return ""
}

func (r *resolver) addErr(file string, err error) {
	var ps Problems
	if asProblems(err, &ps) {
		r.problems = append(r.problems, ps...)
		return
	}
	r.problem(file, 0, "", "cannot be read: %v", err)
}

// folders are where the grammar's config files are: the given folder, else
// upstream's, new before old.
func (r *resolver) folders(g grammar) []string {
	root := orDefault(r.set.Source, r.in.Base)
	if !g.disagg {
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
		filepath.Join(root, "tests/integration/defs/perf/disagg/test_configs/disagg/perf"),
	}
}

func (r *resolver) read(name string, disagg bool) configFile {
	key := name + "\x00" + strconv.FormatBool(disagg)
	if c, ok := r.configs[key]; ok {
		return c
	}
	c := configFile{path: name}
	var data []byte
	if data, c.err = os.ReadFile(name); c.err == nil {
		sum := sha256.Sum256(data)
		c.sum = hex.EncodeToString(sum[:])
		var src *source
		if src, c.err = readSource(name, data); c.err == nil {
			c.m = readModel(src, disagg)
		}
	}
	r.configs[key] = c
	return c
}

func validName(s string) bool {
	return s != "" && strings.Trim(s, "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" && (s[0] < '0' || s[0] > '9')
}
