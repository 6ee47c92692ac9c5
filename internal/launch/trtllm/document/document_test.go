package document

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, text string) (*Document, Section) {
	t.Helper()
	d, err := Read("c.yaml", []byte(text))
	require.NoError(t, err)
	return d, d.Top()
}

// What the file does not have answers with defaults, at the line of what it has.
func TestMissingSections(t *testing.T) {
	t.Parallel()
	d, top := read(t, "hardware:\n  gpus: 4\n")
	none := top.Sub("slurm").Sub("deeper")
	require.Equal(t, []any{"", 7, false, "slurm.deeper", 1}, []any{none.Text("x"), none.Count("x", 7, 1), none.Flag("x"), none.Key(), none.At("x")})
	require.Empty(t, none.List("x"))
	require.Empty(t, none.Keys())
	require.Empty(t, d.Problems())
	require.Equal(t, 1, top.Sub("hardware").Count("nodes", 0, 1), "the least that it can be")
	require.EqualError(t, d.Problems(), "c.yaml:2: hardware.nodes: missing: add it as a whole number of at least 1")
}

// Every problem has its line and key, and a wrong value is told once.
func TestProblemsHaveTheirPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: 1\na: 2\n":         "c.yaml:2: a: given twice, also on line 1: keep one",
		"s: 1\n":               `c.yaml:1: s: is "1", a map of keys is expected`,
		"s:\n  t: [x, {}]\n":   "c.yaml:2: s.t: is a map, text is expected",
		"s:\n  l: [1]\n":       `c.yaml:2: s.l[0]: is "1", a map of keys is expected`,
		"s: {f: yes}\n":        `c.yaml:1: s.f: "yes" is neither true nor false`,
		"s: {n: 010}\n":        `c.yaml:1: s.n: "010" begins with 0, which some readers take for octal: write it without`,
		"s: {n: 1}\nx: !y z\n": "c.yaml:2: x: the tag !y is not known here: remove it",
	} {
		d, top := read(t, text)
		s := top.Sub("s")
		s.Texts("t")
		s.List("l")
		s.Flag("f")
		s.Count("n", 1, 1)
		require.EqualError(t, d.Problems(), want)
	}
	_, err := Read("c.yaml", []byte("- a\n"))
	require.EqualError(t, err, "c.yaml:1: the file is not a map of sections (metadata, hardware, …)")
}

// A key that << brings in counts, the section's own stands before it.
func TestMergedKeys(t *testing.T) {
	t.Parallel()
	d, top := read(t, "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n")
	b := top.Sub("b")
	require.Equal(t, []int{1, 3}, []int{b.Count("x", 0, 0), b.Count("y", 0, 0)})
	require.Empty(t, d.Problems())
}
