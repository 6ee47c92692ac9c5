package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func TestReruns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]verdict.Reruns{"auto": verdict.AutoReruns, "0": 0, "3": 3} {
		var r verdict.Reruns
		require.NoError(t, r.UnmarshalText([]byte(text)))
		require.Equal(t, want, r)
		require.NoError(t, verdict.Policy{Reruns: r}.Validate())
	}
	for _, text := range []string{"", "-1", "Auto", "2.5"} {
		require.ErrorContains(t, new(verdict.Reruns).UnmarshalText([]byte(text)), "is not auto or a number from 0 to 3")
	}
	require.ErrorContains(t, verdict.Policy{Reruns: 4}.Validate(), "use 0 to 3, or auto")
}

// Where a repetition would tell and none can run, the row says what to change.
func TestWhyNoRepetition(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy verdict.Policy
		want   string
	}{
		{"none wanted", verdict.Policy{}, "none can run: perf.reruns is 0; auto or 1 to 3 would run them"},
		{"none of this backend", verdict.Policy{NoReruns: "only there"}, "none can run: only there"},
		{"auto", verdict.Policy{Reruns: verdict.AutoReruns}, "3 more allowed"},
		{"auto, all used", verdict.Policy{Reruns: verdict.AutoReruns, RerunsUsed: 3}, "3 further repetitions did not settle it"},
		{"the run is over", verdict.Policy{Reruns: verdict.AutoReruns, RerunsUnavailable: true}, "A repetition would settle it, but none can run$"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, latency(), verdict.Policy{})
			l.nights(20, 0)
			row := l.judge(l.run(l.value(0.08)), tt.policy)
			require.Equal(t, verdict.Inconclusive, row.Verdict, row.Reason)
			require.Regexp(t, tt.want, row.Reason)
		})
	}
}

// A short history and nothing but one value finds next to no step on its first night:
// said in the row, where a person sees a pass.
func TestFirstRunsSayHowLittleTheyFind(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(10, 0)
	const said = "at most 3 in 100 steps are found on their first night"
	require.Contains(t, l.judge(l.run(l.value(0)), verdict.Policy{}).Reason, said+": perf.reruns is 0")
	require.NotContains(t, l.judge(l.run(l.value(0)), verdict.Policy{Reruns: verdict.AutoReruns}).Reason, said)
	require.NotContains(t, l.judge(l.run(l.value(0), l.value(0)), verdict.Policy{}).Reason, said)
	l.nights(10, 0)
	require.NotContains(t, l.judge(l.run(l.value(0)), verdict.Policy{}).Reason, said)
}
