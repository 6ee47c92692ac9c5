package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/runview"
)

// fieldsInJSON are the fields of a type as the docs name them.
func fieldsInJSON(t reflect.Type, path string) (out []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return fieldsInJSON(t.Elem(), path+"[]")
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]():
		return []string{path}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			continue // documented where it is at home
		case name != "" && f.IsExported():
			out = append(out, fieldsInJSON(f.Type, strings.TrimPrefix(path+"."+name, "."))...)
		}
	}
	return out
}

func TestJSONDoc(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/json.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	for verb, of := range map[string]reflect.Type{
		"list": reflect.TypeFor[runview.List](), "status": reflect.TypeFor[runview.Status](), "cancel": reflect.TypeFor[runs.CancelledDoc](),
		"sweep": reflect.TypeFor[runs.SweptDoc](), "prune": reflect.TypeFor[runs.PrunedDoc](),
	} {
		_, section, ok := strings.Cut(string(page), "## `"+verb+"`")
		require.True(t, ok, verb)
		section, _, _ = strings.Cut(section, "\n## ")
		var documented []string
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			documented = append(documented, m[1])
		}
		want := fieldsInJSON(of, "")
		if verb == "status" {
			want = want[1:] // schema
		}
		require.ElementsMatch(t, want, documented, verb)
	}
}
