package testlist

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Entry is one line of a test list.
type Entry struct {
	ID        string
	File      string // "" = command line
	Line      int
	Timeout   time.Duration
	Isolation bool
	Skip      string // reason; not empty = skipped
}

// Place is where the entry stands, for people.
func (e Entry) Place() string {
	if e.File == "" {
		return "command line"
	}
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}

// maxList bounds a list file, in bytes; upstream's largest are near 100 kB.
const maxList = 8 << 20

// ParseLine reads one line: an id, which may hold blanks between its brackets,
// and then TIMEOUT (minutes), ISOLATION, SKIP (reason) in any order, and a
// comment behind " #". An empty line gives ok false.
func ParseLine(line string) (e Entry, ok bool, err error) {
	line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
	if line == "" || strings.HasPrefix(line, "#") {
		return e, false, nil
	}
	id, rest := cutID(line)
	e.ID = id
	for rest = strings.TrimSpace(rest); rest != "" && !strings.HasPrefix(rest, "#"); rest = strings.TrimSpace(rest) {
		if rest, err = e.annotate(rest); err != nil {
			return e, true, err
		}
	}
	return e, true, nil
}

// annotate takes one annotation off the text behind an id.
func (e *Entry) annotate(text string) (rest string, err error) {
	word := text
	if i := strings.IndexFunc(text, func(c rune) bool { return unicode.IsSpace(c) || c == '(' }); i >= 0 {
		word = text[:i]
	}
	rest = strings.TrimSpace(text[len(word):])
	arg, after, hasArg := parens(rest)
	switch word {
	case "TIMEOUT":
		minutes, convErr := strconv.ParseFloat(strings.TrimSpace(arg), 64)
		if !hasArg || convErr != nil || !(minutes > 0 && minutes <= 60*24*365) {
			return rest, errors.New("TIMEOUT needs minutes: TIMEOUT (90)")
		}
		e.Timeout = time.Duration(minutes * float64(time.Minute))
	case "SKIP":
		e.Skip = cmp.Or(strings.TrimSpace(arg), "no reason given")
	case "ISOLATION":
		e.Isolation = true
	default:
		return rest, fmt.Errorf("%q behind the test id is not TIMEOUT (minutes), ISOLATION or SKIP (reason)%s", cmp.Or(word, text), strictyaml.DidYouMean(word, []string{"TIMEOUT", "ISOLATION", "SKIP"}))
	}
	if hasArg {
		return after, nil
	}
	return rest, nil
}

// cutID takes the id off a line. Brackets may hold blanks and brackets.
func cutID(line string) (id, rest string) {
	depth := 0
	for i, r := range line {
		switch {
		case r == '[':
			depth++
		case r == ']' && depth > 0:
			depth--
		case unicode.IsSpace(r) && depth == 0:
			return line[:i], line[i:]
		}
	}
	if depth > 0 { // an unclosed bracket is the id's problem, not a reason to eat the annotations
		if i := strings.IndexFunc(line, unicode.IsSpace); i >= 0 {
			return line[:i], line[i:]
		}
	}
	return line, ""
}

// parens reads "(text) rest", with nested parentheses.
func parens(s string) (arg, rest string, ok bool) {
	if !strings.HasPrefix(s, "(") {
		return "", s, false
	}
	depth := 0
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], true
			}
		}
	}
	return s[1:], "", true
}

// Parse reads a list file: plain lines, or the YAML of a test database.
func Parse(file string, data []byte, facts map[string]string, names Names) ([]Entry, []string, document.Problems) {
	if len(data) > maxList {
		return nil, nil, document.Problems{{File: file, Text: fmt.Sprintf("%d bytes is more than a test list can have (%d)", len(data), maxList)}}
	}
	if ext := path.Ext(file); ext == ".yml" || ext == ".yaml" {
		return parseDatabase(file, data, facts, names)
	}
	var out []Entry
	var problems document.Problems
	for i, line := range strings.Split(string(data), "\n") {
		e, ok, err := ParseLine(line)
		if err != nil {
			problems = append(problems, document.Problem{File: file, Line: i + 1, Text: err.Error()})
		} else if ok {
			e.File, e.Line = file, i+1
			out = append(out, e)
		}
	}
	return out, nil, problems
}

// OwnIn are the entries of a list file that own takes, and how many other lines it has. A database, and a file that
// cannot be read, is all others': who plans those says what is wrong.
func OwnIn(file string, read func(string) ([]byte, error), own func(id string) bool) (entries []Entry, others int) {
	data, err := read(file)
	if ext := path.Ext(file); err != nil || ext == ".yml" || ext == ".yaml" {
		return nil, 1
	}
	all, _, problems := Parse(file, data, nil, Names{})
	for _, e := range all {
		if own(e.ID) {
			entries = append(entries, e)
		}
	}
	return entries, len(all) - len(entries) + len(problems)
}

// Without are the entries that own, where it is given, does not take.
func Without(entries []Entry, own func(id string) bool) []Entry {
	if own == nil {
		return entries
	}
	return slices.DeleteFunc(entries, func(e Entry) bool { return own(e.ID) })
}
