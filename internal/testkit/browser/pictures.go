package browser

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Picture is one that the docs show: of a page below a directory, in a window of that size.
type Picture struct{ Name, Dir, Page, Size string }

// TakeVariable is what `make screenshots` sets to have pictures taken.
const TakeVariable = "CI_DISAGG_SCREENSHOTS"

// Pictures tells which pictures of a page of the docs are stale: docs/img/NAME.sum says what each was taken of, by the
// text of the page, its styles and its drawings. With TakeVariable they are taken anew, by day and in the dark.
func Pictures(t *testing.T, doc string, all ...Picture) {
	t.Helper()
	docs := filepath.Join(root(t), "docs")
	text, err := os.ReadFile(filepath.Join(docs, doc))
	require.NoError(t, err)
	for _, p := range all {
		sum := p.sum(t)
		file := filepath.Join(docs, "img", p.Name+".sum")
		if os.Getenv(TakeVariable) != "" {
			for _, mode := range []string{"light", "dark"} {
				url := "file://" + strings.ReplaceAll(filepath.Join(p.Dir, p.Page), "#", "%23")
				Shoot(t, url, filepath.Join(docs, "img", p.Name+"-"+mode+".png"), p.Size, mode == "dark")
			}
			require.NoError(t, os.WriteFile(file, []byte(sum+"\n"), 0o600))
		}
		taken, err := os.ReadFile(file)
		require.NoError(t, err, "make screenshots")
		require.Equal(t, strings.TrimSpace(string(taken)), sum, "the pictures %s of docs/%s are stale: run `make screenshots` and look at them", p.Name, doc)
		for _, mode := range []string{"light", "dark"} {
			name := p.Name + "-" + mode + ".png"
			require.Contains(t, string(text), "img/"+name)
			info, err := os.Stat(filepath.Join(docs, "img", name))
			require.NoError(t, err, "make screenshots")
			require.Less(t, info.Size(), int64(250<<10), name)
		}
	}
}

// sum is what the picture shows, as far as it can be told without a browser.
func (p Picture) sum(t *testing.T) string {
	t.Helper()
	hash := sha256.New()
	page, err := os.ReadFile(filepath.Join(p.Dir, p.Page))
	require.NoError(t, err)
	_, _ = hash.Write(page)
	var beside []string
	for _, pattern := range []string{"*.css", "*/*.svg"} {
		found, err := filepath.Glob(filepath.Join(p.Dir, pattern))
		require.NoError(t, err)
		beside = append(beside, found...)
	}
	slices.Sort(beside)
	for _, file := range beside {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		_, _ = hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
