package strictyaml

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// fields is what a struct accepts.
type fields struct {
	names  []string // in order of declaration
	byName map[string][]int
	rest   []int // an inline map, which takes every other key; nil = none
}

// fieldsOf follows yaml.v3's rules: the tag's first word, else the field's name
// in lower case; "-" is left out; ",inline" belongs to the enclosing mapping.
func fieldsOf(t reflect.Type) fields {
	f := fields{byName: map[string][]int{}}
	f.add(t, nil)
	return f
}

func (f *fields) add(t reflect.Type, prefix []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, opts, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if name == "-" || !sf.IsExported() {
			continue
		}
		index := append(slices.Clone(prefix), i)
		if slices.Contains(strings.Split(opts, ","), "inline") {
			f.inline(sf.Type, index)
			continue
		}
		if name == "" {
			name = strings.ToLower(sf.Name)
		}
		if _, outer := f.byName[name]; !outer {
			f.names = append(f.names, name)
			f.byName[name] = index
		}
	}
}

func (f *fields) inline(t reflect.Type, index []int) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		f.add(t, index)
	case reflect.Map:
		f.rest = index
	default:
	}
}

// Nearest is the known name that was probably meant by name, or "" when none is
// near: case, dashes and underscores do not count, a letter in three may be wrong.
func Nearest(name string, known []string) string {
	best, bestDist := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(fold(name), fold(k)); d <= bestDist && (best == "" || d < bestDist) {
			best, bestDist = k, d
		}
	}
	return best
}

// DidYouMean names what was probably meant by an unknown name, as all answers of the program do; "" = nothing is near.
func DidYouMean(name string, known []string) string {
	if best := Nearest(name, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return ""
}

// hint names the known key that was probably meant, or all of them.
func hint(key string, known []string) string {
	meant := DidYouMean(key, known)
	const most = 20
	switch {
	case meant != "":
		return meant
	case len(known) == 0:
		return "; no keys are allowed here"
	case len(known) > most:
		return "; known keys begin with " + strings.Join(known[:most], ", ") + ", …"
	default:
		return "; known keys: " + strings.Join(known, ", ")
	}
}

// fold makes maxJobs, max-jobs and max_jobs the same.
func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s))
}

// distance is the number of single-byte edits and swaps of neighbours between
// two short names (optimal string alignment).
func distance(a, b string) int {
	const long = 256 // no name is longer; quadratic cost stays bounded
	if len(a) > long || len(b) > long {
		return len(a) + len(b)
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
