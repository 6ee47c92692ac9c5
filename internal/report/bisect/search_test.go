package bisect

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A planted commit among 64 is found in at least 95 of 100 searches, at the noise of runs on one machine (0.7 %, with
// outliers), whatever the size of the change.
func TestPlantedCommitIsFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		step, within float64
		trials       float64 // on the average, at most
	}{
		{"3 %, noise 0.7 %", 0.03, 0.007, 12},
		{"2 %, noise 0.5 %", 0.02, 0.005, 12},
		{"10 %, noise 1 %", 0.10, 0.01, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := Expect(Search{Candidates: 64, MinEffect: 0.02}, tt.step, tt.within, 0.95, 100)
			t.Logf("%+v", e)
			require.GreaterOrEqual(t, e.Right, 0.95)
			require.LessOrEqual(t, e.Mean.Trials, tt.trials)
			require.GreaterOrEqual(t, e.Most.Trials, e.Mean.Trials)
		})
	}
}

// pairsOf is a measurement of four pairs that are so much slower, in logs.
func pairsOf(commit int, slower float64) Trial {
	return Trial{Commit: commit, Pairs: []float64{slower, slower + 0.001, slower - 0.001, slower}}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := Search{Candidates: 8, MinEffect: 0.02}
	require.Equal(t, 8, s.Next(), "the bad one first")
	s.Trials = []Trial{pairsOf(8, 0.05)}
	require.Equal(t, 4, s.Next(), "then halves")
	s.Trials = append(s.Trials, pairsOf(4, 0.05))
	require.Equal(t, 2, s.Next())
	s.Trials = append(s.Trials, pairsOf(2, 0))
	require.Equal(t, 3, s.Next())
	s.Trials = append(s.Trials, pairsOf(3, 0))
	f := s.Found(0.95)
	require.True(t, f.Settled)
	require.Equal(t, []int{4, 4}, []int{f.From, f.To})
	require.Greater(t, f.Confidence, 0.99)
	sum := 0.0
	for _, p := range s.Posterior() {
		sum += p
	}
	require.InDelta(t, 1, sum, 1e-9)
}

// Where the bad commit is as fast as the good one, no commit is blamed.
func TestNothingToBeFound(t *testing.T) {
	t.Parallel()
	s := Search{Candidates: 64, MinEffect: 0.02, Trials: []Trial{pairsOf(64, 0)}}
	for len(s.Trials) < 4 && !s.Found(0.95).Settled {
		require.Equal(t, 64, s.Next(), "it is measured again")
		s.Trials = append(s.Trials, pairsOf(64, 0.0005))
	}
	f := s.Found(0.95)
	require.True(t, f.Settled)
	require.Greater(t, f.Nothing, 0.95)
}

// A commit that cannot be measured is left out after its second failure, and who stands behind it is not told apart.
func TestCommitThatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	s := Search{Candidates: 8, MinEffect: 0.02, Trials: []Trial{pairsOf(8, 0.05), {Commit: 4, Failed: "make"}}}
	require.Equal(t, 4, s.Next(), "once may be bad luck")
	s.Trials = append(s.Trials, Trial{Commit: 4, Failed: "make"})
	require.NotEqual(t, 4, s.Next())
	s.Trials = append(s.Trials, pairsOf(3, 0), pairsOf(5, 0.05))
	f := s.Found(0.95)
	require.True(t, f.Settled)
	require.Equal(t, []int{4, 5}, []int{f.From, f.To}, "4 or 5: nobody can say")

	for _, commit := range []int{1, 2, 3, 5, 6, 7, 8} {
		s.Trials = append(s.Trials, Trial{Commit: commit, Failed: "x"}, Trial{Commit: commit, Failed: "x"})
	}
	none := Search{Candidates: 1, MinEffect: 0.02, Trials: []Trial{{Commit: 1, Failed: "x"}, {Commit: 1, Failed: "x"}}}
	require.Zero(t, none.Next(), "none can be measured")
}

// One measurement that bad luck has made says nothing for ever: others undo it.
func TestBadLuckIsUndone(t *testing.T) {
	t.Parallel()
	unlucky := Trial{Commit: 4, Pairs: []float64{0.04, 0.06, 0, 0.05}} // 4 is as fast as the good one
	s := Search{Candidates: 8, MinEffect: 0.02, Trials: []Trial{pairsOf(8, 0.03), unlucky}}
	for len(s.Trials) < Bound(8) && !s.Found(0.95).Settled {
		at, slower := s.Next(), 0.0
		if at >= 6 {
			slower = 0.03
		}
		s.Trials = append(s.Trials, pairsOf(at, slower))
	}
	f := s.Found(0.95)
	require.True(t, f.Settled)
	require.Equal(t, []int{6, 6}, []int{f.From, f.To})
}
