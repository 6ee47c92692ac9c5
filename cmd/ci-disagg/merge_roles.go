package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/ci-disagg/ci-disagg/internal/report/merge"
)

const rolePlaceholder = "{role}"

// assignRoles gives each file the role that its path says. A role that had to
// leave a file, and left none, is missing.
func (o *mergeOptions) assignRoles(in *merge.Input) error {
	glob := "**/" + strings.TrimPrefix(o.RoleFrom, "/")
	if !doublestar.ValidatePattern(strings.Replace(glob, rolePlaceholder, "*", 1)) {
		return fmt.Errorf("merge: --role-from=%s: %w", o.RoleFrom, doublestar.ErrBadPattern)
	}
	if before, _, _ := strings.Cut(o.RoleFrom, rolePlaceholder); strings.ContainsAny(before[strings.LastIndexByte(before, '/')+1:], `*?[{\`) {
		return fmt.Errorf("merge: --role-from=%s: no wildcard may stand before %s in its part of the path", o.RoleFrom, rolePlaceholder)
	}
	var strangers, seen []string
	for i := range in.Files {
		f := &in.Files[i]
		if f.Role = roleOf(glob, filepath.ToSlash(f.Path)); f.Role == "" {
			strangers = append(strangers, f.Shown)
		}
		seen = append(seen, f.Role)
	}
	if len(strangers) > 0 {
		return fmt.Errorf("merge: --role-from %s matches the end of no such path: %s; leave them out by a glob", o.RoleFrom, firstFew(strangers))
	}
	for _, role := range o.Roles {
		if !slices.Contains(seen, role) {
			in.Missing = append(in.Missing, merge.Missing{Name: role, Why: "the role left no file"})
		}
	}
	return nil
}

// roleOf is the part of a path for which {role} stands in a glob, the shortest
// one; "" if the glob does not match.
func roleOf(glob, path string) string {
	before, _, _ := strings.Cut(glob, rolePlaceholder)
	prefix := before[strings.LastIndexByte(before, '/')+1:]
	for part := range strings.SplitSeq(path, "/") {
		rest, ok := strings.CutPrefix(part, prefix)
		for to := 1; ok && to <= len(rest); to++ {
			literal := strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, "{", `\{`, `\`, `\\`).Replace(rest[:to])
			if match, err := doublestar.Match(strings.Replace(glob, rolePlaceholder, literal, 1), path); err == nil && match {
				return rest[:to]
			}
		}
	}
	return ""
}

// firstFew names some of many.
func firstFew(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return consoleLine(fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more))
	}
	return consoleLine(strings.Join(names, ", "))
}
