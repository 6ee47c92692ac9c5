package configfile

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// KeptAt is the config that a run directory was made with as if it had been read where now was, and under the same
// rules: of the workspace that it comes from, names in its text are those of the workspace here, unless now has them,
// too. One that comes from the same workspace stays where it was. fs.ErrNotExist: the directory has none.
func KeptAt(dir rundir.Dir, now Config, in Workspace) (Config, error) {
	kept, err := Kept(dir, nil)
	if err != nil {
		return kept, err
	}
	path := filepath.Join(string(dir), Copy)
	if kept.Path == "" {
		return kept, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	text, from := kept.Raw, kept.Path
	if !below(from, in.Root) {
		if from = now.Path; from != "" && !bytes.Equal(text, now.Raw) {
			for _, m := range in.moves(kept.Path, now.Path) {
				text = m.config(text, now.Raw)
			}
		}
	}
	c, err := Parse(path, text)
	c.Path = from
	if err == nil && now.Rules != nil {
		err = c.Under(now.Rules)
	}
	return c, err
}

// FirstOther is the first key, in order of names, that the two configs' texts have different values of; "" = they
// differ in no value.
func (c Config) FirstOther(o Config) string { return firstOther(values(c.Raw), values(o.Raw)) }

// values is the text of a config without what stands around its values. They are as they are written: 1.10 is not 1.1
// where a text is asked for.
func values(text []byte) any {
	var out any
	node, err := strictyaml.Parse("", text)
	if err == nil {
		asWritten(node)
		err = node.Decode(&out)
	}
	if err != nil {
		return string(text) // of no config: empty
	}
	return out
}

// asWritten makes texts of all values but null and the key that merges.
func asWritten(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" && n.ShortTag() != "!!merge" {
		n.Tag = "!!str"
	}
	for _, child := range n.Content {
		asWritten(child)
	}
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
