package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/scan"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func logsOf(t testing.TB, globs ...string) (*Logs, string, blame.Classes) {
	t.Helper()
	var rules []blame.Rule
	require.NoError(t, yaml.Unmarshal([]byte(blame.ClassesYAML), &rules))
	classes, err := blame.Compile(rules)
	require.NoError(t, err)
	run := rundir.AttemptDir(t.TempDir()).Run(0)
	output := run.Output()
	require.NoError(t, os.MkdirAll(output, 0o700))
	return newLogs(run, []Role{{Name: "GEN_0", Logs: globs}}, globs, 0), output, classes
}

// The cause of a server's death stands in its own log, far above its end: a flood of
// the same line is one line, and what is not a file is not read.
func TestServerLogsAreEvidence(t *testing.T) {
	t.Parallel()
	s, output, classes := logsOf(t, "trtllm-serve.*.GEN_0.log")
	var b strings.Builder
	b.WriteString("loading\nTraceback (most recent call last):\n  File \"x.py\", line 1\nRuntimeError: CUDA error: uncorrectable ECC error encountered\n")
	for i := range 2900 {
		fmt.Fprintf(&b, "block: [%d,0,0], thread: [%d,0,0] is waiting\n", i/128, i%128)
	}
	require.NoError(t, os.WriteFile(filepath.Join(output, "trtllm-serve.0.GEN_0.log"), []byte(b.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(output, "trtllm-serve.0.CTX_0.log"), []byte("another role's\n"), 0o600))
	require.NoError(t, syscall.Mkfifo(filepath.Join(output, "trtllm-serve.1.GEN_0.log"), 0o600))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(output, "trtllm-serve.2.GEN_0.log")))
	lines := s.Lines(0, "GEN_0", scan.NewPatterns(classes))
	ev := blame.Evidence{
		Roles: []blame.Role{{Name: "GEN_0", Kind: "server"}}, Classes: classes,
		Events: []blame.Event{{Role: "GEN_0", Kind: blame.RoleEnd, At: time.Unix(100, 0), Exit: 1}},
		Lines:  append([]blame.Line{{Role: "GEN_0", File: "roles/GEN_0/output.log", Number: 9, Text: "E   RuntimeError: the server of GEN_0 ended with 1:", First: true}}, lines...),
	}
	f := blame.Judge(ev)
	require.Equal(t, blame.Infra, f.Class, f.Message)
	require.Equal(t, "run-0/output/trtllm-serve.0.GEN_0.log", f.Line.File)
	require.Equal(t, 4, f.Line.Number)
	require.Contains(t, f.Message, "uncorrectable ECC error")
}

func TestServerLogsGrow(t *testing.T) {
	t.Parallel()
	s, output, _ := logsOf(t, "*.GEN_0.log")
	at := time.Unix(1000, 0)
	s.look(at)
	require.Zero(t, s.lastGrowth(0))
	file := filepath.Join(output, "trtllm-serve.0.GEN_0.log")
	require.NoError(t, os.WriteFile(file, []byte("a\n"), 0o600))
	s.look(at.Add(time.Second))
	s.look(at.Add(2 * time.Second))
	require.Equal(t, at.Add(time.Second), s.lastGrowth(0))
	require.NoError(t, os.WriteFile(file, []byte("a\nb\n"), 0o600))
	s.look(at.Add(3 * time.Second))
	require.Equal(t, at.Add(3*time.Second), s.lastGrowth(0))
}

// Of a huge log the end is searched, with the numbers of the whole.
func TestHugeServerLog(t *testing.T) {
	t.Parallel()
	s, output, classes := logsOf(t, "*.GEN_0.log")
	f, err := os.Create(filepath.Join(output, "serve.GEN_0.log"))
	require.NoError(t, err)
	const hugeLines = 1 << 10 // of 64 KiB
	line := strings.Repeat("x", 64<<10-1) + "\n"
	_, err = f.WriteString(strings.Repeat(line, hugeLines))
	require.NoError(t, err)
	_, err = f.WriteString("OSError: [Errno 116] Stale file handle\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	lines := s.Lines(0, "GEN_0", scan.NewPatterns(classes))
	require.NotEmpty(t, lines)
	require.Equal(t, hugeLines+1, lines[len(lines)-1].Number)
}

// A server whose engine is dead answers its health check, and logs that: no sign of life,
// and no line that pushes the cause out of sight.
func TestHealthChecksAreNoLife(t *testing.T) {
	t.Parallel()
	s, output, classes := logsOf(t, "*.GEN_0.log")
	file := filepath.Join(output, "trtllm-serve.0.GEN_0.log")
	at := time.Unix(1000, 0)
	text := "RuntimeError: CUDA error: uncorrectable ECC error encountered\n"
	look := func(more string) {
		text += more
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		at = at.Add(time.Second)
		s.look(at)
	}
	look("")
	died := at
	for port := range 2000 {
		text += fmt.Sprintf("INFO:     10.0.0.7:%d - \"GET /health HTTP/1.1\" 200 OK\n", 30000+port*7%999)
		if port%100 == 0 {
			look("")
		}
	}
	require.Equal(t, died, s.lastGrowth(0))
	require.Equal(t, at, s.lastCheck(0))
	lines := s.Lines(0, "GEN_0", scan.NewPatterns(classes))
	require.Len(t, lines, 1)
	require.Zero(t, lines[0].Behind)
	look("INFO:     10.0.0.7:31 - \"POST /v1/completions HTTP/1.1\" 200 OK\n")
	require.Equal(t, at, s.lastGrowth(0))
}
