// Package plain makes text plain for people: one line that moves no cursor, as long as there is room for, and counts in
// words.
//
// In: anybody's text, a line of a log among it. Out: text for a terminal, a page or a message.
package plain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Count is "1 case" or "3 cases".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Line is text as one line that moves no cursor and colours nothing: it may hold a line of somebody's log.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r), Hidden(r), r == 0xfffe, r == 0xffff: // turns the direction of writing; is none
			return utf8.RuneError
		default:
			return r
		}
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// Inert is a line of somebody's log that no build server takes for a command of its own: "##vso[task.complete
// result=Succeeded]" would end a job of Azure Pipelines as passed, "::error::" stand beside somebody's code on GitHub.
func Inert(line string) string {
	for strings.Contains(line, "##") { // of three, two are left by one pass
		line = strings.ReplaceAll(line, "##", "# #")
	}
	parts := strings.Split(line, "\r") // which some take for the end of a line
	for i, part := range parts {
		if at := strings.TrimLeftFunc(part, unicode.IsSpace); strings.HasPrefix(at, "::") {
			parts[i] = part[:len(part)-len(at)] + ": :" + at[2:]
		}
	}
	return strings.Join(parts, "\r")
}

// Words is s in one line, without runs of blanks.
func Words(s string) string { return strings.Join(strings.Fields(s), " ") }

// Cut is s, cut to n runes.
func Cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(n-1, 0)]) + "…"
}

// CutMiddle is s, cut to n runes. Names of one suite begin alike and differ towards their ends.
func CutMiddle(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := n / 4
	return string(r[:head]) + "…" + string(r[len(r)-max(n-head-1, 0):])
}
