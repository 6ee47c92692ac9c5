// Package owners says who looks after a case: the section owners: of a config.
package owners

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Owners are people or teams by a glob of case ids.
type Owners map[string]string

// Of is who looks after a case, "" = nobody is named: of the globs that fit, the one with the
// most letters counts.
func (o Owners) Of(caseID string) string {
	best, owner := -1, ""
	for _, glob := range slices.Sorted(maps.Keys(o)) {
		if letters := len(strings.Trim(glob, "*?")); fits(glob, caseID) && letters > best {
			best, owner = letters, o[glob]
		}
	}
	return owner
}

// fits reports whether a glob is of a case. A star stands for slashes too: case ids are no paths.
func fits(glob, caseID string) bool {
	plain := strings.NewReplacer("/", "\x01", "[", "\x02", "]", "\x03") // ids of pytest have brackets
	ok, err := path.Match(plain.Replace(glob), plain.Replace(caseID))
	return err == nil && ok
}

// Validate returns every entry that says nothing.
func (o Owners) Validate(doc strictyaml.Document) []error {
	var errs []error
	for _, glob := range slices.Sorted(maps.Keys(o)) {
		at := strictyaml.Path("owners", glob)
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			errs = append(errs, doc.Problem(at, "%q is no glob of case ids: use * for any letters, ? for one", glob))
		}
		if strings.TrimSpace(o[glob]) == "" {
			errs = append(errs, doc.Problem(at, "names nobody: %s", fmt.Sprintf(`write %q: "@team"`, glob)))
		}
	}
	return errs
}
