package script_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
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
	if scripts = slices.DeleteFunc(scripts, func(s string) bool { return checkedShape(t, s) }); len(scripts) == 0 {
		return
	}
	out, err := exec.Command("shellcheck", append([]string{"--severity=style", "--"}, scripts...)...).CombinedOutput()
	require.NoError(t, err, "shellcheck (Debian package shellcheck): %s", out)
}

// shapes are the scripts that shellcheck was shown, without their words and numbers: it has nothing to say of these.
var shapes sync.Map

var wordsOrNumbers = regexp.MustCompile(`'[^']*'|[0-9]+`)

// checkedShape reports whether a script like this one was shown to shellcheck before, and notes that it is now.
func checkedShape(t *testing.T, script string) bool {
	t.Helper()
	text, err := os.ReadFile(script)
	require.NoError(t, err)
	_, seen := shapes.LoadOrStore(wordsOrNumbers.ReplaceAllString(string(text), "0"), true)
	return seen
}

func escapeGlob(s string) string {
	return strings.NewReplacer("[", `\[`, "]", `\]`, "*", `\*`, "?", `\?`).Replace(s)
}
