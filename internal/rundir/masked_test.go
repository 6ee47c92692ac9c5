package rundir

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A record stays one, whatever the secret is: a number in it, a field's name, a piece of its syntax. No text has it.
func TestMaskedRecords(t *testing.T) {
	t.Parallel()
	type record struct {
		Password string            `json:"password"`
		Count    int64             `json:"count"`
		Texts    []string          `json:"texts"`
		By       map[string]string `json:"by"`
	}
	for _, secret := range []string{"123456789", "password", "count\": 1", "a\"b\\c\nd", "</a>&x=1", "},\n  {", "ключ-ключ"} {
		dir := t.TempDir()
		tree, err := OpenTree(dir)
		require.NoError(t, err)
		tree.Mask = func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(secret), []byte("[masked]")) }
		path := filepath.Join(dir, "x.json")
		was := record{Password: "p", Count: 123456789, Texts: []string{"x" + secret + "y", "\"" + secret, "\x00"}, By: map[string]string{"K " + secret: secret}}
		require.NoError(t, tree.WriteJSON(path, was))
		data, err := tree.ReadFile(path, 1<<20)
		require.NoError(t, err)
		var got record
		require.NoError(t, json.Unmarshal(data, &got), "%q: %s", secret, data)
		want := record{Password: "p", Count: 123456789, Texts: []string{"x[masked]y", "\"[masked]", "\x00"}, By: map[string]string{"K [masked]": "[masked]"}}
		require.Equal(t, want, got, "%q", secret)
		require.NoError(t, tree.Close())
	}
}
