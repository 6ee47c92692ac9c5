package publish

import (
	"bytes"
	"embed"
	"html/template"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
)

//go:embed templates
var templates embed.FS

// pages are the parsed templates. html/template escapes by context: whatever a
// log, an id or a commit contains, it is text.
//
//nolint:gochecknoglobals // immutable, built once
var pages = sync.OnceValue(func() *template.Template {
	return look.Pages(template.FuncMap{"suspects": suspects, "changes": changes, "spent": hours, "spentIn": hoursOfRun, "part": part}, templates)
})

// render executes one page.
func render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	err := pages().ExecuteTemplate(&b, name, data)
	return look.Clean(b.Bytes()), err
}
