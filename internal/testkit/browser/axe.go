package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

//go:embed driver.js
var driver []byte

// Look is what was seen of a page in a window of that width.
type Look struct {
	Page   string
	Width  int
	Dark   bool     // its user likes dark pages
	Wide   int      // what the page takes
	Beyond []string // what makes it wider than the window
	Styled int      // style sheets
	Rules  int      // of axe-core that had something to look at
	Found  []string // what is wrong
}

// Widths are those of a phone and of a desk.
func Widths() []int { return []int{390, 1400} }

// Accessible holds pages below dir against axe-core, on a phone and on a desk, by day and in the dark. No page is to be
// wider than its window.
func Accessible(t *testing.T, dir string, pages ...string) {
	t.Helper()
	for _, atNight := range []bool{false, true} {
		looks := Axe(t, dir, atNight, pages...)
		require.Len(t, looks, len(pages)*len(Widths()), "%v", looks)
		for _, l := range looks {
			where := fmt.Sprintf("%s at %d pixels, dark %t", l.Page, l.Width, l.Dark)
			require.Empty(t, l.Found, where)
			require.Equal(t, atNight, l.Dark, where)
			require.Equal(t, 1, l.Styled, where)
			require.Greater(t, l.Rules, 10, where)
			require.LessOrEqual(t, l.Wide, l.Width, "%s: %q", where, l.Beyond)
		}
	}
}

// Axe shows pages below dir to axe-core: one browser, all pages and widths.
func Axe(t *testing.T, dir string, atNight bool, pages ...string) []Look {
	t.Helper()
	axe := filepath.Join(root(t), "testdata/axe/node_modules/axe-core/axe.min.js")
	require.FileExists(t, axe, "make setup installs it: npm ci --prefix testdata/axe")
	what, err := json.Marshal(map[string]any{"pages": pages, "widths": Widths()})
	require.NoError(t, err)
	seen := make(chan Look, len(pages)*len(Widths())+1)
	mux := http.NewServeMux()
	mux.Handle("/site/", http.StripPrefix("/site/", http.FileServer(http.Dir(dir))))
	mux.HandleFunc("/axe.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, axe) })
	mux.HandleFunc("/driver.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(driver)
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<!DOCTYPE html><meta name="color-scheme" content="light dark"><script type="application/json" id="what">%s</script><script type="module" src="driver.js"></script>`, what)
	})
	mux.HandleFunc("/seen", func(_ http.ResponseWriter, r *http.Request) {
		var l Look
		if json.NewDecoder(r.Body).Decode(&l) == nil {
			seen <- l
		}
	})
	mux.HandleFunc("/over", func(http.ResponseWriter, *http.Request) { close(seen) })
	server := httptest.NewServer(mux)
	defer server.Close()
	return wait(t, server.URL, atNight, seen)
}

// wait has the browser open the driver's page until that has told all. One that says nothing for long is ended.
func wait(t *testing.T, url string, atNight bool, seen chan Look) (all []Look) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	bell := time.AfterFunc(limit, cancel)
	defer bell.Stop()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer func() { _ = log.Close() }()
	args := []string{"--window-size=1500,1000", url + "/"}
	if atNight {
		args = append(dark(), args...)
	}
	cmd := command(ctx, t, log, args...)
	require.NoError(t, cmd.Start())
	var died error
	ended := make(chan struct{})
	go func() {
		died = cmd.Wait()
		close(ended)
	}()
	for {
		select {
		case l, more := <-seen:
			if !more {
				cancel() // ends the browser
				<-ended
				return all
			}
			all = append(all, l)
			bell.Reset(limit)
		case <-ended:
			said, _ := os.ReadFile(log.Name())
			require.FailNow(t, "the browser has ended", "%v\n%s", died, said)
		}
	}
}

// root is the repository's: tests run in the folders of their packages.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		require.NotEqual(t, dir, filepath.Dir(dir), "no go.mod above the test")
		dir = filepath.Dir(dir)
	}
}
