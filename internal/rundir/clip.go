package rundir

import (
	"strings"
	"unicode/utf8"
)

// Clip shortens text to about limit bytes by leaving out its middle: a line of a
// log says at its beginning who speaks and at its end what has happened.
func Clip(text string, limit int) string {
	const gap = "…"
	if len(text) <= limit {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	keep := max(limit-len(gap), 0)
	head := keep * 2 / 5
	tail := len(text) - (keep - head)
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return strings.ToValidUTF8(text[:head], "\uFFFD") + gap + strings.ToValidUTF8(text[tail:], "\uFFFD")
}
