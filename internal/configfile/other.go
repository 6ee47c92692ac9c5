package configfile

import (
	"cmp"
	"errors"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// KeptAt is the config that a run directory was made with as if it had been read where now was, and under the same
// rules: of the workspace that it comes from, names in its text are those of the workspace here.
func KeptAt(dir rundir.Dir, now Config) (Config, error) {
	kept, err := Kept(dir, nil)
	if err != nil {
		return kept, err
	}
	c := Config{File: defaults()}
	if kept.Path != "" {
		text := moved(string(kept.Raw), kept.Path, now.Path)
		if c, err = Parse(filepath.Join(string(dir), Copy), []byte(text)); err != nil {
			return c, err
		}
	}
	c.Path = now.Path
	if now.Rules != nil {
		err = c.Under(now.Rules)
	}
	return c, err
}

// moved is a text with another root in place of that of its file, where both files have the same way below them.
func moved(text, from, to string) string {
	for from != to && filepath.Base(from) == filepath.Base(to) && from != "/" {
		from, to = filepath.Dir(from), filepath.Dir(to)
	}
	if from == to || from == "/" || from == "." || to == "" {
		return text
	}
	whole := regexp.MustCompile(regexp.QuoteMeta(from) + `([^\w.@%+-]|$)`)
	return whole.ReplaceAllString(text, strings.ReplaceAll(to, "$", "$$")+"${1}")
}

// FirstOther is the first key, in order of names, that the two configs' texts have different values of; "" = they
// differ in no value.
func (c Config) FirstOther(o Config) string { return firstOther(values(c.Raw), values(o.Raw)) }

// values is the text of a config without what stands around its values.
func values(text []byte) any {
	var out any
	if node, err := strictyaml.Parse("", text); err != nil || node.Decode(&out) != nil {
		return string(text) // of no config: empty
	}
	return out
}

func firstOther(a, b any, at ...any) string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			break
		}
		all := maps.Clone(a)
		maps.Copy(all, b)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if other := firstOther(a[key], b[key], append(slices.Clip(at), key)...); other != "" {
				return other
			}
		}
		return ""
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			if other := firstOther(a[i], b[i], append(slices.Clip(at), i)...); other != "" {
				return other
			}
		}
		return ""
	}
	if reflect.DeepEqual(a, b) {
		return ""
	}
	return cmp.Or(strictyaml.Path(at...), "its first line")
}

// KeptDraft is the launch draft that a run directory keeps; fs.ErrNotExist: none.
func KeptDraft(dir rundir.Dir) ([]byte, error) {
	tree, err := dir.Tree()
	if err != nil {
		return nil, err
	}
	text, err := tree.ReadFile(filepath.Join(string(dir), Draft), keptLimit)
	return text, errors.Join(err, tree.Close())
}
