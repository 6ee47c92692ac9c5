// Package bashword reads words of bash as bash would, as far as they need no running shell.
//
// In: a parsed word. Out: its value, or the part of it that is known.
package bashword

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Literal is the value of a word that bash would not expand, and whether it is
// one.
func Literal(w *syntax.Word) (string, bool) {
	v, rest := Prefix(w)
	return v, !rest
}

// ShellText is the index of the word that a command gives to another shell as its program (bash -c TEXT), -1 = there is
// none.
func ShellText(args []*syntax.Word) int {
	for i, w := range args {
		v, ok := Literal(w)
		if !ok || !slices.Contains([]string{"bash", "sh", "dash", "zsh"}, path.Base(v)) {
			continue
		}
		for j := i + 1; j+1 < len(args); j++ {
			flag, ok := Literal(args[j])
			if !ok || !strings.HasPrefix(flag, "-") {
				break
			}
			if strings.HasSuffix(flag, "c") && !strings.HasPrefix(flag, "--") {
				return j + 1
			}
		}
	}
	return -1
}

// ParsedAgain are those words of a command that a shell parses once more: the text of bash -c, and everything behind
// eval.
func ParsedAgain(args []*syntax.Word) []*syntax.Word {
	if len(args) == 0 {
		return nil
	}
	if v, ok := Literal(args[0]); ok && v == "eval" {
		return args[1:]
	}
	if i := ShellText(args); i >= 0 {
		return args[i : i+1]
	}
	return nil
}

// Prefix is the part of a word's value that stands before anything that bash
// would expand, and whether something of that kind follows.
func Prefix(w *syntax.Word) (string, bool) {
	var b strings.Builder
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(p.Value, false))
		case *syntax.SglQuoted:
			if p.Dollar {
				return b.String(), true
			}
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			if p.Dollar {
				return b.String(), true
			}
			for _, q := range p.Parts {
				lit, ok := q.(*syntax.Lit)
				if !ok {
					return b.String(), true
				}
				b.WriteString(unescape(lit.Value, true))
			}
		default:
			return b.String(), true
		}
	}
	return b.String(), false
}

// Suffix is the part of a word's value that stands behind all that bash would expand.
func Suffix(w *syntax.Word) string { return suffix(w.Parts, false) }

func suffix(parts []syntax.WordPart, quoted bool) string {
	end := ""
	for _, p := range slices.Backward(parts) {
		switch p := p.(type) {
		case *syntax.Lit:
			end = unescape(p.Value, quoted) + end
		case *syntax.SglQuoted:
			if p.Dollar {
				return end
			}
			end = p.Value + end
		case *syntax.DblQuoted:
			inner := suffix(p.Parts, true)
			end = inner + end
			if slices.ContainsFunc(p.Parts, func(q syntax.WordPart) bool { _, lit := q.(*syntax.Lit); return !lit }) {
				return end
			}
		default:
			return end
		}
	}
	return end
}

// unescape takes bash's backslashes out of a literal.
func unescape(s string, quoted bool) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch {
		case s[i] == '\n':
		case quoted && !strings.ContainsRune("\"\\$`", rune(s[i])):
			b.WriteByte('\\')
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
