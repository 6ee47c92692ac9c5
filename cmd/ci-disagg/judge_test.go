package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
)

// A verdict.json that cannot be written is no pass, whatever was judged: the table says so, too.
func TestJudgeThatCannotWriteItsVerdict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	config := file("ci-disagg.yaml", "perf:\n  pins: pins.yaml\n  define: [{name: speed, unit: x, better: higher, gate: true}]\n"+
		"  readers: [{name: r, files: m.json, point: p, metrics: [{metric: speed, at: speed}]}]\n")
	file("pins.yaml", "schema: 1\ncases:\n  c:\n    p/speed: 100\n")
	var a, b []string
	for i := range 4 {
		a = append(a, file(fmt.Sprintf("a%d/m.json", i), fmt.Sprintf(`{"speed": %d.1, "p": "p"}`, 100+i)))
		b = append(b, file(fmt.Sprintf("b%d/m.json", i), fmt.Sprintf(`{"speed": %d.2, "p": "p"}`, 100+i)))
	}
	full := filepath.Join(config, "verdict.json")
	for name, args := range map[string][]string{
		"against history": {"--case", "c", a[0]},
		"in pairs":        slices.Concat([]string{"--ab"}, a, []string{"--"}, b),
	} {
		var out bytes.Buffer
		h := newHost()
		h.stdout, h.stderr, h.getenv = &out, &out, func(string) string { return "" }
		judge := append([]string{"judge", "-c", config}, args...)
		require.Equal(t, exit.Passed, run(t.Context(), h, judge), "%s: %s", name, out.String())
		out.Reset()
		require.Equal(t, exit.Infra, run(t.Context(), h, slices.Insert(judge, 1, "-o", full)), "%s: %s", name, out.String())
		require.Contains(t, out.String(), "(exit 3)", name)
		require.Contains(t, out.String(), "verdict.json: ", name)
	}
}
