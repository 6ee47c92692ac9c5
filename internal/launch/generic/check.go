package generic

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// needsOf are the roles that must be ready, or have ended well, before a role starts:
// those that it names; else servers for a router, servers and routers for a client, as
// far as they are critical.
func (p Pipeline) needsOf(r Role) []string {
	if r.Needs != nil || r.Kind != rundir.KindClient && r.Kind != rundir.KindRouter {
		return r.Needs
	}
	var out []string
	for _, other := range p.Roles {
		if other.optional() {
			continue
		}
		if other.Kind == rundir.KindServer || other.Kind == rundir.KindRouter && r.Kind == rundir.KindClient {
			out = append(out, other.Name)
		}
	}
	return out
}

// optional reports whether the role may leave.
func (r Role) optional() bool { return r.Critical != nil && !*r.Critical }

// stop reports whether the role is ended when the client is through.
func (r Role) stop() bool {
	return r.Stop == rundir.StopWithClient || r.Stop == "" && !rundir.Works(r.Kind)
}

const stopByItself = "by-itself"

func kinds() []string {
	return []string{rundir.KindServer, rundir.KindRouter, rundir.KindClient, rundir.KindTask}
}

// validation holds one pipeline against itself.
type validation struct {
	p    Pipeline
	doc  strictyaml.Document
	path string
	err  *problems
}

func (v validation) bad(role int, key, format string, args ...any) {
	path := v.path + ".roles"
	if role >= 0 {
		path += strings.TrimPrefix(strictyaml.Path("x", role), "x")
	}
	if key != "" {
		path += "." + key
	}
	v.err.add(v.doc, path, format, args...)
}

func (v validation) names() []string {
	var out []string
	for _, r := range v.p.Roles {
		out = append(out, r.Name)
	}
	return out
}

func (v validation) pipeline() {
	clients, tasks, leaving := 0, 0, -1
	for i, r := range v.p.Roles {
		v.role(i, r)
		if r.Kind == rundir.KindTask && r.optional() {
			leaving = i
			continue // it may leave: nothing waits for its end
		}
		switch r.Kind {
		case rundir.KindClient:
			if clients++; clients > 1 {
				v.bad(i, "kind", "a second client: the run is over when the client is through, so there is one; make the other a task that it needs, or a pipeline of its own")
			}
		case rundir.KindTask:
			tasks++
		}
	}
	switch {
	case len(v.p.Roles) == 0:
		v.bad(-1, "", "no roles: a pipeline has at least a client or a task")
	case clients+tasks == 0 && leaving >= 0:
		v.bad(leaving, "critical", "%s is all that works here, and nothing waits for who may leave: the run would never end. Remove critical: false, or give a role kind: client", v.p.Roles[leaving].Name)
	case clients+tasks == 0:
		v.bad(-1, "", "servers only: nothing here would ever end. Give one role kind: client (it measures servers) or task (it does its work and ends)")
	}
	v.order()
}

func (v validation) role(i int, r Role) {
	switch first := slices.Index(v.names(), r.Name); {
	case r.Name == "":
		v.bad(i, "name", "is missing")
	case !variable(r.Name) || slices.Contains(append(ownNames(), "case"), r.Name):
		v.bad(i, "name", "%q cannot be the name of a role: letters, digits and underscores, no digit in front, and none of case, %s", r.Name, strings.Join(ownNames(), ", "))
	case first != i:
		v.bad(i, "name", "%q is the name of two roles: for several alike ones give count:", r.Name)
	}
	for _, o := range v.p.Roles {
		if number, ok := strings.CutPrefix(r.Name, o.Name+"_"); ok && o.Count != "" && strings.Trim(number, digits) == "" {
			v.bad(i, "name", "%q is what an instance of %s is called", r.Name, o.Name)
		}
	}
	if !slices.Contains(kinds(), r.Kind) {
		v.bad(i, "kind", "%s: server (serves until the client is through), router (passes on to servers), client (measures them) or task (does its work and ends)%s", missing(r.Kind), strictyaml.DidYouMean(r.Kind, kinds()))
	}
	if r.Command.empty() {
		v.bad(i, "command", "is missing: a list of a program and its arguments, or shell text")
	}
	if rundir.Works(r.Kind) && r.Kind == rundir.KindClient && r.Count != "" && r.Count != "1" {
		v.bad(i, "count", "there is one client: several tasks of it are tasks:, and further load is a task")
	}
	if r.Stop != "" && r.Stop != rundir.StopWithClient && r.Stop != stopByItself {
		v.bad(i, "stop", "%q is not %s or %s%s", r.Stop, rundir.StopWithClient, stopByItself, strictyaml.DidYouMean(r.Stop, []string{rundir.StopWithClient, stopByItself}))
	}
	if r.Kind == rundir.KindClient && r.Stop == rundir.StopWithClient {
		v.bad(i, "stop", "the client ends by itself: its end is what the others are ended with")
	}
	if r.Kind == rundir.KindTask && r.Stop == rundir.StopWithClient && !r.optional() {
		v.bad(i, "stop", "a task is waited for until it ends by itself: for one that is to run until the client is through use kind: server, or critical: false if it may also leave before")
	}
	if r.optional() && r.Kind == rundir.KindClient {
		v.bad(i, "critical", "the client is what the run is about: without it there is no result")
	}
	v.ready(i, r)
	v.others(i, r)
	v.numbers(i, r)
}

// numbers checks those that are none of a case's.
func (v validation) numbers(i int, r Role) {
	for _, n := range []struct {
		key, text string
		least     int
	}{{"count", r.Count, 1}, {"nodes", r.Nodes, 1}, {"gpus", r.GPUs, 0}, {"tasks", r.Tasks, 1}, {"port", r.Port, 1}} {
		if n.text == "" || strings.Contains(n.text, "{") {
			continue
		}
		if _, wrong := whole(n.key, n.text, n.least); wrong != "" {
			v.bad(i, n.key, "%s", wrong)
		}
	}
}

func missing(value string) string {
	if value == "" {
		return "is missing"
	}
	return fmt.Sprintf("%q is no kind of role", value)
}

func (v validation) ready(i int, r Role) {
	for _, probe := range []struct {
		key string
		set bool
	}{{"http", r.Ready.HTTP != ""}, {"tcp", r.Ready.TCP}} {
		if probe.set && !r.hasPort(v.p) {
			v.bad(i, "ready."+probe.key, "asks at a port, and the role has none: use {port} in its command, or name the one that it has (port: 8000)%s", r.misspelt(v.p, "port"))
		}
	}
	if r.Ready.HTTP != "" && !strings.HasPrefix(r.Ready.HTTP, "/") {
		v.bad(i, "ready.http", "%q is no path: it begins with a slash, such as /health; host and port are the role's own", r.Ready.HTTP)
	}
	if rundir.Works(r.Kind) && (r.Ready != Ready{}) {
		v.bad(i, "ready", "a %s is never waited for to be ready, but to end: remove it", r.Kind)
	}
	for j, f := range r.Bench {
		if len(f.Files) == 0 {
			v.bad(i, fmt.Sprintf("bench[%d].files", j), "is missing: patterns of files below the role's output folder, {out}")
		}
	}
}

// others checks what a role says of others.
func (v validation) others(i int, r Role) {
	for j, name := range r.Needs {
		key := fmt.Sprintf("needs[%d]", j)
		switch at := slices.Index(v.names(), name); {
		case at < 0:
			v.bad(i, key, "%q is no role of this pipeline: %s%s", name, strings.Join(v.names(), ", "), strictyaml.DidYouMean(name, v.names()))
		case v.p.Roles[at].Kind == rundir.KindClient:
			v.bad(i, key, "%s is the client: when it is through the run is over", name)
		}
	}
	if r.With != "" && !slices.Contains(v.names(), r.With) {
		v.bad(i, "with", "%q is no role of this pipeline: %s%s", r.With, strings.Join(v.names(), ", "), strictyaml.DidYouMean(r.With, v.names()))
	}
	seen := []string{r.Name}
	for at := r; at.With != "" && at.With != at.Name; {
		next := slices.Index(v.names(), at.With)
		if next < 0 {
			break
		}
		at = v.p.Roles[next]
		if slices.Contains(seen, at.Name) {
			if slices.Min(seen) != r.Name {
				break // said of another
			}
			v.bad(i, "with", "goes round in a circle: %s", strings.Join(append(seen, at.Name), " with "))
			break
		}
		seen = append(seen, at.Name)
	}
}

// order finds roles that would wait for each other.
func (v validation) order() {
	for i, r := range v.p.Roles {
		if circle := v.circle(r.Name, []string{r.Name}); circle != nil {
			v.bad(i, "needs", "goes round in a circle, and none of them would start: %s", strings.Join(circle, " needs "))
			return
		}
	}
}

// circle follows the needs of the last role of a path back to its first.
func (v validation) circle(name string, path []string) []string {
	at := slices.Index(v.names(), name)
	if at < 0 {
		return nil
	}
	for _, next := range v.p.needsOf(v.p.Roles[at]) {
		if next == path[0] {
			return append(path, next)
		}
		if !slices.Contains(path, next) {
			if c := v.circle(next, append(slices.Clone(path), next)); c != nil {
				return c
			}
		}
	}
	return nil
}

// waits finds roles that ask for the address of one that starts only after them.
func (b *building) waits(roles []rundir.RolePlan) {
	for _, r := range roles {
		for _, ref := range r.Refs {
			for _, name := range ref.Roles {
				other := roles[slices.IndexFunc(roles, func(o rundir.RolePlan) bool { return o.Name == name })]
				if b.startsAfter(other.Group, r.Group, nil) {
					b.at = b.rolePath(slices.IndexFunc(b.p.Roles, func(o Role) bool { return o.Name == r.Group }))
					b.bad("command", "asks for the address of %s, which starts only after %s: neither would start", name, r.Group)
				}
			}
		}
	}
}

// startsAfter reports whether a role needs another, directly or not.
func (b *building) startsAfter(name, first string, seen []string) bool {
	at := slices.IndexFunc(b.p.Roles, func(o Role) bool { return o.Name == name })
	for _, next := range b.p.needsOf(b.p.Roles[at]) {
		if next == first || !slices.Contains(seen, next) && b.startsAfter(next, first, append(seen, next)) {
			return true
		}
	}
	return false
}
