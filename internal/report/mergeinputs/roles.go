package mergeinputs

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/ci-disagg/ci-disagg/internal/report/merge"
)

// RolePlaceholder stands for the role in a glob.
const RolePlaceholder = "{role}"

// AssignRoles gives each file the role that its path says by a glob. A role that had to
// leave a file, and left none, is missing.
func AssignRoles(in *merge.Input, from string, roles []string) error {
	glob := "**/" + strings.TrimPrefix(from, "/")
	if !doublestar.ValidatePattern(strings.Replace(glob, RolePlaceholder, "*", 1)) {
		return fmt.Errorf("--role-from=%s: %w", from, doublestar.ErrBadPattern)
	}
	if before, _, _ := strings.Cut(from, RolePlaceholder); strings.ContainsAny(before[strings.LastIndexByte(before, '/')+1:], `*?[{\`) {
		return fmt.Errorf("--role-from=%s: no wildcard may stand before %s in its part of the path", from, RolePlaceholder)
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
		return fmt.Errorf("--role-from %s matches the end of no such path: %s; leave them out by a glob", from, firstFew(strangers))
	}
	for _, role := range roles {
		if !slices.Contains(seen, role) {
			in.Missing = append(in.Missing, merge.Missing{Name: role, Why: "the role left no file"})
		}
	}
	return nil
}

// roleOf is the part of a path for which {role} stands in a glob, the shortest
// one; "" if the glob does not match.
func roleOf(glob, path string) string {
	before, _, _ := strings.Cut(glob, RolePlaceholder)
	prefix := before[strings.LastIndexByte(before, '/')+1:]
	for part := range strings.SplitSeq(path, "/") {
		rest, ok := strings.CutPrefix(part, prefix)
		for to := 1; ok && to <= len(rest); to++ {
			literal := strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, "{", `\{`, `\`, `\\`).Replace(rest[:to])
			if match, err := doublestar.Match(strings.Replace(glob, RolePlaceholder, literal, 1), path); err == nil && match {
				return rest[:to]
			}
		}
	}
	return ""
}

// firstFew names some of many, each quoted: a name may hold anything.
func firstFew(names []string) string {
	const most = 5
	var quoted []string
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, strconv.Quote(name))
	}
	text := strings.Join(quoted, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
