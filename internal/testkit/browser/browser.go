// Package browser shows pages to tests in Debian's Chromium: under the policy with which Jenkins serves archived files,
// and to axe-core, which knows what people with other eyes and hands need. For tests only.
package browser

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// JenkinsPolicy is the header with which Jenkins serves archived files unless an administrator changed it:
// docs/facts/jenkins.md#archived-pages.
const JenkinsPolicy = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self'"

// Refused is what a browser logs when the policy stops something.
var Refused = regexp.MustCompile(`(?i)content security policy|violates the following|blocked script|sandboxed`)

// limit ends a browser that hangs: in a visit, or in one look of several. On a busy machine either takes minutes.
const limit = 10 * time.Minute

// command is the browser, about to open a page. It fails without one: nothing else proves that people see the pages.
func command(ctx context.Context, t *testing.T, log io.Writer, args ...string) *exec.Cmd {
	t.Helper()
	need.Programs(t, "chromium", "chromium")
	// Processes of the browser outlive the first one for a moment: they may write to its directory, and hold its output
	// open.
	home, err := os.MkdirTemp("", "browser-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	cmd := exec.CommandContext(ctx, "chromium", append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir=" + home,
		"--enable-logging=stderr", "--v=0",
	}, args...)...)
	cmd.Stderr = log
	return cmd
}

// dark makes the browser say that its user likes dark pages.
func dark() []string { return []string{"--force-dark-mode", "--blink-settings=preferredColorScheme=0"} }

// Visit opens a page and gives what the browser logged.
func Visit(t *testing.T, url string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer func() { _ = log.Close() }()
	err = command(ctx, t, log, slices.Concat([]string{"--hide-scrollbars", "--virtual-time-budget=4000", "--window-size=1060,900"}, args, []string{url})...).Run()
	said, readErr := os.ReadFile(log.Name())
	require.NoError(t, readErr)
	require.NoError(t, err, string(said))
	return string(said)
}

// Shoot takes a picture of a page.
func Shoot(t *testing.T, url, to, size string, inTheDark bool) {
	t.Helper()
	args := []string{"--screenshot=" + to, "--window-size=" + size}
	if inTheDark {
		args = append(args, dark()...)
	}
	Visit(t, url, args...)
	require.FileExists(t, to)
}

// Site serves a directory as Jenkins does and keeps what was asked for and what the browser reported.
type Site struct {
	*httptest.Server
	mu         sync.Mutex
	served     map[string]int // path → status
	violations []string
}

// Serve begins to.
func Serve(t *testing.T, dir string) *Site {
	t.Helper()
	s := &Site{served: map[string]int{}}
	files := http.FileServer(http.Dir(dir))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/violation" {
			body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
			s.mu.Lock()
			s.violations = append(s.violations, string(body))
			s.mu.Unlock()
			return
		}
		w.Header().Set("Content-Security-Policy", JenkinsPolicy+"; report-uri /violation")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		answer := &status{ResponseWriter: w, code: http.StatusOK}
		files.ServeHTTP(answer, r)
		s.mu.Lock()
		s.served[r.URL.Path] = answer.code
		s.mu.Unlock()
	}))
	t.Cleanup(s.Close)
	return s
}

// status notes what is answered.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Seen are the answers that the site gave, by path, and the violations that the browser reported.
func (s *Site) Seen() (served map[string]int, violations []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	served = map[string]int{}
	for path, code := range s.served {
		served[path] = code
	}
	return served, slices.Clone(s.violations)
}
