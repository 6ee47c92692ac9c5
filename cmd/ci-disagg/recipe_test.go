package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What recipes become plans as it is printed.
func TestRecipesPlan(t *testing.T) {
	t.Parallel()
	recipes, err := filepath.Glob("../../internal/launch/recipe/testdata/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(recipes), 12)
	for _, file := range recipes {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			h, out, errs := planHost(t)
			require.Zero(t, run(t.Context(), h, []string{"plan", "--recipe", file}), errs)
			require.Contains(t, errs.String(), "not taken over: ")
			dir, err := h.getwd()
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ci-disagg.yaml"), out.Bytes(), 0o600))
			require.Zero(t, run(t.Context(), h, []string{"plan"}), "%s", errs)
		})
	}
}
