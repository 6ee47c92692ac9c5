package trtllm

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/launch/bashword"
)

// testIDMark stands for the test id in a given command.
const testIDMark = "{test_id}"

// fillTestID puts the test id where the mark stands in a command, so that the
// process gets exactly the id: bare, the mark becomes one quoted word; between
// quotes it is escaped for these quotes; and in the text of bash -c or eval, which
// is parsed a second time, it is quoted for that too.
func fillTestID(src, id string) (string, error) {
	f, err := parse(src)
	if err != nil {
		return src, err
	}
	quoted, err := syntax.Quote(id, syntax.LangBash)
	if err != nil {
		return src, err
	}
	again := map[*syntax.Word]bool{} // words that are parsed a second time
	var edits []edit
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			for _, w := range bashword.ParsedAgain(n.Args) {
				again[w] = true
			}
		case *syntax.Redirect:
			return n.Hdoc == nil
		case *syntax.Word:
			value := id
			if again[n] {
				value = quoted
			}
			edits = append(edits, fillWord(src, n, value, quoted)...)
		}
		return true
	})
	out, err := apply(src, edits)
	return strings.ReplaceAll(out, testIDMark, quoted), err
}

// fillWord is fillTestID for one word. value is what the word's text is to have
// after this shell has taken its quotes away, quoted the id for a bare mark.
func fillWord(src string, w *syntax.Word, value, quoted string) []edit {
	var edits []edit
	fill := func(n syntax.Node, text string) {
		from, to := int(n.Pos().Offset()), int(n.End().Offset())
		if strings.Contains(src[from:to], testIDMark) {
			edits = append(edits, edit{from, to, strings.ReplaceAll(src[from:to], testIDMark, text)})
		}
	}
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.Lit:
			fill(p, quoted)
		case *syntax.SglQuoted:
			if !p.Dollar {
				fill(p, strings.ReplaceAll(value, "'", `'\''`))
			}
		case *syntax.DblQuoted:
			for _, q := range p.Parts {
				if lit, ok := q.(*syntax.Lit); ok {
					fill(lit, strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(value))
				}
			}
		}
	}
	return edits
}
