package fold

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// testCase is a case whose lists have room behind their ends, where an append would
// write into what others hold.
func testCase(s junit.Status, text string) *junit.Case {
	c := &junit.Case{Name: "t", Classname: "c", Time: 1}
	c.Properties = append(make([]junit.Property, 0, 8), junit.Property{Name: "p", Value: text})
	c.SystemOut = append(make([]string, 0, 8), text)
	c.SystemErr = append(make([]string, 0, 8), text)
	c.Reruns = append(make([]junit.Rerun, 0, 8), junit.Rerun{Kind: junit.FlakyError, Message: text})
	c.Results = make([]junit.Result, 0, 8)
	if s != junit.Passed {
		c.Results = append(c.Results, junit.Result{Status: s, Message: text, Text: text})
	}
	return c
}

// everything of a case, behind the ends of its lists too.
func everything(c *junit.Case) junit.Case {
	out := *c
	out.Properties = slices.Clone(c.Properties[:8])
	out.SystemOut, out.SystemErr = slices.Clone(c.SystemOut[:8]), slices.Clone(c.SystemErr[:8])
	out.Reruns, out.Results = slices.Clone(c.Reruns[:8]), slices.Clone(c.Results[:8])
	return out
}

// TestGivenCasesStay: what is made of cases is theirs no more.
func TestGivenCasesStay(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 1000)
	for name, make1 := range map[string]func(a, b *junit.Case) *junit.Case{
		"attempts":   func(a, b *junit.Case) *junit.Case { return Attempts([]*junit.Case{a, b}, Fail) },
		"worst":      func(a, b *junit.Case) *junit.Case { return Worst(Runs("rank 0", a, b)) },
		"worst last": func(a, b *junit.Case) *junit.Case { return Worst(Runs("rank 0", b, a)) },
		"teardown":   func(a, b *junit.Case) *junit.Case { return joinTeardown(b, a) },
		"cut": func(a, _ *junit.Case) *junit.Case {
			c := *a
			k := Cutter{Caps: Caps{PassOut: 100, FailOut: 100, Body: 100}.WithDefaults(), Level: Short}
			k.Apply(&c, "kept")
			return &c
		},
		"one class": func(a, _ *junit.Case) *junit.Case {
			c := *a
			c.Results = append(slices.Clone(c.Results), junit.Result{Status: junit.Skipped})
			OneClass(&c)
			return &c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := testCase(junit.Failed, long), testCase(junit.Passed, "b")
			was, wasB := everything(a), everything(b)
			require.NotEqual(t, *a, *make1(a, b))
			require.Equal(t, was, everything(a))
			require.Equal(t, wasB, everything(b))
		})
	}
}

func TestNatural(t *testing.T) {
	t.Parallel()
	want := []string{"", "GEN_02", "GEN_2", "GEN_10", "GEN_10a", "GEN_11", "a"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Natural)
	require.Equal(t, want, got)
}
