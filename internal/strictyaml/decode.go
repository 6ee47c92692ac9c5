package strictyaml

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Bounds against hostile documents. Configs stay far below them.
const (
	maxDepth    = 200     // nesting, aliases followed
	maxExpanded = 100_000 // nodes visited a second time through aliases and merges
	maxProblems = 50
	maxKey      = 1 << 10  // bytes of one key
	maxPaths    = 16 << 20 // bytes of all remembered key paths
)

type decoder struct {
	doc      Document
	problems Problems
	active   map[*yaml.Node]bool // collections being decoded: an alias to one of them is a cycle
	seen     map[*yaml.Node]bool
	expanded int
	paths    int  // bytes of paths remembered so far
	full     bool // a bound was hit: say so once and stop
}

func (d Document) decode(root *yaml.Node, path string, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("strictyaml: %T is not a pointer to decode into", into)
	}
	dec := &decoder{doc: d, active: map[*yaml.Node]bool{}, seen: map[*yaml.Node]bool{}}
	if path == "" {
		d.pos[path] = position{root.Line, root.Column}
	}
	dec.value(root, v.Elem(), path, 0)
	if len(dec.problems) > 0 {
		return dec.problems.sorted()
	}
	return nil
}

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	if d.full {
		return
	}
	if len(d.problems) == maxProblems {
		d.full = true
		format, args = "too many problems: the rest is not shown", nil
	}
	d.problems = append(d.problems, Problem{
		File: d.doc.File, Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// enter resolves aliases and keeps the bounds. It is false when n must not be
// decoded; a collection must be left again.
func (d *decoder) enter(n *yaml.Node, path string, depth int) (*yaml.Node, bool) {
	at := n
	n = resolve(n)
	if d.full {
		return n, false
	}
	if d.active[n] {
		d.fail(at, path, "the anchor &%s contains itself", n.Anchor)
		return n, false
	}
	if d.seen[n] {
		d.expanded++
	}
	d.seen[n] = true
	if d.expanded > maxExpanded || depth > maxDepth {
		d.fail(at, path, "nested too deeply, or aliases expand to too much")
		d.full = true
		return n, false
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") && n.Tag != "!" {
		d.fail(n, path, "the tag %s is not supported", shown(n.Tag))
		return n, false
	}
	if n.Kind != yaml.ScalarNode {
		d.active[n] = true
	}
	return n, true
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// remember notes where the value at path stands.
func (d *decoder) remember(path string, n *yaml.Node) {
	d.paths += len(path)
	if d.paths > maxPaths {
		d.fail(n, "", "the file is too large, or nested with too long keys")
		d.full = true
	}
	if !d.full {
		d.doc.pos[path] = position{n.Line, n.Column}
	}
}

func (d *decoder) leave(n *yaml.Node) { delete(d.active, n) }

// value decodes n into v. Anything wrong becomes a problem; the walk goes on.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	if v.Kind() == reflect.Pointer && !isNull(resolve(n)) {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path, depth)
		return
	}
	at := n
	n, ok := d.enter(n, path, depth)
	if !ok {
		return
	}
	defer d.leave(n)
	switch {
	case v.Type() == reflect.TypeFor[yaml.Node]():
		d.anything(n, path, depth) // for duplicate keys and positions
		v.Set(reflect.ValueOf(*n))
	case isNull(n):
		d.null(at, v, path)
	case d.custom(n, v, path):
	default:
		d.kind(n, v, path, depth)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// null is a key without a value: nothing for collections, a mistake for scalars.
func (d *decoder) null(n *yaml.Node, v reflect.Value, path string) {
	_, text := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		v.SetZero()
		return
	case reflect.Struct:
		if !text {
			return
		}
	default:
	}
	d.fail(n, path, "has no value: give it one or remove the key")
}

// custom decodes types that read themselves.
func (d *decoder) custom(n *yaml.Node, v reflect.Value, path string) bool {
	var err error
	switch u := v.Addr().Interface().(type) {
	case *time.Time:
		if err = n.Decode(u); err != nil {
			err = fmt.Errorf("expects a time such as 2026-01-31T08:00:00Z, %s", got(n))
		}
	case *time.Duration:
		if n.Kind != yaml.ScalarNode {
			d.fail(n, path, "expects a duration such as 90s or 20m, %s", got(n))
			return true
		}
		if *u, err = time.ParseDuration(n.Value); err != nil {
			err = fmt.Errorf("expects a duration such as 90s or 20m, %s", got(n))
		}
	case yaml.Unmarshaler:
		d.anything(n, path, 0) // for duplicate keys and positions
		err = u.UnmarshalYAML(n)
	case encoding.TextUnmarshaler:
		if n.Kind != yaml.ScalarNode {
			d.fail(n, path, "expects a single value, %s", got(n))
			return true
		}
		err = u.UnmarshalText([]byte(n.Value))
	default:
		return false
	}
	if err != nil {
		d.fail(n, path, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return true
}

func (d *decoder) kind(n *yaml.Node, v reflect.Value, path string, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path, depth)
	case reflect.Map:
		d.mapOf(n, v, path, depth)
	case reflect.Slice:
		d.list(n, v, path, depth)
	case reflect.Interface:
		if x := d.anything(n, path, depth); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, path, "expects a list, %s", got(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		p := indexPath(path, i)
		d.remember(p, item)
		d.value(item, out.Index(i), p, depth+1)
	}
	v.Set(out)
}

func (d *decoder) mapOf(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "expects a mapping (key: value), %s", got(n))
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, e := range d.entries(n, path, depth) {
		d.mapEntry(e, v, path, depth)
	}
}

func (d *decoder) mapEntry(e entry, v reflect.Value, path string, depth int) {
	p := keyPath(path, e.key.Value)
	d.remember(p, e.key)
	key := reflect.New(v.Type().Key()).Elem()
	if !d.custom(e.key, key, p) {
		d.kind(e.key, key, p, depth)
	}
	val := reflect.New(v.Type().Elem()).Elem()
	d.value(e.value, val, p, depth+1)
	v.SetMapIndex(key, val)
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "expects a mapping (key: value), %s", got(n))
		return
	}
	fields := fieldsOf(v.Type())
	for _, e := range d.entries(n, path, depth) {
		p := keyPath(path, e.key.Value)
		if index, ok := fields.byName[e.key.Value]; ok {
			d.remember(p, e.key)
			d.value(e.value, fieldAt(v, index), p, depth+1)
			continue
		}
		if fields.rest != nil {
			rest := fieldAt(v, fields.rest)
			if rest.IsNil() {
				rest.Set(reflect.MakeMap(rest.Type()))
			}
			d.mapEntry(e, rest, path, depth)
			continue
		}
		d.fail(e.key, p, "unknown key%s", hint(e.key.Value, fields.names))
		var ignored any
		d.value(e.value, reflect.ValueOf(&ignored).Elem(), p, depth+1)
	}
}

// fieldAt is v.FieldByIndex that makes nil embedded pointers on its way.
func fieldAt(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

type entry struct{ key, value *yaml.Node }

// entries is the content of a mapping with merge keys resolved: own keys first,
// then those of the merged mappings, of which the first wins. Duplicates are
// problems.
func (d *decoder) entries(n *yaml.Node, path string, depth int) []entry {
	var out []entry
	var merges []*yaml.Node
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			d.fail(key, path, "a key must be a single value, %s", got(key))
		case len(key.Value) > maxKey:
			d.fail(key, path, "a key has %d bytes: at most %d are allowed", len(key.Value), maxKey)
		case key.ShortTag() == "!!merge":
			merges = append(merges, value)
		case first[key.Value] != nil:
			d.fail(key, keyPath(path, key.Value), "duplicate key: it is already in line %d", first[key.Value].Line)
		default:
			first[key.Value] = key
			out = append(out, entry{key, value})
		}
	}
	for _, m := range merges {
		for _, e := range d.merged(m, path, depth+1) {
			if first[e.key.Value] == nil {
				first[e.key.Value] = e.key
				out = append(out, e)
			}
		}
	}
	return out
}

// merged is what "<<: value" brings in.
func (d *decoder) merged(n *yaml.Node, path string, depth int) []entry {
	n, ok := d.enter(n, path, depth)
	if !ok {
		return nil
	}
	defer d.leave(n)
	switch n.Kind {
	case yaml.MappingNode:
		d.expanded += len(n.Content) / 2
		return d.entries(n, path, depth)
	case yaml.SequenceNode:
		var out []entry
		for _, m := range n.Content {
			out = append(out, d.merged(m, path, depth+1)...)
		}
		return out
	default:
		d.fail(n, path, "<< expects a mapping or a list of mappings, %s", got(n))
		return nil
	}
}

// anything decodes into the types of encoding/json, keys as literal text.
func (d *decoder) anything(n *yaml.Node, path string, depth int) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		d.mapOf(n, reflect.ValueOf(&out).Elem(), path, depth)
		return out
	case yaml.SequenceNode:
		var out []any
		d.list(n, reflect.ValueOf(&out).Elem(), path, depth)
		return out
	default:
		if tag := n.ShortTag(); tag == "!!timestamp" || tag == "!!binary" {
			return n.Value
		}
		var out any
		if err := n.Decode(&out); err != nil {
			d.fail(n, path, "cannot be read: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		return out
	}
}

// scalar decodes a single value into a basic type.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	want, ok := wanted(v.Kind())
	if !ok {
		d.fail(n, path, "cannot be set from a config file")
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.fail(n, path, "expects %s, %s", want, got(n))
		return
	}
	if v.Kind() == reflect.String {
		v.SetString(n.Value)
		return
	}
	if !fits(n, v.Kind()) {
		d.fail(n, path, "expects %s, %s", want, got(n))
		return
	}
	if leadingZero(n.Value) {
		d.fail(n, path, "expects %s; %s begins with 0, which some read as octal: write it without", want, n.Value)
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		d.fail(n, path, "expects %s, but %s does not fit", want, shown(n.Value))
		return
	}
	if v.CanFloat() && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)) {
		d.fail(n, path, "expects a finite number, %s", got(n))
	}
}

func wanted(k reflect.Kind) (string, bool) {
	switch k {
	case reflect.Bool:
		return "true or false", true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number", true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, 0 or more", true
	case reflect.Float32, reflect.Float64:
		return "a number", true
	case reflect.String:
		return "text", true
	default:
		return "", false
	}
}

// fits reports whether the scalar is of the kind, before yaml.v3 gets to truncate
// 4.7 to 4.
func fits(n *yaml.Node, k reflect.Kind) bool {
	switch n.ShortTag() {
	case "!!bool":
		return k == reflect.Bool
	case "!!int":
		return k != reflect.Bool
	case "!!float":
		return k == reflect.Float32 || k == reflect.Float64
	case "!!str": // yes, no, on and off are text in YAML 1.2, booleans for people
		return k == reflect.Bool && n.Style == 0 && yesNo(n.Value)
	default:
		return false
	}
}

func yesNo(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off":
		return true
	}
	return false
}

func leadingZero(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

// got says in words what stands in the file.
func got(n *yaml.Node) string {
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		return "but this is a mapping"
	case yaml.SequenceNode:
		return "but this is a list"
	default:
	}
	switch n.ShortTag() {
	case "!!null":
		return "but there is no value"
	case "!!str":
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			return "but " + shown(n.Value) + " is text (because of the quotes)"
		}
		return "but " + shown(n.Value) + " is text"
	default:
		return "got " + n.Value
	}
}

// shown quotes a value and keeps it short.
func shown(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
