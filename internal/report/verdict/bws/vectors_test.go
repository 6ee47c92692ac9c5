package bws

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

type vectorFile struct {
	Parameters struct {
		DMin float64 `json:"dmin"`
	} `json:"parameters"`
	Cases []struct {
		Name     string    `json:"name"`
		Z        []float64 `json:"z"`
		Extra    []float64 `json:"extra_repetitions_of_last_run"`
		Window   int       `json:"window"`
		Mu       float64   `json:"mu"`
		NBase    int       `json:"n_base"`
		S        float64   `json:"s"`
		Rho      float64   `json:"rho"`
		Inliers  float64   `json:"n_inliers"`
		Outliers []float64 `json:"outliers"`
		Start    int       `json:"segment_start"`
		P        float64   `json:"p_regression"`
		Effect   float64   `json:"effect"`
	} `json:"cases"`
}

// TestScanMatchesTheReferenceVectors compares every intermediate value with the
// reference implementation. The vectors carry ten digits.
func TestScanMatchesTheReferenceVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../../testdata/perfdata/bws_vectors_v2.json")
	require.NoError(t, err)
	var file vectorFile
	require.NoError(t, json.Unmarshal(raw, &file))
	require.Len(t, file.Cases, 118)
	var sc Scanner
	for _, c := range file.Cases {
		runs := make([][]float64, len(c.Z))
		for j, z := range c.Z {
			runs[j] = []float64{z}
		}
		i := len(runs) - 1
		runs[i] = append(runs[i], c.Extra...)
		d := NewData(runs)
		r := sc.Scan(d, i, file.Parameters.DMin)
		require.Equal(t, c.Window, i-r.Window+1, c.Name)
		require.Equal(t, c.Start, r.Start, c.Name)
		require.Equal(t, c.NBase, r.Runs, c.Name)
		require.InDelta(t, c.Mu, r.Mu, 1e-9, c.Name)
		require.InDelta(t, c.S, r.Sigma, 1e-9, c.Name)
		require.InDelta(t, c.Rho, r.Rho, 1e-9, c.Name)
		require.EqualValues(t, c.Inliers, r.inliers, c.Name)
		require.InDeltaSlice(t, append([]float64{}, c.Outliers...), append([]float64{}, r.outliers...), 1e-9, c.Name)
		require.InDelta(t, c.P, r.Worse.P, 1e-9, c.Name)
		require.InDelta(t, c.Effect, r.Worse.Effect, 1e-9, c.Name)
	}
}
