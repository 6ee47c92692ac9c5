package publish

import (
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// jenkinsPolicy is the header with which Jenkins serves archived files unless an
// administrator changed it: docs/facts/jenkins.md#archived-pages.
const jenkinsPolicy = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self'"

var screenshots = flag.String("screenshots", "", "directory to write the screenshots of docs/report.md to")

// chromium is Debian's browser. The test fails without it: it is the only proof
// that people see the report in Jenkins.
func chromium(t *testing.T) string {
	t.Helper()
	need.Long(t, "the Debian package chromium")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require.FailNow(t, "no chromium on PATH: apt-get install chromium")
	return ""
}

// visit opens a page and gives what the browser logged.
func visit(t *testing.T, url string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	// Processes of the browser outlive the first one for a moment: they may write to its directory, and hold its output open.
	home, err := os.MkdirTemp("", "browser-") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, chromium(t), append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=" + home,
		"--enable-logging=stderr", "--v=0", "--virtual-time-budget=4000", "--window-size=1060,900",
	}, append(args, url)...)...)
	cmd.Stderr = log
	err = cmd.Run()
	said, readErr := os.ReadFile(log.Name())
	require.NoError(t, readErr)
	require.NoError(t, err, string(said))
	return string(said)
}

// site serves a directory as Jenkins does and keeps what was asked for and what
// the browser reported.
type site struct {
	*httptest.Server
	mu         sync.Mutex
	served     map[string]int // path → status
	violations []string
}

func serve(t *testing.T, dir string) *site {
	t.Helper()
	s := &site{served: map[string]int{}}
	files := http.FileServer(http.Dir(dir))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/violation" {
			body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
			s.mu.Lock()
			s.violations = append(s.violations, string(body))
			s.mu.Unlock()
			return
		}
		w.Header().Set("Content-Security-Policy", jenkinsPolicy+"; report-uri /violation")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		answer := httptest.NewRecorder()
		files.ServeHTTP(answer, r)
		s.mu.Lock()
		s.served[r.URL.Path] = answer.Code
		s.mu.Unlock()
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(s.Close)
	return s
}

// refused is what a browser logs when the policy stops something.
var refused = regexp.MustCompile(`(?i)content security policy|violates the following|blocked script|sandboxed`)

func TestBrowserShowsItUnderJenkinsPolicy(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]report.Report{"regression": regressionDocument(), "crash": crashDocument(), "hostile": hostileDocument()} {
		dir, files := written(t, d)
		pages := []string{"index.html", casePath(report.WorstFirst(d.Cases)[0])}
		for _, page := range pages {
			s := serve(t, dir)
			log := visit(t, s.URL+"/"+page, "--screenshot="+filepath.Join(t.TempDir(), "page.png"))
			s.mu.Lock()
			require.Empty(t, s.violations, "%s %s", name, page)
			require.NotRegexp(t, refused, log, "%s %s", name, page)
			require.Equal(t, http.StatusOK, s.served["/report.css"], "%s %s: the style sheet", name, page)
			images := regexp.MustCompile(`<img src="\.\./([^"]+)"`).FindAllStringSubmatch(string(files[page]), -1)
			if page != "index.html" {
				require.NotEmpty(t, images, "%s %s", name, page)
			}
			for _, m := range images {
				require.Equal(t, http.StatusOK, s.served["/"+m[1]], "%s %s: %s", name, page, m[1])
			}
			s.mu.Unlock()
		}
	}
}

// TestBrowserReportsViolations proves that the test above can fail.
func TestBrowserReportsViolations(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"style attribute": `<p style="color:red">x</p>`, "style element": `<style>p{color:red}</style>`, "script": `<script>1</script>`,
		"data URL": `<img alt="x" src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">`,
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "page.html"), []byte("<!DOCTYPE html><title>x</title>"+body), 0o600))
		s := serve(t, dir)
		log := visit(t, s.URL+"/page.html", "--screenshot="+filepath.Join(t.TempDir(), "page.png"))
		s.mu.Lock()
		require.True(t, len(s.violations) > 0 || refused.MatchString(log), "%s: neither reported nor logged:\n%s", name, log)
		s.mu.Unlock()
	}
}

// TestScreenshots writes the pictures of docs/report.md with -screenshots, and
// else holds the page against the pictures that are there.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../../docs/report.md")
	require.NoError(t, err)
	shots := []struct {
		name string
		d    report.Report
		page bool
		size string
	}{
		{"overview", crashDocument(), false, "1060,830"}, {"case-crash", crashDocument(), true, "1060,1000"}, {"case-regression", regressionDocument(), true, "1060,1060"},
	}
	for _, shot := range shots {
		for _, mode := range []string{"light", "dark"} {
			name := shot.name + "-" + mode + ".png"
			require.Contains(t, string(doc), "img/"+name)
			if *screenshots == "" {
				info, err := os.Stat(filepath.Join("../../../docs/img", name))
				require.NoError(t, err, "go test ./internal/report/publish -run Screenshots -screenshots DIR")
				require.Less(t, info.Size(), int64(250<<10), name)
				continue
			}
			dir, _ := written(t, shot.d)
			page := "index.html"
			if shot.page {
				page = casePath(report.WorstFirst(shot.d.Cases)[0])
			}
			out, err := filepath.Abs(filepath.Join(*screenshots, name))
			require.NoError(t, err)
			args := []string{"--screenshot=" + out, "--window-size=" + shot.size}
			if mode == "dark" {
				args = append(args, "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
			}
			visit(t, "file://"+strings.ReplaceAll(filepath.Join(dir, page), "#", "%23"), args...)
			require.FileExists(t, out)
		}
	}
}
