package publish

import (
	"bytes"
	"embed"
	"html/template"
	"strconv"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

//go:embed templates
var templates embed.FS

// pages are the parsed templates. html/template escapes by context: whatever a
// log, an id or a commit contains, it is text.
//
//nolint:gochecknoglobals // immutable, built once
var pages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"href":     href,
		"web":      webLink,
		"count":    count,
		"suspects": suspects,
		"stamp":    stamp,
		"lasting":  lasting,
		"hours":    hours,
		"bytes":    sizeWords,
		"commit":   words.ShortCommit,
		"short":    shorten,
		"line":     oneLine,
		"squeeze":  squeeze,
		"time":     func(t *time.Time) string { return stamp(*t) },
	}).ParseFS(templates, "templates/*.html"))
})

// render executes one page.
func render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	err := pages().ExecuteTemplate(&b, name, data)
	return clean(b.Bytes()), err
}

// clean replaces what is no text: control characters, broken UTF-8, and marks
// that turn the direction of what follows.
func clean(page []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unprintable(r) {
			return '\ufffd'
		}
		return r
	}, page)
}

// hours is a number of GPU-hours; a little is not shown as none.
func hours(h float64) string {
	if h > 0 && h < 0.005 {
		return "< 0.01"
	}
	return strconv.FormatFloat(h, 'f', 2, 64)
}

// sizeWords is a file size for people.
func sizeWords(n int64) string {
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
