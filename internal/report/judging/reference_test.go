package judging_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func TestParseReference(t *testing.T) {
	t.Parallel()
	ref, err := judging.ParseReference("perf/t.py::test[a@b]@abc1234")
	require.NoError(t, err)
	require.Equal(t, judging.Reference{Case: "perf/t.py::test[a@b]", Commit: "abc1234"}, ref)
	for _, bad := range []string{"case", "@abc1234", "case@", "case@abc", "case@main-branch"} {
		_, err := judging.ParseReference(bad)
		require.ErrorContains(t, err, "CASE@COMMIT", bad)
	}
}

// A pinned build that has become worse, too, is the environment: nobody is blamed, and
// it is no pass either.
func TestTheEnvironmentHasMoved(t *testing.T) {
	t.Parallel()
	ref := judging.Reference{Case: "control", Commit: "0123456789ab"}
	control := func(i int, value float64) baseline.Record {
		r := nightly("control", i, value)
		r.Build.Mode, r.Build.Commit = baseline.ModeReference, ref.Commit+"cdef"
		r.Measurements = r.Measurements[:1]
		return r.Normal()
	}
	other := control(31, 50)
	other.Cluster = "elsewhere"
	for _, tt := range []struct {
		name      string
		reference []baseline.Record
		value     float64
		want      verdict.Word
		text      string
	}{
		{"no run of it", nil, 90, verdict.Regression, "never measured here, so that the environment cannot be told from the change: ci-disagg run --mode reference --commit 0123456789ab 'control'"},
		{"none since", []baseline.Record{control(3, 100), control(10, 100.4)}, 90, verdict.Regression, "was last measured on 11 Aug, before this began"},
		{"on another cluster", []baseline.Record{other.Normal()}, 90, verdict.Regression, "never measured here"},
		{"too few before", []baseline.Record{control(3, 100), control(32, 90)}, 90, verdict.Regression, "measured 1 times before this began"},
		{"where it was", []baseline.Record{control(3, 100), control(10, 100.4), control(17, 99.7), control(32, 100)}, 90, verdict.Regression, "The environment has not moved"},
		{"moved by as much", []baseline.Record{control(3, 100), control(10, 100.4), control(17, 99.7), control(32, 90.4)}, 90, verdict.Inconclusive, "The environment has moved: the reference control@0123456789ab, the same build as ever, is worse by 9.6 %"},
		{"moved, and the change beside it", []baseline.Record{control(3, 100), control(10, 100.4), control(17, 99.7), control(32, 95)}, 80, verdict.Regression, "The environment has moved"},
		{"moved far, and a small change beside it", []baseline.Record{control(3, 100), control(10, 100.4), control(17, 99.7), control(32, 85)}, 81, verdict.Regression, "is worse by 15.0 %"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, "dir:"+t.TempDir()+"/store")
			for i := range 30 {
				r := nightly("c", i, noisy(i))
				r.Measurements = r.Measurements[:1]
				save(t, s, r)
			}
			save(t, s, tt.reference...)
			set := setup(s)
			set.Reference = ref
			r := nightly("c", 31, tt.value)
			r.Measurements = r.Measurements[:1]
			r.Measurements[0].Values = []float64{tt.value, tt.value * 1.001, tt.value * 0.999, tt.value * 1.0005}
			j := judge(t, set, r.Normal())
			require.Equal(t, tt.want, verdict.Worst(j.Rows), j.Rows[0].Reason)
			require.Contains(t, j.Environment.Text, tt.text)
			if tt.value == 81 {
				require.Contains(t, j.Rows[0].Reason, "The environment explains 15.0 % of it", "in percent of throughput, as the row is")
			}
			require.NoError(t, j.Record.Validate())
			if tt.want == verdict.Inconclusive {
				require.Empty(t, j.Case.Onset.Commit, "nobody is blamed")
			}
			require.Equal(t, verdict.Regression, j.Record.Measurements[0].Verdict, "it stays open, whoever did it")
			require.NotZero(t, j.Record.Measurements[0].Level)
			require.Equal(t, tt.want == verdict.Regression, j.Case.Alarm)
			require.Equal(t, tt.want == verdict.Regression, len(j.Case.Moved) > 0)
		})
	}
}

// The new level of an environment that has moved is nobody's until somebody accepts it,
// however long it lasts.
func TestTheEnvironmentStaysMoved(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	set := setup(s)
	set.Reference = judging.Reference{Case: "control", Commit: "0123456789ab"}
	one := func(caseID string, i int, value float64) baseline.Record {
		r := nightly(caseID, i, value)
		r.Measurements = r.Measurements[:1]
		return r
	}
	for i := range 30 {
		save(t, s, one("c", i, noisy(i)))
	}
	for i, value := range map[int]float64{3: 100, 10: 100.4, 17: 99.7, 31: 90.4, 38: 90.2, 45: 90.3, 52: 90.1} {
		r := one("control", i, value)
		r.Build.Mode, r.Build.Commit = baseline.ModeReference, set.Reference.Commit+"cdef"
		r.Time = r.Time.Add(-time.Hour)
		save(t, s, r.Normal())
	}
	night := func(i int) judging.Judgement {
		r := one("c", i, 0.9*noisy(i))
		v := r.Measurements[0].Values[0]
		r.Measurements[0].Values = []float64{v, v * 1.001, v * 0.999}
		j := judge(t, set, r.Normal())
		save(t, s, j.Record)
		return j
	}
	var last judging.Judgement
	for i := 31; i < 57; i++ {
		last = night(i)
		require.Equal(t, verdict.Inconclusive, verdict.Worst(last.Rows), "night %d: %s", i, last.Rows[0].Reason)
		require.Equal(t, verdict.Inconclusive, last.Record.Verdict)
	}
	save(t, s, act(baseline.KindAccept, last.Record))
	for i := 57; i < 60; i++ {
		require.Equal(t, verdict.Pass, verdict.Worst(night(i).Rows), "night %d", i)
	}
}

// A run of the reference is a measure: advisory, stored apart, in no history.
func TestReferenceIsStoredApart(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	for i := range 12 {
		save(t, s, nightly("c", i, noisy(i)))
	}
	r := nightly("c", 13, 50)
	r.Build.Mode = baseline.ModeReference
	j := judge(t, setup(s), r.Normal())
	require.Empty(t, verdict.Worst(j.Rows))
	save(t, s, j.Record)
	require.Equal(t, 12, word(t, judge(t, setup(s), nightly("c", 14, 100)), tput).History)
}

// It is measured once a week, and where something is not green that was green when it
// was measured last; not for every red night of one regression.
func TestReferenceIsDue(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	set := setup(s)
	now := nightly("c", 40, 100).Time
	due := func(now time.Time, began map[string]time.Time) string {
		why, err := set.ReferenceDue(t.Context(), "gb200", now, began)
		require.NoError(t, err)
		return why
	}
	require.Empty(t, due(now, nil), "there is none")
	set.Reference = judging.Reference{Case: "control", Commit: "0123456789ab"}
	require.Equal(t, "it was never measured here", due(now, nil))
	r := nightly("control", 40, 100)
	r.Build.Mode, r.Build.Commit, r.Cluster = baseline.ModeReference, set.Reference.Commit, "gb200"
	save(t, s, r.Normal())
	require.Empty(t, due(now.Add(time.Hour), nil))
	require.Contains(t, due(now.AddDate(0, 0, 7).Add(-time.Hour), nil), "it was last measured on ")
	require.Empty(t, due(now.AddDate(0, 0, 2), map[string]time.Time{"c": now.Add(-time.Hour)}), "it was measured since")
	require.Contains(t, due(now.AddDate(0, 0, 2), map[string]time.Time{"c": now.Add(time.Hour)}), "c is not green, and it was last measured on ")
	why, err := set.ReferenceDue(t.Context(), "h200", now, nil)
	require.NoError(t, err)
	require.Equal(t, "it was never measured here", why, "each cluster has its own")
}

// A configured pipeline may be the reference: its metrics are not those of an LLM server.
func TestReferenceOfAPipeline(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	set := setup(s)
	set.Reference = judging.Reference{Case: "control", Commit: "0123456789ab"}
	one := func(caseID string, i int, value float64) baseline.Record {
		r := nightly(caseID, i, value)
		r.Match = map[string]string{"pipeline": "redis"}
		r.Measurements = r.Measurements[:1]
		r.Measurements[0].Metric, r.Measurements[0].Unit = "request_throughput", "req/s"
		return r.Normal()
	}
	for i := range 30 {
		save(t, s, one("c", i, noisy(i)))
	}
	for i, value := range map[int]float64{3: 100, 10: 100.4, 17: 99.7, 32: 90.4} {
		r := one("control", i, value)
		r.Build.Mode, r.Build.Commit = baseline.ModeReference, set.Reference.Commit
		save(t, s, r.Normal())
	}
	r := one("c", 31, 90)
	r.Measurements[0].Values = []float64{90, 90.1, 89.9}
	j := judging.Again(set, r.Normal(), "e2e", nil)
	require.True(t, j.Rows[0].Gate, "so is a run that was brought in")
	j = judging.Case(t.Context(), set, judging.Subject{Record: r.Normal(), Mode: "custom"})
	require.Equal(t, verdict.Inconclusive, verdict.Worst(j.Rows), j.Rows[0].Reason)
	require.Contains(t, j.Environment.Text, "The environment has moved")
}
