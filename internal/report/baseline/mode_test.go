package baseline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// TestModeOfACase: a match value that is called mode is the case's where it is one of them, and says nothing of what a
// configured pipeline is.
func TestModeOfACase(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		match map[string]string
		mode  string // that is recorded
		want  string
	}{
		{name: "nothing is known"},
		{name: "by the match", match: map[string]string{"mode": "ctx_only"}, want: "ctx_only"},
		{name: "by the record", match: map[string]string{"gpu_type": "B200"}, mode: "gen_only", want: "gen_only"},
		{name: "the match before the record", match: map[string]string{"mode": "ctx_only"}, mode: "e2e", want: "ctx_only"},
		{name: "a pipeline", match: map[string]string{"pipeline": "own", "mode": "e2e"}, mode: "e2e", want: "custom"},
		{name: "a pipeline with a variable of that name, which is selected", match: map[string]string{"mode": "fast"}, mode: "custom", want: "custom"},
		{name: "and has the value of a mode", match: map[string]string{"mode": "gen_only"}, mode: "custom", want: "custom"},
		{name: "a value that is no mode", match: map[string]string{"mode": "prefill"}, mode: "ctx_only", want: "ctx_only"},
		{name: "a value that is no mode, and no other", match: map[string]string{"mode": "prefill"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, baseline.Record{Match: tt.match, Beside: baseline.Beside{CaseMode: tt.mode}}.ModeOfCase())
		})
	}
}
