package words

import (
	"net/url"
	"path"
	"strings"
)

// OnWeb is the address of a file of a run directory whose copy is kept at pages: never one outside of the copy.
func OnWeb(pages, file string) string {
	return pages + strings.TrimPrefix((&url.URL{Path: path.Join("/", file)}).EscapedPath(), "/")
}
