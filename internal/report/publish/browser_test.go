package publish

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/testkit/browser"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

var screenshots = flag.String("screenshots", "", "directory to write the screenshots of docs/report.md to")

func TestBrowserShowsItUnderJenkinsPolicy(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	for name, d := range map[string]report.Report{"regression": regressionDocument(), "crash": crashDocument(), "hostile": hostileDocument()} {
		dir, files := written(t, d)
		pages := []string{"index.html", casePath(report.WorstFirst(d.Cases)[0])}
		for _, page := range pages {
			s := browser.Serve(t, dir)
			log := browser.Visit(t, s.URL+"/"+page, "--screenshot="+filepath.Join(t.TempDir(), "page.png"))
			served, violations := s.Seen()
			require.Empty(t, violations, "%s %s", name, page)
			require.NotRegexp(t, browser.Refused, log, "%s %s", name, page)
			require.Equal(t, http.StatusOK, served["/report.css"], "%s %s: the style sheet", name, page)
			images := regexp.MustCompile(`<img src="\.\./([^"]+)"`).FindAllStringSubmatch(string(files[page]), -1)
			if page != "index.html" {
				require.NotEmpty(t, images, "%s %s", name, page)
			}
			for _, m := range images {
				require.Equal(t, http.StatusOK, served["/"+m[1]], "%s %s: %s", name, page, m[1])
			}
		}
	}
}

// TestBrowserIsAccessible holds every kind of page against axe-core, on a phone and on a desk, by day and in the dark.
func TestBrowserIsAccessible(t *testing.T) {
	need.Long(t, "the Debian package chromium")
	t.Parallel()
	all := t.TempDir()
	var pages []string
	for name, d := range map[string]report.Report{"regression": regressionDocument(), "crash": crashDocument(), "hostile": hostileDocument()} {
		dir, _ := written(t, d)
		require.NoError(t, os.CopyFS(filepath.Join(all, name), os.DirFS(dir)))
		pages = append(pages, name+"/index.html", name+"/"+strings.ReplaceAll(casePath(report.WorstFirst(d.Cases)[0]), "#", "%23"))
	}
	browser.Accessible(t, all, pages...)
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
			browser.Shoot(t, "file://"+strings.ReplaceAll(filepath.Join(dir, page), "#", "%23"), out, shot.size, mode == "dark")
		}
	}
}
