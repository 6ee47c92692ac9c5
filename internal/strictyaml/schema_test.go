package strictyaml_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

func TestSchema(t *testing.T) {
	t.Parallel()
	s := strictyaml.Schema(reflect.TypeFor[config](), func(path string) string { return "about " + path })
	at := func(keys ...string) map[string]any {
		of := s
		for _, key := range keys {
			of = of[key].(map[string]any)
		}
		return of
	}
	require.Equal(t, false, s["additionalProperties"])
	require.Equal(t, "object", s["type"])
	require.Equal(t, map[string]any{"type": "integer", "minimum": 0, "description": "about max_jobs"}, at("properties", "max_jobs"), "inline")
	cluster := at("properties", "clusters", "additionalProperties", "properties")
	require.Equal(t, "about clusters.<name>.nodes", cluster["nodes"].(map[string]any)["description"])
	require.Equal(t, []string{"integer", "null"}, cluster["limit"].(map[string]any)["type"], "a pointer may be null")
	require.Equal(t, []string{"string", "number", "boolean"}, cluster["partition"].(map[string]any)["type"], "text keeps its spelling")
	require.Equal(t, "about roles[].name", at("properties", "roles", "items", "properties", "name")["description"])
	require.NotContains(t, at("properties"), "common")
	require.Equal(t, map[string]any{"description": "about free"}, at("properties", "free"))
}
