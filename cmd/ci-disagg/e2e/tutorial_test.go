package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// console is what a page shows of a shell: a command with its further lines, and what it prints.
type console struct{ command, output string }

// consoles are the commands of a page, in order.
func consoles(t *testing.T, page string) []console {
	t.Helper()
	data, err := os.ReadFile(page)
	require.NoError(t, err)
	var out []console
	in := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			in = line == "```console"
		case !in:
		case strings.HasPrefix(line, "$ "):
			out = append(out, console{command: line[2:]})
		case strings.HasPrefix(line, ">") && out[len(out)-1].output == "":
			out[len(out)-1].command += "\n" + strings.TrimPrefix(strings.TrimPrefix(line, ">"), " ")
		default:
			out[len(out)-1].output += line + "\n"
		}
	}
	require.NotEmpty(t, out)
	return out
}

// like is the pattern of a page's output: … stands for anything, and any number for any other, in columns of any width.
func like(output string) *regexp.Regexp {
	p := regexp.QuoteMeta(output)
	p = regexp.MustCompile(`(?m)^…$`).ReplaceAllString(p, `(?s:.*)`)
	p = strings.ReplaceAll(p, "…", `.*`)
	p = regexp.MustCompile(`\b[0-9a-f]*\d[0-9a-f]*(?:\\\.\d+)?`).ReplaceAllString(p, `[0-9a-f]+(?:\.\d+)?`)
	p = regexp.MustCompile(`[▁▂▃▄▅▆▇█]+`).ReplaceAllString(p, `[▁▂▃▄▅▆▇█]+`)
	p = regexp.MustCompile(` {2,}`).ReplaceAllString(p, ` +`)
	return regexp.MustCompile(`^` + p + `$`)
}

// TestTutorial types what docs/tutorial.md shows and reads what comes.
func TestTutorial(t *testing.T) {
	need.Long(t, "the built binary and two minutes")
	t.Parallel()
	steps := consoles(t, "../../../docs/tutorial.md")
	const mark = "-- end of a step --"
	var script strings.Builder
	for _, s := range steps {
		if s.command != "make build" { // it is built already, and stands on the PATH
			script.WriteString(s.command + "\n")
		}
		script.WriteString("echo '" + mark + "'\n")
	}
	bin := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(bin, "bin"), 0o755))
	require.NoError(t, os.Symlink(binary, filepath.Join(bin, "bin", "ci-disagg")))
	typed := filepath.Join(bin, "typed.sh")
	require.NoError(t, os.WriteFile(typed, []byte(script.String()), 0o600))
	c := exec.CommandContext(t.Context(), "bash", typed)
	c.Dir = bin
	c.Env = append(os.Environ(), "NO_COLOR=1")
	c.WaitDelay = time.Minute
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	got := strings.Split(string(out), mark+"\n")
	require.Len(t, got, len(steps)+1, "%s", out)
	for i, s := range steps {
		if s.command != "make build" && s.output != "" {
			require.Regexp(t, like(s.output), got[i], "$ %s", s.command)
		}
	}
}
