package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// However long a run is, its samples stay under their bound, and reach to its end.
func TestTelemetryIsBounded(t *testing.T) {
	const full = rundir.MaxTelemetryFile
	for name, tt := range map[string]struct{ size, want int }{
		"as good as empty":    {1, 64},
		"half full":           {full/2 + 1, 32},
		"three quarters full": {full*3/4 + 1, 16},
		"nearly full":         {full - full/64 + 1, 1},
		"full":                {full, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.CreateTemp(t.TempDir(), "")
			require.NoError(t, err)
			s := &sampler{p: New(Options{Root: filepath.Join(t.TempDir(), "none")}), f: f, size: tt.size}
			for range 64 {
				s.rows(time.Unix(1, 0))
			}
			require.LessOrEqual(t, s.size, full)
			text, err := os.ReadFile(f.Name())
			require.NoError(t, err)
			require.Equal(t, tt.want, strings.Count(string(text), "\n"))
		})
	}
}
