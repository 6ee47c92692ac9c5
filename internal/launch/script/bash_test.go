package script_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

func quoted(t *testing.T, s string) string {
	t.Helper()
	q, err := syntax.Quote(s, syntax.LangBash)
	require.NoError(t, err)
	return q
}

// lint holds every script of an attempt against bash and shellcheck.
func lint(t *testing.T, dir string) {
	t.Helper()
	var scripts []string
	for _, glob := range []string{"*.sh", "run-*/roles/*/*.sh"} {
		found, err := filepath.Glob(filepath.Join(escapeGlob(dir), glob))
		require.NoError(t, err)
		scripts = append(scripts, found...)
	}
	require.NotEmpty(t, scripts)
	for _, s := range scripts {
		out, err := exec.Command("bash", "-n", s).CombinedOutput()
		require.NoError(t, err, "%s: %s", s, out)
	}
	need.Programs(t, "shellcheck", "shellcheck")
	out, err := exec.Command("shellcheck", append([]string{"--severity=style", "--"}, scripts...)...).CombinedOutput()
	require.NoError(t, err, "shellcheck (Debian package shellcheck): %s", out)
}

func escapeGlob(s string) string {
	return strings.NewReplacer("[", `\[`, "]", `\]`, "*", `\*`, "?", `\?`).Replace(s)
}
