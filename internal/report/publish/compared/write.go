package compared

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Formats are the forms in which a comparison can be had.
func Formats() []string { return []string{"text", "json", "md", "html", "csv"} }

// Check refuses a form that there is not.
func Check(format string) error {
	if slices.Contains(Formats(), format) {
		return nil
	}
	return fmt.Errorf("-o %q is not %s%s", format, strings.Join(Formats(), ", "), strictyaml.DidYouMean(format, Formats()))
}

// Write writes a comparison in that form. colour is for text on a terminal.
func Write(w io.Writer, format string, d compare.Document, colour bool) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	case "md":
		return Markdown(w, d)
	case "html":
		return HTML(w, d)
	case "csv":
		return CSV(w, d)
	default:
		return Text(w, d, colour)
	}
}

// File writes a comparison to a file; beside a page, its style sheet.
func File(path, format string, d compare.Document) error {
	err := rundir.WriteStream(path, rundir.FileMode, func(w io.Writer) error { return Write(w, format, d, false) })
	if err != nil || format != "html" {
		return err
	}
	return rundir.WriteFile(filepath.Join(filepath.Dir(path), look.StyleFile), look.Style(), rundir.FileMode)
}
