package jsondoc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	text := `{"a/b~c": "\u00e9\ud83d\ude00\ud83d x\n\"` + "\xff" + `", "n": -1.5e-3, "deep": {"list": [1, {"x": true}, null], "out": [1]}, "nested": [[1, "]"], [2]], "long": [7, 8],
"cut": "` + strings.Repeat("é\\u00e9", maxString) + `", "end": NaN, "NaN": "Infinity", "low": -Infinity}`
	n := 0
	_, err := Read(bufio.NewReader(strings.NewReader(text)), func(list string) int { return map[string]int{"/deep/list": 3, "/nested": 2, "/long": 1}[list] }, func(d Document) {
		n++
		require.Equal(t, "é😀\uFFFD x\n\"\uFFFD", d.Text("/a~1b~0c"))
		v, ok := d.Number("/n")
		require.True(t, ok)
		require.InDelta(t, -0.0015, v, 0)
		require.True(t, d.True("/deep/list/1/x"))
		require.True(t, d.Has("/deep/list/2"))
		require.True(t, d.Has("/nested/1"))
		require.False(t, d.Has("/nested/1/0"), "a list in a list is passed over")
		require.False(t, d.Has("/deep/out/0"), "nobody asked for it")
		require.True(t, d.Has("/long/0") && !d.Has("/long/1"), "one was asked for")
		require.InDelta(t, maxString, len(d.Text("/cut")), maxString)
		nan, ok := d.Number("/end")
		require.True(t, ok && math.IsNaN(nan))
		require.Equal(t, 2, d.Line("/end"))
		require.Equal(t, "Infinity", d.Text("/NaN"))
		low, _ := d.Number("/low")
		require.True(t, math.IsInf(low, -1))
	})
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// A key that is there twice is told, unless it says the same.
func TestTwice(t *testing.T) {
	t.Parallel()
	_, err := Read(bufio.NewReader(strings.NewReader(`{"a": 3, "b": {"c": "x"}, "a": 0, "b": {"c": null}, "d": 1, "d": 1.0, "a": 3, "e": [1], "f": false}`)), func(string) int { return 1 }, func(d Document) {
		require.Equal(t, Twice{3.0, 0.0}, d.Value("/a"))
		require.Equal(t, Twice{"x", nil}, d.Value("/b/c"))
		require.InDelta(t, 1, d.Value("/d"), 0)
		require.Equal(t, []any{Node{}, 1.0, false, nil}, []any{d.Value("/e"), d.Value("/e/0"), d.Value("/f"), d.Value("/none")})
		_, ok := d.Number("/a")
		require.False(t, ok)
	})
	require.NoError(t, err)
}

// FuzzRead holds the reader against encoding/json: what that can read, Read must
// read, with the same scalars.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"a": [1, {"b": null}], "c": "x\u00e9\n", "d": -1.5e-3, "e": {"f": true}}`, `{"a": NaN, "b": -Infinity, "c": [[1, [2]], [3]]}`,
		"{}\n{\"a\":1}{\"b\":2}", `[{"a": 1}, {"a": "]["}]`, `{"a": "\ud83d\ude00\ud83d"`, `[[{"a":1}]]`, `{"a": 1e999, "a/b": 0.1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var docs []Document
		_, err := Read(bufio.NewReader(bytes.NewReader(data)), func(string) int { return 10 }, func(d Document) { docs = append(docs, d) })
		var plain map[string]any
		if json.Unmarshal(data, &plain) != nil || err != nil {
			return
		}
		require.Len(t, docs, 1)
		require.LessOrEqual(t, docs[0].Line(""), 1+bytes.Count(data, []byte("\n")))
		for key, want := range plain {
			if _, twice := docs[0].Value("/" + pointerToken(key)).(Twice); twice {
				continue // of which encoding/json keeps the last
			}
			switch want := want.(type) {
			case float64:
				got, ok := docs[0].Number("/" + pointerToken(key))
				require.True(t, ok && (got == want || math.IsNaN(got)), "%q: %v", key, got)
			case string:
				if len(want) < maxString/8 {
					require.Equal(t, want, docs[0].Text("/"+pointerToken(key)))
				}
			case bool:
				require.Equal(t, want, docs[0].True("/"+pointerToken(key)))
			}
		}
	})
}
