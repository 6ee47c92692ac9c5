package strictyaml

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Shaped is a type that reads itself and says what it accepts, as a JSON Schema.
type Shaped interface{ Schema() map[string]any }

// Schema is what Decode accepts for a type, as a JSON Schema (draft 2020-12), for
// editors: the same keys, because both ask the same function for them. A field's tag
// enum:"a,b" lists its values. describe gives the words for a key; in its path,
// elements of lists are [] and keys of maps <name>: perf.metrics.<name>.rule. A tag
// bounds:"1,65535" gives a number its least and its largest value, either of which may be
// left out; of a text it says that it is a whole number, or holds a template.
func Schema(t reflect.Type, describe func(path string) string) map[string]any {
	s := schemas{describe}.of(t, "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	return s
}

type schemas struct{ describe func(path string) string }

// of is the schema of a type. A key without a value is nothing for collections,
// and a mistake for scalars.
func (s schemas) of(t reflect.Type, path string) map[string]any {
	if t.Kind() == reflect.Pointer {
		return s.pointer(t.Elem(), path)
	}
	if own, ok := s.custom(t); ok {
		return own
	}
	switch t.Kind() {
	case reflect.Struct:
		return s.structure(t, path)
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": s.described(t.Elem(), path+".<name>", "")}
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": s.described(t.Elem(), path+"[]", "")}
	case reflect.Bool:
		return map[string]any{"anyOf": []any{
			map[string]any{"type": "boolean"},
			map[string]any{"type": "string", "pattern": "^([yY][eE][sS]|[nN][oO]|[oO][nN]|[oO][fF][fF])$"},
		}}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.String:
		return anyScalar()
	default:
		return map[string]any{}
	}
}

// pointer is the schema of what may also have no value.
func (s schemas) pointer(t reflect.Type, path string) map[string]any {
	out := s.of(t, path)
	switch types := out["type"].(type) {
	case string:
		out["type"] = []string{types, "null"}
	case []string:
		if !slices.Contains(types, "null") {
			out["type"] = append(types, "null")
		}
	default:
		out = map[string]any{"anyOf": []any{out, map[string]any{"type": "null"}}}
	}
	return out
}

// anyScalar is a text field: the literal spelling counts, whatever it looks like.
func anyScalar() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

// custom is the schema of types that read themselves.
func (s schemas) custom(t reflect.Type) (map[string]any, bool) {
	switch v := reflect.New(t).Interface().(type) {
	case Shaped:
		return v.Schema(), true
	case *time.Duration, *time.Time:
		return map[string]any{"type": "string"}, true
	case *yaml.Node, yaml.Unmarshaler:
		return map[string]any{}, true
	case encoding.TextUnmarshaler:
		return anyScalar(), true
	}
	return nil, false
}

func (s schemas) structure(t reflect.Type, path string) map[string]any {
	fields := fieldsOf(t)
	properties := map[string]any{}
	for _, name := range fields.names {
		sf := t.FieldByIndex(fields.byName[name])
		properties[name] = s.described(sf.Type, strings.TrimPrefix(path+"."+name, "."), sf.Tag)
	}
	out := map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	if fields.rest != nil {
		out["additionalProperties"] = s.described(t.FieldByIndex(fields.rest).Type.Elem(), path+".<name>", "")
	}
	if path == "" {
		out["type"] = "object"
	}
	return out
}

// described is the schema of the value of a key, with its words and its values.
func (s schemas) described(t reflect.Type, path string, tag reflect.StructTag) map[string]any {
	out := bounded(s.of(t, path), t, tag.Get("bounds"))
	if enum := tag.Get("enum"); enum != "" {
		values := strings.Split(enum, ",")
		slices.Sort(values)
		out = map[string]any{"enum": values}
	}
	if words := s.describe(path); words != "" {
		out["description"] = words
	}
	return out
}

// bounded is the schema of a number with its bounds.
func bounded(s map[string]any, t reflect.Type, bounds string) map[string]any {
	if bounds == "" {
		return s
	}
	number := s
	if t.Kind() == reflect.String {
		number = map[string]any{"type": "integer"}
		s = map[string]any{"anyOf": []any{number, map[string]any{"type": "string", "pattern": `^[0-9]+$|\{`}}}
	}
	least, most, _ := strings.Cut(bounds, ",")
	for key, text := range map[string]string{"minimum": least, "maximum": most} {
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			number[key] = v
		}
	}
	return s
}
