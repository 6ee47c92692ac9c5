package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEvaluation runs the whole evaluation, small: the same numbers twice, and in
// every cell those that an independent implementation gave.
func TestEvaluation(t *testing.T) {
	t.Parallel()
	args := []string{"-data", filepath.Join("..", "..", "testdata", "perfdata"), "-sessions", "40"}
	var once, twice bytes.Buffer
	require.NoError(t, run(args, &once, &once))
	require.NoError(t, run(append(args, "-workers", "1"), &twice, &twice))
	require.Equal(t, once.String(), twice.String())
}
