package prpolicy

import "reflect"

// Keys are the keys of a type that are rules, in the form perf.metrics.<name>.rule.
func Keys(t reflect.Type) []string {
	var out []string
	eachField(t, func(name, rule string, f reflect.StructField) {
		elem, step := element(f.Type)
		switch {
		case rule == ruleNamed:
			out = append(out, name+"[]")
		case rule != "" && name == "":
			out = append(out, keysBelow(f.Type, "")...)
		case rule != "":
			out = append(out, name)
		case elem.Kind() == reflect.Struct:
			for _, k := range Keys(elem) {
				out = append(out, join(name+step, k))
			}
		}
	})
	return out
}

// keysBelow are all keys of a struct.
func keysBelow(t reflect.Type, path string) []string {
	var out []string
	eachField(t, func(name, _ string, _ reflect.StructField) { out = append(out, join(path, name)) })
	return out
}

// element is what a pointer, or a map, is of, and how its key is written.
func element(t reflect.Type) (reflect.Type, string) {
	switch t.Kind() {
	case reflect.Pointer:
		return t.Elem(), ""
	case reflect.Map:
		return t.Elem(), ".<name>"
	default:
		return t, ""
	}
}
