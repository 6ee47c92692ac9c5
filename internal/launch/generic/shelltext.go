package generic

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/launch/bashword"
)

// quote is v as one word for bash.
func quote(v string) (string, error) {
	q, err := syntax.Quote(v, syntax.LangBash)
	if err != nil {
		return "", fmt.Errorf("%q cannot be an argument: %w", v, err)
	}
	return q, nil
}

// word is a text with its templates as one word of bash.
func word(text string, scope lookup) (string, error) {
	pieces, err := split(text, scope)
	if err != nil {
		return "", err
	}
	return joined(pieces)
}

func joined(pieces []piece) (string, error) {
	var b strings.Builder
	run := "" // of text that is known now
	flush := func() error {
		q, err := quote(run)
		if run != "" {
			b.WriteString(q)
		}
		run = ""
		return err
	}
	for _, p := range pieces {
		if !p.val.onNode() {
			run += p.lit + p.val.text
			continue
		}
		if err := flush(); err != nil {
			return "", err
		}
		b.WriteString(`"${` + p.val.variable + `}"`)
		run = p.val.text
	}
	if err := flush(); err != nil {
		return "", err
	}
	return cmp.Or(b.String(), "''"), nil
}

// argv is a list of words as shell text.
func argv(words []string, scope lookup) (string, error) {
	out := make([]string, len(words))
	var errs []error
	for i, w := range words {
		var err error
		if out[i], err = word(w, scope); err != nil {
			errs = append(errs, err)
		}
	}
	return strings.Join(out, " "), errors.Join(errs...)
}

// shellText fills the templates in shell text, so that each process gets exactly the
// value: bare, a template becomes one quoted word; between quotes it is escaped for
// these quotes; in the text of bash -c, which is parsed a second time, for that too.
// Where no way is known to be right it is refused.
func shellText(text string, scope lookup) (string, error) {
	pieces, err := split(text, scope)
	if err != nil {
		return "", err
	}
	f := filling{}
	if strings.Contains(text, markWord) {
		return "", fmt.Errorf("%q cannot stand in a command", markWord)
	}
	var b strings.Builder
	for _, p := range pieces {
		if p.name == "" {
			b.WriteString(p.lit)
			continue
		}
		b.WriteString(markWord + strconv.Itoa(len(f.pieces)) + "Z")
		f.pieces = append(f.pieces, p)
	}
	return f.fill(b.String())
}

// markWord, a number and Z stand for a template while bash's grammar is looked at.
const markWord = "ZciDisaggTemplate"

var markAt = regexp.MustCompile(markWord + `([0-9]+)Z`)

// parse parses shell text.
func parse(src string) (*syntax.File, error) {
	if n := len(src) - len(strings.TrimRight(src, `\`)); n%2 == 1 {
		return nil, errors.New("not a bash command: it ends with a backslash, which would join it to what follows")
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(src), "")
	if err != nil {
		return nil, fmt.Errorf("not a bash command: %w", unmarked(err))
	}
	return f, nil
}

// unmarked is an error without our marks in it.
func unmarked(err error) error {
	return errors.New(markAt.ReplaceAllString(err.Error(), "{…}"))
}

type filling struct {
	pieces []piece
	errs   []error
	edits  []edit
	done   map[int]bool // offsets of marks that are dealt with
}

type edit struct {
	from, to int
	text     string
}

// fill puts values in the places of the marks in src.
func (f *filling) fill(src string) (string, error) {
	file, err := parse(src)
	if err != nil {
		return "", err
	}
	f.edits, f.errs, f.done = nil, nil, map[int]bool{}
	var around []syntax.Node
	syntax.Walk(file, func(n syntax.Node) bool {
		if n == nil {
			around = around[:len(around)-1]
			return true
		}
		around = append(around, n)
		switch n := n.(type) {
		case *syntax.CallExpr:
			f.call(src, n)
		case *syntax.Lit, *syntax.SglQuoted:
			f.leaf(src, around)
		}
		return true
	})
	for _, m := range markAt.FindAllStringIndex(src, -1) {
		if !f.done[m[0]] { // in a comment
			p := f.at(src, m)
			f.edits = append(f.edits, edit{m[0], m[1], "{" + p.name + "}"})
		}
	}
	if err := errors.Join(f.errs...); err != nil {
		return "", err
	}
	out := apply(src, f.edits)
	_, err = parse(out)
	return out, err
}

func apply(src string, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(src[at:e.from] + e.text)
		at = e.to
	}
	return b.String() + src[at:]
}

// at is the template of the mark at m.
func (f *filling) at(src string, m []int) piece {
	n, _ := strconv.Atoi(strings.TrimSuffix(src[m[0]+len(markWord):m[1]], "Z"))
	return f.pieces[n]
}

// call deals with words that another shell parses once more: the text of bash -c.
// It must be known whole; then it is filled by itself, and quoted anew.
func (f *filling) call(src string, c *syntax.CallExpr) {
	again := bashword.ParsedAgain(c.Args)
	for _, w := range again {
		from, to := int(w.Pos().Offset()), int(w.End().Offset())
		marks := markAt.FindAllStringIndex(src[from:to], -1)
		if len(marks) == 0 {
			continue
		}
		for _, m := range marks {
			f.done[from+m[0]] = true
		}
		inner, ok := bashword.Literal(w)
		if !ok {
			f.errs = append(f.errs, fmt.Errorf("{%s} stands in a text that a second shell parses and that has expansions of its own: give it as an argument, bash -c '… \"$1\"' _ {%s}",
				f.at(src[from:to], marks[0]).name, f.at(src[from:to], marks[0]).name))
			continue
		}
		in := filling{pieces: f.pieces}
		text, err := in.fill(inner)
		if err == nil {
			text, err = quote(text)
		}
		if err != nil {
			f.errs = append(f.errs, err)
		}
		f.edits = append(f.edits, edit{from, to, text})
	}
}

// leaf fills the marks of the innermost node.
func (f *filling) leaf(src string, around []syntax.Node) {
	n := around[len(around)-1]
	from, to := int(n.Pos().Offset()), int(n.End().Offset())
	for _, m := range markAt.FindAllStringIndex(src[from:to], -1) {
		m[0], m[1] = from+m[0], from+m[1]
		if f.done[m[0]] {
			continue
		}
		f.done[m[0]] = true
		p := f.at(src, m)
		text, err := inPlace(p, around)
		if err != nil {
			f.errs = append(f.errs, fmt.Errorf("{%s} %w", p.name, err))
			continue
		}
		f.edits = append(f.edits, edit{m[0], m[1], text})
	}
}

// inPlace is a template's value as bash must read it below these nodes, the innermost
// of which is last.
func inPlace(p piece, around []syntax.Node) (string, error) {
	leaf, parents := around[len(around)-1], around[:len(around)-1]
	if q, ok := leaf.(*syntax.SglQuoted); ok {
		again := "'"
		if q.Dollar {
			again = "$'"
		}
		w, err := joined([]piece{p})
		return "'" + w + again, err
	}
	if len(parents) < 2 {
		return "", errNotHere
	}
	outer, above := parents[len(parents)-2], parents[:len(parents)-1]
	switch n := parents[len(parents)-1].(type) {
	case *syntax.Word:
		r, redirect := outer.(*syntax.Redirect)
		switch {
		case redirect && r.Hdoc == n:
			return inHeredoc(p, r)
		case arithmetic(outer):
			return number(p)
		case !plainWord(above):
			return "", errExpansion
		}
		return joined([]piece{p})
	case *syntax.DblQuoted:
		if n.Dollar || !plainWord(above) {
			return "", errExpansion
		}
		return inDouble(p), nil
	}
	return "", errNotHere
}

var (
	errNotHere   = errors.New("cannot stand here: it is a value, one word or a part of it")
	errExpansion = errors.New("cannot stand in an expansion: put it into a variable first, and use that")
)

// plainWord reports whether the word below these nodes is none of ${…}, $(( … )), or
// backquotes.
func plainWord(around []syntax.Node) bool {
	for _, n := range slices.Backward(around) {
		switch n := n.(type) {
		case *syntax.ParamExp, *syntax.ArithmExp, *syntax.ArithmCmd, *syntax.ExtGlob, *syntax.BinaryArithm, *syntax.UnaryArithm, *syntax.ParenArithm, *syntax.LetClause:
			return false
		case *syntax.CmdSubst:
			if n.Backquotes {
				return false
			}
			return quotesApart(around)
		case *syntax.Stmt:
			return quotesApart(around)
		}
	}
	return true
}

// quotesApart reports whether no backquotes are around: they would take away
// backslashes before what is inside is read.
func quotesApart(around []syntax.Node) bool {
	return !slices.ContainsFunc(around, func(n syntax.Node) bool {
		c, ok := n.(*syntax.CmdSubst)
		return ok && c.Backquotes
	})
}

// inHeredoc is a value in a here-document, whose end is a line of its own.
func inHeredoc(p piece, r *syntax.Redirect) (string, error) {
	if strings.ContainsFunc(p.val.text, func(c rune) bool { return c < ' ' }) {
		return "", errors.New("has a line break or another control character, which cannot stand in a here-document")
	}
	raw := slices.ContainsFunc(r.Word.Parts, func(part syntax.WordPart) bool {
		lit, ok := part.(*syntax.Lit)
		return !ok || strings.Contains(lit.Value, `\`)
	})
	switch {
	case !raw:
		return inDoc(p), nil
	case p.val.onNode():
		return "", errors.New("is a shell variable, which a here-document with a quoted delimiter does not expand: take the quotes off, or use a file")
	default:
		return p.val.text, nil
	}
}

func inDoc(p piece) string {
	return dollar(p) + strings.NewReplacer(`\`, `\\`, `$`, `\$`, "`", "\\`").Replace(p.val.text)
}

func inDouble(p piece) string {
	return dollar(p) + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(p.val.text)
}

func dollar(p piece) string {
	if p.val.onNode() {
		return "${" + p.val.variable + "}"
	}
	return ""
}

func arithmetic(n syntax.Node) bool {
	switch n.(type) {
	case *syntax.ArithmExp, *syntax.ArithmCmd, *syntax.BinaryArithm, *syntax.UnaryArithm, *syntax.ParenArithm:
		return true
	}
	return false
}

// number is a value in arithmetic, which would take text for the name of a variable.
func number(p piece) (string, error) {
	if p.val.onNode() && p.val.text == "" {
		return "${" + p.val.variable + "}", nil
	}
	n, err := strconv.Atoi(p.val.text)
	if p.val.onNode() || err != nil || strconv.Itoa(n) != p.val.text {
		return "", fmt.Errorf("is %q, which is no whole number to compute with", p.val.text)
	}
	return p.val.text, nil
}

// Programs are the programs that shell text calls, as far as it names them: not those
// behind variables, and none of bash's own.
func Programs(text string) []string {
	f, err := parse(text)
	if err != nil {
		return nil
	}
	var out []string
	defined := map[string]bool{}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.FuncDecl:
			defined[n.Name.Value] = true
		case *syntax.CallExpr:
			args := n.Args
			if v, ok := firstWord(args); ok && (v == "exec" || v == "command") {
				args = args[1:]
			}
			if v, ok := firstWord(args); ok && v != "" && !strings.HasPrefix(v, "-") {
				out = append(out, v)
			}
		}
		return true
	})
	out = slices.DeleteFunc(out, func(v string) bool { return defined[v] })
	slices.Sort(out)
	return slices.Compact(out)
}

func firstWord(args []*syntax.Word) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	return bashword.Literal(args[0])
}
