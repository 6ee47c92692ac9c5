package rundir

import (
	"encoding/json"
	"strings"
)

// upgrade makes of a record of schema 1, which has been read into v, one of today.
// This is the only place that knows what schema 1 meant.
func upgrade(v any) error {
	switch r := v.(type) {
	case *Plan:
		upgradeRoles(r.Roles)
		upgradeRoles(r.PreRoles)
	case *RoleRecord:
		r.Kind = kindOf1(r.Kind)
	case *AgentRecord:
		for i := range r.Roles {
			r.Roles[i].Kind = kindOf1(r.Roles[i].Kind)
		}
		if r.End != nil {
			var err error
			r.End.Evidence, err = upgradeEvidence(r.End.Evidence)
			return err
		}
	}
	return nil
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
