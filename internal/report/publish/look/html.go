package look

import (
	"bytes"
	_ "embed"
	"html/template"
	"io/fs"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// Clean replaces what is no text: control characters, broken UTF-8, and marks
// that turn the direction of what follows.
func Clean(page []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && Unprintable(r) {
			return '\ufffd'
		}
		return r
	}, page)
}

// Hours is a number of GPU-hours; a little is not shown as none.
func Hours(h float64) string {
	if h > 0 && h < 0.005 {
		return "< 0.01"
	}
	return strconv.FormatFloat(h, 'f', 2, 64)
}

// Size is a file size for people.
func Size(n int64) string {
	switch {
	case n < 1<<10:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<10), 'f', 0, 64) + " kB"
	case n < 1<<30:
		return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MB"
	default:
		return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GB"
	}
}

// Href is a link to a kept file. A path that would leave the run directory, or
// is none, is not linked.
func Href(root, file string) string {
	file = path.Clean(file)
	if file == "." || path.IsAbs(file) || file == ".." || strings.HasPrefix(file, "../") {
		return ""
	}
	segments := strings.Split(file, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return root + strings.Join(segments, "/")
}

// WebLink is s if it is a link that a page may hold.
func WebLink(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return u.String()
}

// Stamp is a time for people, in UTC.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// StyleFile is the name of the style sheet, beside the pages of a site.
const StyleFile = "report.css"

//go:embed report.css
var style []byte

// Style is the style sheet.
func Style() []byte { return bytes.Clone(style) }

//go:embed page.html
var page string

// Pages are templates with what all pages begin with: "head", of something with a Title and Up, the way to the style
// sheet.
func Pages(own template.FuncMap, files fs.FS) *template.Template {
	t := template.Must(template.New("").Funcs(funcs()).Funcs(own).Parse(page))
	return template.Must(t.ParseFS(files, "templates/*.html"))
}

// funcs are the functions of the templates of all pages.
func funcs() template.FuncMap {
	return template.FuncMap{
		"href":    Href,
		"web":     WebLink,
		"count":   plain.Count,
		"stamp":   Stamp,
		"lasting": Lasting,
		"hours":   Hours,
		"bytes":   Size,
		"commit":  words.ShortCommit,
		"short":   plain.Cut,
		"line":    OneLine,
		"squeeze": plain.Words,
		"time":    func(t *time.Time) string { return Stamp(*t) },
	}
}
