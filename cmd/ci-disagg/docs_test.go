package main

import (
	"encoding"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// configKeys lists every key path of a config type: lists and maps of sections
// appear with [] and <name>.
func configKeys(t reflect.Type, prefix string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text := reflect.TypeFor[encoding.TextUnmarshaler]()
	switch {
	case t.Implements(text) || reflect.PointerTo(t).Implements(text):
		return []string{prefix}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return configKeys(t.Elem(), prefix+"[]")
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		return configKeys(t.Elem(), prefix+".<name>")
	case t.Kind() != reflect.Struct:
		return []string{prefix}
	}
	var keys []string
	for f := range t.Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		path := strings.TrimPrefix(prefix+"."+name, ".")
		switch {
		case rest == "inline":
			keys = append(keys, configKeys(f.Type, prefix)...)
		case name == "-" || !f.IsExported():
		default:
			keys = append(keys, configKeys(f.Type, path)...)
		}
	}
	return keys
}

// TestEveryConfigKeyIsDocumented keeps docs/config.md and the config the same:
// every key has a row there, and every row names a key.
func TestEveryConfigKeyIsDocumented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/config.md")
	require.NoError(t, err)
	documented := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			key, _, _ := strings.Cut(rest, "`")
			require.False(t, documented[key], "docs/config.md has two rows for %s", key)
			documented[key] = true
		}
	}
	for _, key := range configKeys(reflect.TypeFor[fileConfig](), "") {
		require.True(t, documented[key], "docs/config.md does not describe %s", key)
		delete(documented, key)
	}
	require.Empty(t, documented, "docs/config.md describes keys that do not exist")
}
