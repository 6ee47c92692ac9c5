package words

import (
	"net/url"
	"path"
	"strconv"
	"strings"
)

// OnWeb is the address of a file of a run directory whose copy is kept at pages: never one outside of the copy.
func OnWeb(pages, file string) string {
	return pages + strings.TrimPrefix((&url.URL{Path: path.Join("/", file)}).EscapedPath(), "/")
}

// Look is what somebody runs to look at a file of a run directory whose copy is kept at pages, from a line on: a line
// that a shell takes for a comment.
func Look(pages, file string, line int) string {
	return "# " + OnWeb(pages, file) + FromLine(line)
}

// FromLine is how less is told to begin with a line that is not the first.
func FromLine(line int) string {
	if line <= 1 {
		return ""
	}
	return " +" + strconv.Itoa(line)
}

// Looked takes apart what Look has made: an address in the copy at pages, which holds no blank, and the line, "" = the
// first. ok is false of any other command.
func Looked(pages, command string) (address, line string, ok bool) {
	if shown, found := strings.CutPrefix(command, "# "); found && pages != "" && strings.HasPrefix(shown, pages) {
		address, line, _ = strings.Cut(shown, " +")
		return address, line, true
	}
	return "", "", false
}
