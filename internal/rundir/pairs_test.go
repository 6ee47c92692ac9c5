package rundir

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// spell is runs in short: "a" of base, "B" of head, a pair's number, w for a warm-up,
// ! for one measured again.
func spell(refs []RunRef) string {
	var out []string
	for _, r := range refs {
		text := map[string]string{BaseBuild: "a", HeadBuild: "B"}[r.Build]
		switch {
		case r.Warmup:
			text += "w"
		case r.Pair > 0:
			text += fmt.Sprint(r.Pair)
		}
		out = append(out, text+strings.Repeat("!", r.Again))
	}
	return strings.Join(out, " ")
}

func TestRunsOfASession(t *testing.T) {
	t.Parallel()
	refs := SessionRuns(PairPlan{MaxPairs: 4, MaxAgain: 2})
	require.Equal(t, "aw Bw a1 B1 B2 a2 a3 B3 B4 a4 a! B! a!! B!!", spell(refs))
	for i, r := range refs {
		require.Equal(t, i, r.Index)
	}
}

func TestPairsOf(t *testing.T) {
	t.Parallel()
	run := func(build string, pair, again int) RunEnd {
		return RunEnd{Run: RunRef{Build: build, Pair: pair, Again: again}}
	}
	a, b := BaseBuild, HeadBuild
	tests := []struct {
		name string
		ends []RunEnd
		want string
	}{
		{"nothing", nil, ""},
		{"warm-ups are none", []RunEnd{run(a, 0, 0), run(b, 0, 0)}, ""},
		{"in order", []RunEnd{run(a, 0, 0), run(b, 0, 0), run(a, 1, 0), run(b, 1, 0), run(b, 2, 0), run(a, 2, 0)}, "1a 2B"},
		{"half of one", []RunEnd{run(a, 1, 0), run(b, 1, 0), run(b, 2, 0)}, "1a"},
		{"measured again", []RunEnd{run(a, 1, 0), run(b, 1, 0), run(a, 1, 1), run(b, 1, 1), run(b, 2, 0), run(a, 2, 0)}, "1a 1a! 2B"},
		{"one of another pair between", []RunEnd{run(a, 1, 0), run(b, 2, 0), run(a, 2, 0)}, "2B"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range PairsOf(tt.ends) {
				require.Equal(t, []string{a, b}, []string{p.Base.Run.Build, p.Head.Run.Build})
				require.NotEqual(t, p.First, p.Last().Run.Build)
				got = append(got, fmt.Sprint(p.Pair)+map[string]string{a: "a", b: "B"}[p.First]+strings.Repeat("!", p.Again))
			}
			require.Equal(t, tt.want, strings.Join(got, " "))
		})
	}
}

func TestSingleRunOfASession(t *testing.T) {
	t.Parallel()
	p := Plan{Builds: []BuildPlan{{Name: BaseBuild}, {Name: HeadBuild, Source: "s"}}, Pairs: &PairPlan{MaxPairs: 10, OneRun: 5, Time: 50}}
	p.Budgets.Job, p.Runs = p.Pairs.Time, SessionRuns(*p.Pairs)
	one := p.SingleRun()
	require.False(t, one.IsSession())
	require.Equal(t, []BuildPlan{{Name: HeadBuild, Source: "s"}}, one.Builds)
	require.Equal(t, OneRun(), one.Runs)
	require.EqualValues(t, 5, one.Budgets.Job)
	require.True(t, p.IsSession(), "the plan that it was given stays")
	require.Equal(t, one, one.SingleRun())

	require.True(t, p.ForRep(0).IsSession())
	p.Pairs.Mode = PairSuspicious
	require.False(t, p.ForRep(0).IsSession(), "one run first")
	require.True(t, p.ForRep(1).IsSession())
	p.Pairs.Opened = "a label"
	require.True(t, p.ForRep(0).IsSession())
}
