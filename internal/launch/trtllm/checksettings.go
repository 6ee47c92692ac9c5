package trtllm

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/testlist"
)

// CheckShared holds what cases of other producers share of the section against itself.
func CheckShared(in Input) error {
	r := &resolver{in: in, set: settingsOf(in)}
	r.checkShell()
	r.checkEnv()
	return r.located().Err()
}

// checkSettings holds the section workload: against itself.
func (r *resolver) checkSettings() {
	s, file := r.set, r.in.ConfigFile
	if s.OutputLayout != LayoutTRTLLM && s.OutputLayout != LayoutNone {
		r.problem(file, 0, "workload.output_layout", "%q is not trtllm or none", s.OutputLayout)
	}
	r.checkShell()
	values := map[string]string{"source": s.Source, "dir": s.Dir, "disagg_configs": s.DisaggConfigs, "agg_configs": s.AggConfigs, "gpu_type": s.GPUType}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if v := values[key]; document.Placeholder(path.Base(v)) || document.Placeholder(v) {
			r.problem(file, 0, "workload."+key, "%q is a placeholder: write the real value", v)
		}
	}
	if strings.ContainsAny(s.Launcher, " \t\n\"'\\$`;&|<>()") {
		r.problem(file, 0, "workload.launcher", "%q is not the name or path of one program", s.Launcher)
	}
	r.checkEnv()
	known, warnings, problems := testlist.KnownFailures(s.KnownFailures, file, r.in.Today)
	r.known = known
	r.warnings = append(r.warnings, warnings...)
	r.problems = append(r.problems, problems...)
	r.readWaives()
	r.checkSelection()
	r.checkServerLogs()
	r.lookAtPlaces()
}

// lookAtPlaces warns of directories of the workload that are not here: as a rule the
// nodes have not got them either, and each role would say so, after the queue.
func (r *resolver) lookAtPlaces() {
	if r.in.Cluster.Elsewhere {
		return
	}
	places := []struct{ key, path string }{{"source", r.set.Source}, {"dir", r.set.workdir}}
	for i, p := range places {
		if p.path == "" || i > 0 && r.set.Dir == "" && !seen(places[0].path) { // said already
			continue
		}
		if !seen(p.path) {
			r.warnings = append(r.warnings, fmt.Sprintf("workload.%s: %s cannot be seen from here: it must be a directory on every node", p.key, p.path))
		}
	}
}

// seen reports whether a directory is here.
func seen(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkEnv checks what reaches the roles' environment.
func (r *resolver) checkEnv() {
	s, file := r.set, r.in.ConfigFile
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
}

func (r *resolver) readWaives() {
	for _, w := range slices.Concat(r.set.Waives, r.in.Waives) {
		data, err := r.in.Read(r.in.abs(w))
		if err != nil {
			r.problem(w, 0, "", "cannot be read: %v", err)
			continue
		}
		list, problems := testlist.ParseWaives(w, data)
		r.waives = append(r.waives, list...)
		r.problems = append(r.problems, problems...)
	}
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

// checkServerLogs holds workload.server_logs against what the agent can match.
func (r *resolver) checkServerLogs() {
	for _, glob := range r.in.Config.ServerLogs {
		_, err := path.Match(glob, "")
		switch {
		case err != nil:
			r.problem(r.in.ConfigFile, 0, "workload.server_logs", "%q is no pattern: close its bracket or escape it with a backslash", glob)
		case strings.Contains(glob, "/"):
			r.problem(r.in.ConfigFile, 0, "workload.server_logs", "%q: name files in the test's output directory, without a slash", glob)
		case !strings.Contains(glob, rolePlaceholder):
			r.problem(r.in.ConfigFile, 0, "workload.server_logs", "%q does not say whose log it is: put %s where the role's name stands", glob, rolePlaceholder)
		}
	}
}

func validName(s string) bool {
	return s != "" && strings.Trim(s, "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" && (s[0] < '0' || s[0] > '9')
}
