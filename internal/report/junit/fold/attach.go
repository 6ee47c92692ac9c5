package fold

import (
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

const attachment = "[[ATTACHMENT|"

// attachments are the markers of s that are not whole in front of head or behind
// tail, each on a line: a viewer finds the attached files by them.
func attachments(s string, head, tail int) string {
	const most = 100
	var b strings.Builder
	n := 0
	for at := 0; n < most; {
		i := strings.Index(s[at:], attachment)
		if i < 0 {
			break
		}
		from := at + i
		to := strings.Index(s[from:], "]]")
		if to < 0 || to > 4096 {
			at = from + len(attachment)
			continue
		}
		at = from + to + 2
		if at > head && from < tail {
			b.WriteString(s[from:at] + "\n")
			n++
		}
	}
	return b.String()
}

// Rebase makes the relative paths of a case's attachments begin at the report.
func Rebase(c *junit.Case, prefix string) {
	for _, text := range append(Outputs(c), Bodies(c)...) {
		parts := strings.Split(*text, attachment)
		for i, path := range parts[1:] {
			if !strings.HasPrefix(path, "/") && !strings.Contains(path[:min(len(path), 20)], ":") {
				parts[i+1] = prefix + "/" + path
			}
		}
		*text = strings.Join(parts, attachment)
	}
}
