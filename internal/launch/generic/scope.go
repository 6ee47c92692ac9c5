package generic

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Shell variables that role.sh exports before a role's command.
const (
	varHost = "CI_DISAGG_HOST"
	varPort = "CI_DISAGG_PORT"
	varOut  = "CI_DISAGG_OUT"
	varRun  = "CI_DISAGG_RUN"
	varRef  = "CI_DISAGG_REF_"
)

// instance is one role of the plan: one of a group of alike ones.
type instance struct {
	Role
	name                string
	index               int
	nodes, gpus, ntasks int
	port                int  // fixed; 0 = none
	hasPort             bool // a fixed one, or one that role.sh finds
	published           bool // role.sh says where it is: it has a port, or names its host
	slice               []rundir.NodeShare
	overlap             bool
	devices             []int // of the shared node, where Slurm cannot hand them out
}

// scope is what templates mean: in a case, and in the texts of one of its roles.
type scope struct {
	combination
	groups map[string][]*instance // nil while sizes are not known
	own    *instance              // nil where a text is no role's
	refs   []rundir.AddressRef    // the other roles' addresses that were asked for
}

// value implements lookup.
func (s *scope) value(name string) (value, bool, error) {
	head, rest, dotted := strings.Cut(name, ".")
	switch {
	case !dotted:
		v, ok := s.ownValue(name)
		return v, ok, nil
	case head == "case":
		v, ok := s.caseValue(rest)
		return value{text: v}, ok, nil
	case s.groups == nil || len(s.groups[head]) == 0:
		return value{}, false, nil
	default:
		return s.roleValue(s.groups[head], rest)
	}
}

func (s *scope) caseValue(name string) (string, bool) {
	switch name {
	case "id":
		return s.id, true
	case "name":
		return s.name, true
	case "pipeline":
		return s.pipeline, true
	}
	v, ok := s.vars[name]
	return v, ok
}

// ownValue is what a role's texts know of it.
func (s *scope) ownValue(name string) (value, bool) {
	if s.own == nil {
		return value{}, false
	}
	text := func(n int) (value, bool) { return value{text: strconv.Itoa(n)}, true }
	switch name {
	case "host":
		return value{variable: varHost}, true
	case "port":
		if s.own.port > 0 {
			return text(s.own.port)
		}
		return value{variable: varPort}, true
	case "out":
		return value{variable: varOut}, true
	case "role":
		return value{text: s.own.name}, true
	case "index":
		return text(s.own.index)
	case "gpus":
		return text(s.own.gpus)
	case "nodes":
		return text(max(1, s.own.nodes))
	case "tasks":
		return text(s.own.ntasks)
	}
	return value{}, false
}

func ownNames() []string {
	return []string{"gpus", "host", "index", "nodes", "out", "port", "role", "tasks"}
}

// addressParts are what can be asked of a role's address, and of all roles of a group.
func addressParts() map[string]string {
	return map[string]string{"host": "hosts", "port": "ports", "address": "addresses", "url": "urls"}
}

// roleValue is a value of another role, or of all of a group.
func (s *scope) roleValue(group []*instance, rest string) (value, bool, error) {
	if rest == "count" {
		return value{text: strconv.Itoa(len(group))}, true, nil
	}
	for one, all := range addressParts() {
		if rest == all {
			return s.address(group, one)
		}
	}
	which, part, numbered := strings.Cut(rest, ".")
	if !numbered {
		which, part = "0", rest
	}
	_, address := addressParts()[part]
	n, isNumber := index(which)
	switch {
	case part != "out" && !address || !isNumber:
		return value{}, false, nil
	case !numbered && len(group) > 1:
		return value{}, true, fmt.Errorf("which of the %d? {%s.0.%s} is the first, and {%s.%s} has all, joined by commas", len(group), group[0].Name, part, group[0].Name, addressParts()["url"])
	case n >= len(group):
		return value{}, true, fmt.Errorf("there are %d of them, counted from 0", len(group))
	case part == "out":
		return value{variable: varRun, text: "/output/" + group[n].name}, true, nil
	}
	return s.address(group[n:n+1], part)
}

func index(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// address is a shell variable made of published addresses.
func (s *scope) address(group []*instance, part string) (value, bool, error) {
	if !group[0].hasPort && (part != rundir.PartHost || !group[0].published) {
		return value{}, true, fmt.Errorf("%s publishes no address: use {port} in its command, or give it a fixed one (port: 8000)", group[0].Name)
	}
	if s.own == nil {
		return value{}, true, errors.New("is known to roles only")
	}
	ref := rundir.AddressRef{Part: part}
	for _, r := range group {
		ref.Roles = append(ref.Roles, r.name)
	}
	i := slices.IndexFunc(s.refs, func(r rundir.AddressRef) bool { return r.Part == part && slices.Equal(r.Roles, ref.Roles) })
	if i < 0 {
		i = len(s.refs)
		ref.Var = varRef + strconv.Itoa(i)
		s.refs = append(s.refs, ref)
	}
	return value{variable: s.refs[i].Var}, true, nil
}

// names implements lookup: everything that could have been meant.
func (s *scope) names() []string {
	var out []string
	if s.own != nil {
		out = ownNames()
	}
	for _, name := range slices.Sorted(maps.Keys(s.vars)) {
		out = append(out, "case."+name)
	}
	out = append(out, "case.name", "case.id")
	for _, group := range slices.Sorted(maps.Keys(s.groups)) {
		parts := addressParts()
		if one := s.groups[group][0]; !one.hasPort {
			maps.DeleteFunc(parts, func(part, _ string) bool { return part != rundir.PartHost || !one.published })
		}
		for _, part := range append(slices.Sorted(maps.Keys(parts)), "out") {
			if len(s.groups[group]) == 1 {
				out = append(out, group+"."+part)
			}
			out = append(out, group+".0."+part)
		}
		for _, part := range slices.Sorted(maps.Values(parts)) {
			out = append(out, group+"."+part)
		}
		out = append(out, group+".count")
	}
	return out
}

// mentions reports whether a text has this template.
func mentions(text, name string) bool {
	for _, m := range mark.FindAllStringIndex(text, -1) {
		t := text[m[0]:m[1]]
		if !strings.HasPrefix(t, "{{") && (m[0] == 0 || text[m[0]-1] != '$') && strings.Trim(t, "{}") == name {
			return true
		}
	}
	return false
}

// hasPort reports whether the role is meant to listen: it names the port or asks for one.
// Naming the host alone is no sign of that.
func (r Role) hasPort(p Pipeline) bool { return r.Port != "" || r.mentions(p, "port") }

// mentions reports whether a text of the role has a template of its own.
func (r Role) mentions(p Pipeline, name string) bool {
	return slices.ContainsFunc(r.texts(p), func(t string) bool { return mentions(t, name) })
}

// misspelt asks whether a template of the role was to be the one of that name.
func (r Role) misspelt(p Pipeline, name string) string {
	for _, text := range r.texts(p) {
		for _, m := range mark.FindAllString(text, -1) {
			if typed := strings.Trim(m, "{}"); strictyaml.Nearest(typed, []string{name}) == name {
				return fmt.Sprintf("; by {%s}, did you mean {%s}?", typed, name)
			}
		}
	}
	return ""
}

// texts are all texts of a role in which {port} may stand.
func (r Role) texts(p Pipeline) []string {
	out := append(slices.Clone(r.Command.Argv), r.Command.Shell, r.Launcher, r.Dir, p.Dir)
	return slices.Concat(out, slices.Sorted(maps.Values(r.Env)), slices.Sorted(maps.Values(p.Env)))
}
