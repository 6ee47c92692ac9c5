package cmdline

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// The forms in which verbs print what they have found.
const (
	Table = "table"
	JSON  = "json"

	// Forms is what the flag says of them.
	Forms = "table or json"
)

// AddOutput registers the flag that chooses one.
func AddOutput(f *pflag.FlagSet, form *string) {
	f.StringVarP(form, "output", "o", Table, Forms)
}

// CheckOutput refuses what is none of them.
func CheckOutput(form string) error {
	if form != Table && form != JSON {
		return fmt.Errorf("-o %q is not table or json%s", form, strictyaml.DidYouMean(form, []string{Table, JSON}))
	}
	return nil
}

// WriteJSON prints a value for programs, and for people who read it.
func WriteJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
