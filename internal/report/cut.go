package report

import (
	"fmt"
	"unicode/utf8"
)

// Cut is s, and if it is longer than limit bytes, its head and tail with a marker
// between them that says how much is missing and where all of it is kept. It gives the
// number of bytes that are missing.
func Cut(s string, limit int, kept string) (string, int) {
	if len(s) <= limit {
		return s, 0
	}
	marker := func(n int) string { return fmt.Sprintf("\n[... %d bytes cut%s ...]\n", n, WhereKept(kept)) }
	room := max(0, limit-len(marker(len(s))))
	head := runeStart(s, room/2)
	tail := len(s) - (room - room/2)
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	return s[:head] + marker(tail-head) + s[tail:], tail - head
}

// WhereKept tells in a marker where all of a text is.
func WhereKept(path string) string {
	if path == "" {
		return ""
	}
	return "; all of it: " + path
}

// runeStart is the last rune border at or before i.
func runeStart(s string, i int) int {
	if i >= len(s) {
		return len(s)
	}
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}
