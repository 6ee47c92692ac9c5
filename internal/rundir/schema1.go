package rundir

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
)

// FindRun is the directory of run k of an attempt that exists. Before schema 2 an
// attempt was one run, and its directory the run's.
func FindRun(a AttemptDir, k int) RunDir {
	here := func(path string) bool {
		info, err := os.Lstat(path)
		return err == nil && info.IsDir()
	}
	if k == 0 && !here(string(a.Run(0))) && (here(RunDir(a).RoleDir("")) || here(RunDir(a).Output())) {
		return RunDir(a)
	}
	return a.Run(k)
}

// plan1 is what plans of schema 1 had elsewhere.
type plan1 struct {
	Roles       []RolePlan        `json:"roles"`
	PreRoles    []RolePlan        `json:"pre_roles"`
	Install     string            `json:"install"`
	Setup       string            `json:"setup"`
	Container   *Container        `json:"container"`
	OutputNames map[string]string `json:"output_names"`
	DoneNames   map[string]string `json:"done_names"`
}

// upgradePlan gives a plan of schema 1 its only build and its only run.
func upgradePlan(p *Plan, data []byte) error {
	var old plan1
	if err := json.Unmarshal(data, &old); err != nil {
		return err
	}
	roles := slices.Concat(old.PreRoles, old.Roles)
	upgradeRoles(roles)
	for i := range roles {
		roles[i].Output, roles[i].Done = old.OutputNames[roles[i].Name], old.DoneNames[roles[i].Name]
	}
	for i := range p.Paths {
		if p.Paths[i].Value != "output" {
			p.Paths[i].Value = "../" + p.Paths[i].Value // they were below the attempt's directory
		}
	}
	// Our own part of commands names files below the run's directory.
	moved := func(text string) string {
		return strings.NewReplacer("$CI_DISAGG_ATTEMPT/roles/", "$CI_DISAGG_RUN/roles/", "$CI_DISAGG_ATTEMPT/by-case", "$CI_DISAGG_RUN/by-case").Replace(text)
	}
	for i := range roles {
		roles[i].Command = moved(roles[i].Command)
	}
	for i := range p.Exports {
		p.Exports[i].Value = moved(p.Exports[i].Value)
	}
	p.Builds = []BuildPlan{{Name: HeadBuild, Install: old.Install, Setup: old.Setup, Container: old.Container, Roles: roles}}
	p.Runs = OneRun()
	return nil
}

// upgrade makes of a record of schema 1, data, which has been read into v, one of
// today. This is the only file that knows what schema 1 meant.
func upgrade(data []byte, v any) error {
	switch r := v.(type) {
	case *Plan:
		return upgradePlan(r, data)
	case *Job:
		upgradeCancel(r.Cancel)
	case *Run:
		for _, c := range r.Cases {
			for i := range c.Attempts {
				upgradeDue(&c.Attempts[i])
			}
		}
	case *RoleRecord:
		r.Kind = kindOf1(r.Kind)
	case *AttemptOutcome:
		upgradeFinding(r.Finding)
	case *AgentRecord:
		r.Run = OneRun()[0]
		for i := range r.Roles {
			r.Roles[i].Kind = kindOf1(r.Roles[i].Kind)
		}
		if r.End != nil {
			upgradeFinding(r.End.Finding)
			var err error
			r.End.Evidence, err = upgradeEvidence(r.End.Evidence)
			return err
		}
	}
	return nil
}

// upgradeFinding gives a kind today's name: the agent had one of its own.
func upgradeFinding(f *Finding) {
	if f != nil && f.Kind == "walltime" {
		f.Kind = "time-limit"
	}
}

// upgradeCancel gives a cancellation the cause that only its text told.
func upgradeCancel(c *Cancel) {
	if c == nil || c.Cause != "" {
		return
	}
	switch {
	case strings.HasPrefix(c.Reason, "interrupted"):
		c.Cause = CauseInterrupted
	case strings.HasPrefix(c.Reason, "withdrawn"):
		c.Cause = CauseLimit
	}
}

// upgradeDue gives an attempt the reason that only its text told.
func upgradeDue(a *Attempt) {
	if a.Due != "" {
		return
	}
	switch {
	case strings.HasPrefix(a.Why, "resumed;"):
		a.Due = DueResumed
	case strings.HasPrefix(a.Why, "again;"):
		a.Due = DueAgain
	case a.Attempt > 1:
		a.Due = DueRetry
	}
}

// kindOf1 is today's name of a role's kind. Schema 1 named TensorRT-LLM's roles.
func kindOf1(kind string) string {
	switch kind {
	case "gen", "ctx":
		return KindServer
	case "server":
		return KindRouter
	case "benchmark":
		return KindClient
	case "agg":
		return KindTask
	}
	return kind
}

// upgradeRoles gives roles what their names said in schema 1.
func upgradeRoles(roles []RolePlan) {
	shown := map[string]int{"ctx": 1, "gen": 2, "server": 3, "benchmark": 4}
	for i := range roles {
		r := &roles[i]
		r.Group, r.Shown = r.Name, shown[r.Kind]
		if r.Kind == "gen" || r.Kind == "ctx" {
			r.Group, _, _ = strings.Cut(r.Name, "_")
		}
		r.Kind = kindOf1(r.Kind)
	}
}

// upgradeEvidence renames the kinds of the roles in a blame.Evidence.
func upgradeEvidence(data json.RawMessage) (json.RawMessage, error) {
	if len(data) == 0 {
		return data, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil || all["Roles"] == nil {
		return data, err
	}
	var roles []map[string]any
	if err := json.Unmarshal(all["Roles"], &roles); err != nil {
		return data, err
	}
	for _, r := range roles {
		if kind, ok := r["Kind"].(string); ok {
			r["Kind"] = kindOf1(kind)
		}
	}
	var err error
	if all["Roles"], err = json.Marshal(roles); err != nil {
		return data, err
	}
	return json.Marshal(all)
}
