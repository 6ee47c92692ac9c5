package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/sshtest"
)

// A build's TMPDIR is often a long path in a workspace named after a branch.
func TestSSHWhateverTMPDIRIs(t *testing.T) {
	tmp := filepath.Join(t.TempDir(), "my job%2Fbranch@2@tmp", strings.Repeat("long", 20))
	require.NoError(t, os.MkdirAll(tmp, 0o700))
	t.Setenv("TMPDIR", tmp)
	h, _ := login(t, sshtest.Options{})
	res, err := h.Run(context.Background(), Cmd{Argv: []string{"echo", "there"}})
	require.NoError(t, err)
	require.Equal(t, "there\n", string(res.Stdout))
	require.True(t, h.up, "over the shared connection")
}
