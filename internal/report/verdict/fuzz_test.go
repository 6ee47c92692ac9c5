package verdict_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// decode makes a series and a policy out of any bytes: two bytes of switches,
// then a byte of marks and a float for each value.
func decode(raw []byte) (verdict.Series, verdict.Policy) {
	next := func() byte {
		if len(raw) == 0 {
			return 0
		}
		b := raw[0]
		raw = raw[1:]
		return b
	}
	a, b := next(), next()
	s := verdict.Series{Metric: metric.Metric{
		Name: "m", Unit: "ms", Better: metric.Direction(a & 3), Gate: a&4 != 0, MinEffect: []float64{0, 0.02, 0.05, 1e300}[a>>3&3],
	}}
	if a&0x20 != 0 {
		s.Pinned = &verdict.Pin{Value: math.Float64frombits(uint64(b) << 54), Tolerance: float64(a) / 100}
	}
	p := verdict.Policy{
		Rule:       []verdict.Rule{"", verdict.RuleBWS, verdict.RuleFixed, verdict.RuleUpstream}[b&3],
		Mode:       []verdict.Mode{verdict.Nightly, verdict.PullRequest}[b>>2&1],
		Strictness: []verdict.Strictness{"", verdict.Sensitive, verdict.Strict, "?"}[b>>3&3],
		Reruns:     verdict.Reruns(b >> 5 & 3),
		ForgetOpen: b&0x80 != 0,
	}
	when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var run *verdict.Run
	for len(raw) >= 9 {
		mark := next()
		v := math.Float64frombits(binary.LittleEndian.Uint64(raw))
		raw = raw[8:]
		if run != nil && mark&1 != 0 {
			run.Values = append(run.Values, v)
			continue
		}
		when = when.Add(time.Duration(mark) * time.Hour)
		r := verdict.Run{Time: when, Values: []float64{v}, Accepted: mark&0x0e == 0x0e, NodeSet: []string{"", "a", "b", "c"}[mark>>4&3]}
		if mark&0xc0 == 0xc0 {
			r.Verdict, r.Level = verdict.Regression, v*float64(mark&2)
		}
		s.History = append(s.History, r)
		run = &s.History[len(s.History)-1]
	}
	if n := len(s.History); n > 0 {
		s.History, s.New = s.History[:n-1], s.History[n-1]
	}
	return s, p
}

func FuzzJudge(f *testing.F) {
	value := func(mark byte, v float64) []byte {
		return binary.LittleEndian.AppendUint64([]byte{mark}, math.Float64bits(v))
	}
	for _, values := range [][]float64{
		{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, // no noise at all
		{5e-324, 1e308, 5e-324, 1e308, 1, 2, 3, 1e308, 5e-324, 4, 5, 6, 7},
		{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, math.NaN()},
		{1, 2, 3, 4, math.Inf(1), 6, 7, 8, 0, -1, 11, 12, 13},
		{math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, math.SmallestNonzeroFloat64},
	} {
		for _, mark := range []byte{0, 0x10, 0xd2} {
			for _, head := range [][]byte{{2, 1}, {5, 5}, {6, 0x83}, {0x26, 0}} {
				raw := slices.Clone(head)
				for k, v := range values {
					m := mark
					if k%4 == 3 {
						m |= 1
					}
					if k == 7 {
						m |= 0x0e
					}
					raw = append(raw, value(m, v)...)
				}
				f.Add(raw)
			}
		}
	}
	words := []verdict.Word{
		verdict.Pass, verdict.Improvement, verdict.Regression, verdict.Inconclusive,
		verdict.Collecting, verdict.NoBaseline, verdict.Invalid,
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 4000 {
			return
		}
		s, p := decode(raw)
		row := verdict.Judge(s, p)
		require.Contains(t, words, row.Verdict)
		require.NotEmpty(t, row.Reason)
		for _, v := range []*float64{row.P, row.PBetter} {
			require.True(t, v == nil || (*v >= 0 && *v <= 1+1e-12))
		}
		one, err := json.Marshal(row) // fails on NaN and Inf
		require.NoError(t, err)
		again, err := json.Marshal(verdict.Judge(s, p))
		require.NoError(t, err)
		require.True(t, reflect.DeepEqual(one, again), "not deterministic")
		if !slices.ContainsFunc(s.New.Values, func(v float64) bool { return !(v > 0) || math.IsInf(v, 0) }) &&
			len(s.New.Values) > 0 && (s.Metric.Better == metric.HigherIsBetter || s.Metric.Better == metric.LowerIsBetter) {
			require.NotEqual(t, verdict.Invalid, row.Verdict, "a measurement")
		}
	})
}
