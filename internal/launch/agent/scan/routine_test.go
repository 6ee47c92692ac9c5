package scan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthCheckLogged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		path, line string
		want       bool
	}{
		{"/health", `INFO:     127.0.0.1:33128 - "GET /health HTTP/1.1" 200 OK`, true},
		{"/health", `INFO:     127.0.0.1:33128 - "GET /health HTTP/1.1" 503 Service Unavailable`, true},
		{"/health", `10.0.0.1 - - [29/Nov/2026:10:00:00 +0000] "GET /health?full=1 HTTP/1.0" 200 2 "-" "Go-http-client/1.1"`, true},
		{"/health", `[GIN] 2026/11/29 - 10:00:00 | 200 |  35.2µs | 127.0.0.1 | GET      "/health"`, true},
		{"/health", `{"level":"info","method":"GET","path":"/health","status":200}`, true},
		{"/v1/models", `INFO:     127.0.0.1:33128 - "GET /v1/models HTTP/1.1" 200 OK`, true},
		{"/", `INFO:     127.0.0.1:33128 - "GET / HTTP/1.1" 200 OK`, true},
		{"/", `INFO:     127.0.0.1:33128 - "GET /metrics HTTP/1.1" 200 OK`, false},
		{"/health", `INFO:     127.0.0.1:33128 - "GET /health_generate HTTP/1.1" 200 OK`, false},
		{"/health", `INFO:     127.0.0.1:33128 - "GET /health/deep HTTP/1.1" 200 OK`, false},
		{"/health", `INFO:     127.0.0.1:33128 - "POST /v1/completions HTTP/1.1" 200 OK`, false},
		{"/health", "serving /health on port 8000", false},
		{"", `INFO:     127.0.0.1:33128 - "GET /health HTTP/1.1" 200 OK`, false},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, HealthCheck(tt.path).Logged(tt.line), tt.line)
	}
}

// A role whose own output holds the access log lives by what else it prints, and what
// it said before stays in sight.
func TestHealthChecksInOutput(t *testing.T) {
	t.Parallel()
	check := "INFO:     127.0.0.1:33128 - \"GET /health HTTP/1.1\" 200 OK\n"
	l := New("server", "roles/server/output.log", "", builtin(t))
	l.Health = "/health"
	l.feed("RuntimeError: CUDA error: uncorrectable ECC error encountered\n", 7)
	before := l.Signs()
	l.feed(strings.Repeat(check, 5000), len(check))
	require.Equal(t, before, l.Signs())
	lines := l.Explaining()
	require.Len(t, lines, 1)
	require.Equal(t, 1, lines[0].Number)
	require.Zero(t, lines[0].Behind)
	l.feed("Avg generation throughput: 12.1 tokens/s\n", 4)
	require.Greater(t, l.Signs(), before)
	require.Equal(t, 5002, l.LastLines()[1].Number)
}
