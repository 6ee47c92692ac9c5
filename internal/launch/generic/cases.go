package generic

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// combination is a case before it is planned: one combination of the variables of an entry.
type combination struct {
	id, name, pipeline string
	vars               map[string]string
	tags               []string
	timeout            rundir.Duration
	key                string // where it stands in the config
}

// maxCases bounds what a matrix multiplies to.
const maxCases = 10_000

// cases are all cases of the config, in its order.
func (c Config) cases(bad func(key, format string, args ...any)) []combination {
	if len(c.Cases) == 0 {
		var out []combination
		for _, name := range slices.Sorted(maps.Keys(c.Pipelines)) {
			out = append(out, combination{id: name, name: name, pipeline: name, vars: map[string]string{}, key: strictyaml.Path("pipelines", name)})
		}
		return out
	}
	var out []combination
	first, made := map[string]string{}, 0
	for i, e := range c.Cases {
		key := strictyaml.Path("cases", i)
		pipeline, why := c.pipelineOf(e)
		if why != "" {
			bad(key+".pipeline", "%s", why)
			continue
		}
		name := cmp.Or(e.Name, pipeline)
		if !plainName(name) {
			bad(key+".name", "%q is no name for a case: letters, digits, dots, dashes and underscores", name)
			continue
		}
		combined := e.combine(key, bad)
		if made += len(combined); made > maxRoles {
			bad(key, "makes more than %d cases", maxRoles)
			break
		}
		for _, k := range combined {
			k.name, k.pipeline, k.tags, k.timeout = name, pipeline, e.Tags, e.Timeout
			k.id = caseID(name, k.vars)
			if at, twice := first[k.id]; twice {
				bad(k.key, "the case %s is there already (%s): give one of them another name, or leave it out", k.id, at)
				continue
			}
			first[k.id] = k.key
			out = append(out, k)
		}
	}
	return out
}

// pipelineOf is the pipeline of an entry, or what is wrong with it.
func (c Config) pipelineOf(e Entry) (name, why string) {
	names := slices.Sorted(maps.Keys(c.Pipelines))
	switch {
	case len(names) == 0:
		return "", "there are no pipelines: write one below pipelines:"
	case e.Pipeline == "" && len(names) == 1:
		return names[0], ""
	case e.Pipeline == "":
		return "", "is missing, and there are several: " + strings.Join(names, ", ")
	case !slices.Contains(names, e.Pipeline):
		return "", fmt.Sprintf("%q is not one of pipelines: %s%s", e.Pipeline, strings.Join(names, ", "), strictyaml.DidYouMean(e.Pipeline, names))
	}
	return e.Pipeline, ""
}

// combine is every combination of an entry's variables that is not excluded, and what
// is included beside.
func (e Entry) combine(key string, bad func(key, format string, args ...any)) []combination {
	names := slices.Sorted(maps.Keys(e.Vars))
	total := 1
	for _, name := range names {
		at := key + strings.TrimPrefix(strictyaml.Path("x", "vars", name), "x")
		switch {
		case !variable(name) || slices.Contains(reserved(), name):
			bad(at, "%q cannot be the name of a variable: letters, digits and underscores, and none of %s", name, strings.Join(reserved(), ", "))
			return nil
		case len(e.Vars[name]) == 0:
			bad(at, "has no value: a matrix over nothing is nothing")
			return nil
		}
		if total *= len(e.Vars[name]); total > maxCases {
			bad(key+".vars", "multiplies to more than %d cases", maxCases)
			return nil
		}
	}
	var out []combination
	for n := range total {
		vars := map[string]string{}
		for _, name := range slices.Backward(names) {
			values := e.Vars[name]
			vars[name] = values[n%len(values)]
			n /= len(values)
		}
		if !slices.ContainsFunc(e.Exclude, func(x map[string]string) bool { return covers(x, vars) }) {
			out = append(out, combination{vars: vars, key: key})
		}
	}
	e.checkExclude(key, bad)
	return append(out, e.included(key, bad)...)
}

// covers reports whether all variables of some are as in all.
func covers(some, all map[string]string) bool {
	for name, v := range some {
		if all[name] != v {
			return false
		}
	}
	return true
}

// checkExclude finds exclusions that could never exclude anything.
func (e Entry) checkExclude(key string, bad func(key, format string, args ...any)) {
	for i, x := range e.Exclude {
		for _, name := range slices.Sorted(maps.Keys(x)) {
			at := key + ".exclude" + strings.TrimPrefix(strictyaml.Path("x", i, name), "x")
			switch values, ok := e.Vars[name]; {
			case !ok:
				bad(at, "is no variable of this entry%s", strictyaml.DidYouMean(name, slices.Sorted(maps.Keys(e.Vars))))
			case !slices.Contains(values, x[name]):
				bad(at, "%s is never %q: nothing would be left out", name, x[name])
			}
		}
		if len(x) == 0 {
			bad(key+strings.TrimPrefix(strictyaml.Path("x", "exclude", i), "x"), "is empty, and would leave out every case")
		}
	}
}

// included are the cases that are named one by one. A variable that has one value has
// it in them, too.
func (e Entry) included(key string, bad func(key, format string, args ...any)) []combination {
	var out []combination
	for i, add := range e.Include {
		at := key + strings.TrimPrefix(strictyaml.Path("x", "include", i), "x")
		vars := maps.Clone(add)
		if vars == nil {
			vars = map[string]string{}
		}
		for _, name := range slices.Sorted(maps.Keys(e.Vars)) {
			_, given := vars[name]
			switch values := e.Vars[name]; {
			case given:
			case len(values) == 1:
				vars[name] = values[0]
			default:
				bad(at, "does not say which %s: it has several", name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(add)) {
			if _, ok := e.Vars[name]; !ok {
				bad(at+strings.TrimPrefix(strictyaml.Path("x", name), "x"), "is no variable of this entry%s", strictyaml.DidYouMean(name, slices.Sorted(maps.Keys(e.Vars))))
			}
		}
		out = append(out, combination{vars: vars, key: at})
	}
	return out
}

// caseID is name[a=1,b=2]: the same for the same variables, wherever they stand, and
// different for different ones.
func caseID(name string, vars map[string]string) string {
	if len(vars) == 0 {
		return name
	}
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(vars)) {
		parts = append(parts, v+"="+idValue(vars[v]))
	}
	return name + "[" + strings.Join(parts, ",") + "]"
}

// idValue is a value as it stands in an id: quoted where it could be taken for more
// than a value, or not be seen.
func idValue(v string) string {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`,=[]"'\*?`, r)
	}) {
		return strconv.Quote(v)
	}
	return v
}

func variable(s string) bool {
	return s != "" && strings.Trim(s, letters+digits+"_") == "" && !strings.Contains(digits, s[:1])
}

func plainName(s string) bool {
	return s != "" && strings.Trim(s, letters+digits+"_-.") == "" && strings.Contains(letters+digits, s[:1])
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// reserved are names that a case's variables cannot have: keys of the series
// identity, and what {case.…} means already.
func reserved() []string { return []string{"cluster", "gpu_type", "id", "name", "pipeline"} }

// Match reports whether an id is meant by a pattern: the id itself, or a text in which
// * stands for any text and ? for one character. Brackets are brackets: ids have them.
func Match(pattern, id string) bool {
	if pattern == id {
		return true
	}
	p, s := []rune(pattern), []rune(id)
	star, mark, i, j := -1, 0, 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), "*") == ""
}
