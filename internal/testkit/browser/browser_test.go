package browser_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/browser"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

func write(t *testing.T, dir, name, body string) {
	t.Helper()
	page := `<!DOCTYPE html><html lang="en"><meta name="viewport" content="width=device-width"><title>x</title><body><main><h1>x</h1>` + body + "</main>"
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(page), 0o600))
}

// TestBrowserReportsViolations proves that tests of the policy can fail.
func TestBrowserReportsViolations(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	for name, body := range map[string]string{
		"style attribute": `<p style="color:red">x</p>`, "style element": `<style>p{color:red}</style>`, "script": `<script>1</script>`,
		"data URL": `<img alt="x" src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">`,
	} {
		dir := t.TempDir()
		write(t, dir, "page.html", body)
		s := browser.Serve(t, dir)
		log := browser.Visit(t, s.URL+"/page.html", "--screenshot="+filepath.Join(t.TempDir(), "page.png"))
		_, violations := s.Seen()
		require.True(t, len(violations) > 0 || browser.Refused.MatchString(log), "%s: neither reported nor logged:\n%s", name, log)
	}
}

// TestBrowserFindsWhatIsNotAccessible proves that tests with axe-core can fail, each for what it says.
func TestBrowserFindsWhatIsNotAccessible(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	dir := t.TempDir()
	pages := map[string]string{
		"color-contrast": `<style>p{color:#aaa;background:#fff}@media(prefers-color-scheme:dark){p{color:#555;background:#000}}</style><p>pale words</p>`,
		"image-alt":      `<style></style><img src="x.png">`, "scrollable-region-focusable": `<div style="width:9em;overflow-x:scroll"><pre>` + strings.Repeat("long ", 99) + "</pre></div>",
		"wide": `<div style="width:900px">x</div>`,
	}
	var names []string
	for name, body := range pages {
		write(t, dir, name+".html", body)
		names = append(names, name+".html")
	}
	for _, atNight := range []bool{false, true} {
		for _, l := range browser.Axe(t, dir, atNight, names...) {
			name := strings.TrimSuffix(l.Page, ".html")
			if name == "wide" {
				require.Equal(t, l.Width == 390, l.Wide > l.Width, "%+v", l)
				continue
			}
			require.Equal(t, atNight, l.Dark)
			require.Contains(t, strings.Join(l.Found, "\n"), name+": ", "%+v", l)
		}
	}
}
