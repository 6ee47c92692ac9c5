package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	merge "github.com/ci-disagg/ci-disagg/internal/report/oldmerge"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// pathPattern makes a regular expression of a path pattern, which has to match
// the end of the path.
func pathPattern(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("(?:^|/)")
	names := []string{"role", "rank", "rep", "attempt", "case"}
	for _, n := range names {
		if strings.Count(pattern, "{"+n+"}") > 1 {
			return nil, fmt.Errorf("pattern %s: each placeholder may stand once", pattern)
		}
	}
	for i := 0; i < len(pattern); {
		rest := pattern[i:]
		switch {
		case strings.HasPrefix(rest, "**/"):
			b.WriteString("(?:.*/)?")
			i += 3
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			i += 2
		case rest[0] == '*':
			b.WriteString("[^/]*")
			i++
		case rest[0] == '?':
			b.WriteString("[^/]")
			i++
		case rest[0] == '{':
			end := strings.IndexByte(rest, '}')
			if end < 0 || !slices.Contains(names, rest[1:end]) {
				return nil, fmt.Errorf("pattern %s: use {%s}", pattern, strings.Join(names, "}, {"))
			}
			what := `[^/]+?`
			if n := rest[1:end]; n == "rank" || n == "rep" || n == "attempt" {
				what = `\d+`
			}
			fmt.Fprintf(&b, "(?P<%s>%s)", rest[1:end], what)
			i += end + 1
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
			i++
		}
	}
	b.WriteString("$")
	return regexp.Compile(b.String())
}

// roleInput sorts files by what their paths say. Of several attempts the last
// counts. An argument that names no file is a case that could not be read.
func (o *mergeOptions) roleInput(files []merge.File, missing []merge.Missing) (merge.Input, error) {
	re, err := pathPattern(o.RoleFrom)
	if err != nil {
		return merge.Input{}, err
	}
	in := merge.Input{Stage: o.Name}
	var strangers []string
	for _, f := range files {
		m := re.FindStringSubmatch(filepath.ToSlash(f.Path))
		if m == nil {
			strangers = append(strangers, f.Shown)
			continue
		}
		part := func(name string) string {
			if i := re.SubexpIndex(name); i >= 0 {
				return m[i]
			}
			return ""
		}
		number := func(name string) int {
			n, _ := strconv.Atoi(part(name)) // digits, or "" = 0
			return n
		}
		f.Rank = number("rank")
		addResult(&in, part("case"), number("rep"), number("attempt"), part("role"), f)
	}
	if len(strangers) > 0 {
		return in, fmt.Errorf("merge: --role-from %s matches the end of no such path: %s; leave them out by a glob", o.RoleFrom, firstFew(strangers))
	}
	for _, one := range missing {
		in.Cases = append(in.Cases, merge.Case{Slug: one.Name, Error: one.Name + ": " + one.Why})
	}
	slices.SortStableFunc(in.Cases, func(a, b merge.Case) int { return merge.Natural(a.Slug, b.Slug) })
	for i := range in.Cases {
		o.finishCase(&in.Cases[i])
	}
	return in, nil
}

func addResult(in *merge.Input, slug string, rep, attempt int, role string, f merge.File) {
	ci := slices.IndexFunc(in.Cases, func(c merge.Case) bool { return c.Slug == slug })
	if ci < 0 {
		ci = len(in.Cases)
		in.Cases = append(in.Cases, merge.Case{Slug: slug})
	}
	c := &in.Cases[ci]
	ri := slices.IndexFunc(c.Runs, func(r merge.Run) bool { return r.Rep == rep && r.Attempt == attempt })
	if ri < 0 {
		ri = len(c.Runs)
		c.Runs = append(c.Runs, merge.Run{Rep: rep, Attempt: attempt})
	}
	r := &c.Runs[ri]
	i := slices.IndexFunc(r.Roles, func(x merge.Role) bool { return x.Name == role })
	if i < 0 {
		i = len(r.Roles)
		r.Roles = append(r.Roles, merge.Role{RoleRecord: rundir.RoleRecord{Name: role}, JUnit: true})
	}
	r.Roles[i].Files = append(r.Roles[i].Files, f)
}

// firstFew names some of many.
func firstFew(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// finishCase orders the runs of a case, marks those that count and adds the
// roles that should have left a file.
func (o *mergeOptions) finishCase(c *merge.Case) {
	slices.SortStableFunc(c.Runs, func(a, b merge.Run) int {
		if a.Rep != b.Rep {
			return a.Rep - b.Rep
		}
		return a.Attempt - b.Attempt
	})
	for i := range c.Runs {
		r := &c.Runs[i]
		r.Counts = i == len(c.Runs)-1 || c.Runs[i+1].Rep != r.Rep
		for _, name := range o.Roles {
			if !slices.ContainsFunc(r.Roles, func(x merge.Role) bool { return x.Name == name }) {
				r.Roles = append(r.Roles, merge.Role{RoleRecord: rundir.RoleRecord{Name: name}, JUnit: true})
			}
		}
	}
}
