package prpolicy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Change is a key that is not as the run's own config has it.
type Change struct {
	Key  string
	Own  string // what the run's own config says, "" = nothing
	Used string // what holds, "" = the default
}

// String is the change for people.
func (c Change) String() string {
	return fmt.Sprintf("%s: %s, not %s", c.Key, orDefault(c.Used), orDefault(c.Own))
}

func orDefault(text string) string {
	if text == "" {
		return "the default"
	}
	return text
}

// Take gives own the rules of base, and tells what was changed by that. T is a struct that YAML is read into.
func Take[T any](own *T, base T) []Change {
	var t taker
	t.walk("", reflect.ValueOf(own).Elem(), reflect.ValueOf(base))
	return t.changes
}

// The values of the tag policy.
const (
	ruleTag   = "policy"
	ruleNamed = "named"
)

// eachField calls each with the fields of a struct that YAML knows; name is "" for one that is inline.
func eachField(t reflect.Type, each func(name, rule string, f reflect.StructField)) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if slices.Contains(strings.Split(opts, ","), "inline") {
			name = ""
		} else if name == "" {
			name = strings.ToLower(f.Name)
		}
		each(name, f.Tag.Get(ruleTag), f)
	}
}

func join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}

// taker gathers changes.
type taker struct{ changes []Change }

// walk looks for rules in a struct.
func (t *taker) walk(path string, own, base reflect.Value) {
	eachField(own.Type(), func(name, rule string, f reflect.StructField) {
		o, b, at := own.FieldByIndex(f.Index), base.FieldByIndex(f.Index), join(path, name)
		switch {
		case rule == ruleNamed:
			t.named(at, o, b)
		case rule != "":
			t.differ(at, o, b)
			o.Set(b)
		case o.Kind() == reflect.Struct:
			t.walk(at, o, b)
		case o.Kind() == reflect.Map && o.Type().Elem().Kind() == reflect.Struct:
			t.entries(at, o, b)
		}
	})
}

// entries looks for rules in a map of structs. An entry that base has not has the rules of an empty one.
func (t *taker) entries(path string, own, base reflect.Value) {
	for _, key := range keysOf(own) {
		o := reflect.New(own.Type().Elem()).Elem()
		o.Set(own.MapIndex(key))
		b := reflect.New(own.Type().Elem()).Elem()
		if has := base.MapIndex(key); has.IsValid() {
			b.Set(has)
		}
		t.walk(join(path, fmt.Sprint(key)), o, b)
		own.SetMapIndex(key, o)
	}
}

// named keeps the entries of base in the place of those of the same name.
func (t *taker) named(path string, own, base reflect.Value) {
	out := reflect.MakeSlice(own.Type(), 0, own.Len()+base.Len())
	out = reflect.AppendSlice(out, base)
	for i := range own.Len() {
		o := own.Index(i)
		j := slices.IndexFunc(indexes(base), func(j int) bool { return nameOf(base.Index(j)) == nameOf(o) })
		if j < 0 {
			out = reflect.Append(out, o)
			continue
		}
		t.differ(path+"["+nameOf(o)+"]", o, base.Index(j))
	}
	if out.Len() > 0 || own.Len() > 0 {
		own.Set(out)
	}
}

func indexes(list reflect.Value) []int {
	out := make([]int, list.Len())
	for i := range out {
		out[i] = i
	}
	return out
}

func nameOf(v reflect.Value) string { return v.FieldByName("Name").String() }

// differ notes where two values of one type differ, as deep as keys go.
func (t *taker) differ(path string, own, base reflect.Value) {
	if reflect.DeepEqual(own.Interface(), base.Interface()) {
		return
	}
	switch own.Kind() {
	case reflect.Struct:
		eachField(own.Type(), func(name, _ string, f reflect.StructField) {
			t.differ(join(path, name), own.FieldByIndex(f.Index), base.FieldByIndex(f.Index))
		})
	case reflect.Map:
		keys := keysOf(own)
		for _, k := range keysOf(base) {
			if !own.MapIndex(k).IsValid() {
				keys = append(keys, k)
			}
		}
		for _, k := range keys {
			o, b := own.MapIndex(k), base.MapIndex(k)
			if o.IsValid() && b.IsValid() {
				t.differ(join(path, fmt.Sprint(k)), o, b)
				continue
			}
			t.changes = append(t.changes, Change{join(path, fmt.Sprint(k)), shown(o), shown(b)})
		}
	default:
		if shown(own) != shown(base) { // an empty list is none
			t.changes = append(t.changes, Change{path, shown(own), shown(base)})
		}
	}
}

func keysOf(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return keys
}

// longest bounds a value for people.
const longest = 200

// shown is a value in one line, "" where it is none.
func shown(v reflect.Value) string {
	if !v.IsValid() || v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return ""
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	var node yaml.Node
	if err := node.Encode(v.Interface()); err != nil {
		return fmt.Sprint(v.Interface())
	}
	flow(&node)
	text, err := yaml.Marshal(&node)
	if err != nil {
		return fmt.Sprint(v.Interface())
	}
	line := strings.Join(strings.Fields(string(text)), " ")
	if r := []rune(line); len(r) > longest {
		line = string(r[:longest]) + " …"
	}
	return line
}

// flow has a value written in one line, without what is empty in it.
func flow(n *yaml.Node) {
	n.Style = yaml.FlowStyle
	if n.Kind == yaml.MappingNode {
		var kept []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if v := n.Content[i+1]; v.Value != "" && v.Value != "0" && v.Tag != "!!null" || len(v.Content) > 0 {
				kept = append(kept, n.Content[i], v)
			}
		}
		n.Content = kept
	}
	for _, c := range n.Content {
		flow(c)
	}
}
