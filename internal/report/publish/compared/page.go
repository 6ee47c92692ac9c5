package compared

import (
	"bytes"
	"embed"
	"html/template"
	"io"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
)

//go:embed templates
var templates embed.FS

//nolint:gochecknoglobals // immutable, built once
var pages = sync.OnceValue(func() *template.Template {
	return look.Pages(template.FuncMap{
		"word": word, "tone": look.Tone, "metric": metric, "ratio": ratio, "interval": interval, "worse": worse,
		"level": level, "runs": runs, "side": side,
	}, templates)
})

// HTML writes a page without a script and without a style of its own: look.StyleFile beside it is how it looks.
func HTML(w io.Writer, d compare.Document) error {
	var b bytes.Buffer
	err := pages().ExecuteTemplate(&b, "compare", map[string]any{
		"D": d, "Headline": headline(d), "Unfair": unfair(d), "Only": onlyLines(d), "Meaning": meaning, "Title": headline(d), "Up": "",
	})
	if err != nil {
		return err
	}
	_, err = w.Write(look.Clean(b.Bytes()))
	return err
}
