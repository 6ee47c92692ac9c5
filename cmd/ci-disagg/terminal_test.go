package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/terminal"
)

// TestNoColour: NO_COLOR wins over everything (no-color.org).
func TestNoColour(t *testing.T) {
	t.Parallel()
	// A pseudo-terminal: what script, tmux and ssh give us.
	require.False(t, terminal.Is(new(bytes.Buffer)))
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	require.True(t, terminal.Is(f))
	for env, want := range map[string]bool{"": true, "NO_COLOR=1": false, "NO_COLOR=": true, "TERM=dumb": false} {
		h := host{getenv: func(name string) string {
			k, v, _ := strings.Cut(env, "=")
			if k == name {
				return v
			}
			return ""
		}}
		require.Equal(t, want, colours(h, f), env)
	}
}
