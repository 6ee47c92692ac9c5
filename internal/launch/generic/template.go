package generic

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// mark is a template in a text. Everything else between braces (JSON, awk's programs,
// bash's own ${…} and {a,b}) is nobody's: it stays as it is.
var mark = regexp.MustCompile(`\{?\{[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\}`)

// piece is a part of a text: literal, or a template's value.
type piece struct {
	lit  string
	val  value
	name string // of the template; "" = literal
}

// value is what a template stands for: a text that is known now, or the value of a
// shell variable and a text behind it.
type value struct {
	variable string
	text     string
}

// onNode reports whether only the node knows the value.
func (v value) onNode() bool { return v.variable != "" }

// lookup is what names mean in a place. What it does not know is no template where
// near is empty, and a mistake where it names what was meant.
type lookup interface {
	value(name string) (v value, known bool, err error)
	names() []string
}

// split cuts a text into pieces. A template {name} of names that scope knows is
// filled; {{name} is the text {name}; another name is a mistake if it has a dot or
// resembles one, and otherwise stays as it is.
func split(text string, scope lookup) ([]piece, error) {
	var out []piece
	var errs []error
	at := 0
	for _, m := range mark.FindAllStringIndex(text, -1) {
		from, to := m[0], m[1]
		name := strings.Trim(text[from:to], "{}")
		v, known, err := scope.value(name)
		doubled := strings.HasPrefix(text[from:], "{{")
		switch {
		case from > 0 && text[from-1] == '$': // bash's
		case doubled && (!known || strings.HasPrefix(text[to:], "}")): // {{name}} is other templates'
		case doubled:
			out = append(out, piece{lit: text[at:from] + text[from+1:to]})
			at = to
		case err != nil:
			errs = append(errs, fmt.Errorf("{%s}: %w", name, err))
		case known:
			out = append(out, piece{lit: text[at:from]}, piece{val: v, name: name})
			at = to
		default:
			if err := unknown(name, scope.names()); err != nil {
				errs = append(errs, err)
			}
		}
	}
	out = append(out, piece{lit: text[at:]})
	return slices.DeleteFunc(out, func(p piece) bool { return p.name == "" && p.lit == "" }), errors.Join(errs...)
}

// unknown is what is wrong with a name that means nothing here, nil where it is
// no template.
func unknown(name string, known []string) error {
	near := strictyaml.Nearest(name, known)
	switch {
	case near != "":
		return fmt.Errorf("{%s} means nothing; did you mean {%s}? To have it as text write {{%s}", name, near, name)
	case strings.Contains(name, "."):
		return fmt.Errorf("{%s} means nothing here; known are %s. To have it as text write {{%s}", name, list(known), name)
	}
	return nil
}

func list(names []string) string {
	const most = 16
	if len(names) > most {
		return "{" + strings.Join(names[:most], "}, {") + "}, …"
	}
	return "{" + strings.Join(names, "}, {") + "}"
}

// errNodeOnly says that a place takes only what is known beforehand.
var errNodeOnly = errors.New("is known on the node only, and cannot stand here")

// plain is a text with its templates filled, where only what is known now may stand.
// quote makes a value fit for its place.
func plain(text string, scope lookup, quote func(string) string) (string, error) {
	pieces, err := split(text, scope)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range pieces {
		switch {
		case p.name == "":
			b.WriteString(p.lit)
		case p.val.onNode():
			return "", fmt.Errorf("{%s} %w", p.name, errNodeOnly)
		default:
			b.WriteString(quote(p.val.text))
		}
	}
	return b.String(), nil
}

func asItIs(s string) string { return s }

// hasNode reports whether a text has a template that only the node can fill.
func hasNode(pieces []piece) bool {
	return slices.ContainsFunc(pieces, func(p piece) bool { return p.name != "" && p.val.onNode() })
}
