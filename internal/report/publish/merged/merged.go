// Package merged shows what a merge has found: on a console, and as Markdown for a page of the build server.
package merged

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/merge"
)

const mostListed = 10 // red cases and broken files in a summary

// Print prints the summary: one screen, worst first. No name begins a line,
// and each is one.
func Print(w io.Writer, path string, s merge.Result) {
	word := "PASSED"
	if s.Counts.Red() > 0 {
		word = "FAILED"
	}
	fmt.Fprintf(w, "%s  %s\n", word, s.Counts)
	for i, r := range s.Red {
		if i == mostListed {
			fmt.Fprintf(w, "  ... and %d more\n", s.Counts.Red()-mostListed)
			break
		}
		fmt.Fprintf(w, "  - %s\n", consoleLine(r.Classname+"."+r.Name+": "+r.Message))
	}
	for _, problem := range broken(s) {
		fmt.Fprintf(w, "  broken: %s\n", consoleLine(problem))
	}
	for i, warning := range s.Warnings {
		if i == mostListed/2 {
			fmt.Fprintf(w, "  ... and %d warnings more\n", len(s.Warnings)-i)
			break
		}
		fmt.Fprintf(w, "  warning: %s\n", consoleLine(warning))
	}
	fmt.Fprintf(w, "%s: %d cases of %d files, %d folded, %d added, %d bytes of text cut, %d bytes\n",
		path, s.In, len(s.Files), s.Folded, s.Synthetic, s.Cut, s.Bytes)
}

// broken are the first problems of files.
func broken(s merge.Result) (out []string) {
	for _, f := range s.Files {
		if f.Problem != "" && len(out) < mostListed {
			out = append(out, f.Problem)
		}
	}
	return out
}

// consoleLine is text from a file as one line of bounded length that no console
// and no build server takes for anything but text: no control characters, none
// that turn the direction of writing, no "##vso[" and "##[" of Azure Pipelines.
func consoleLine(s string) string {
	const limit = 160
	line := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return '\uFFFD'
		default:
			return r
		}
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return plain.Cut(plain.Inert(line), limit)
}

// Markdown is the summary for a page of the build server.
func Markdown(name string, s merge.Result) string {
	var b strings.Builder
	word := "✅ passed"
	if s.Counts.Red() > 0 {
		word = "❌ failed"
	}
	fmt.Fprintf(&b, "### %s: %s\n\n", markdownText(name), word)
	b.WriteString("| suite | tests | passed | failed | errors | skipped |\n|---|---:|---:|---:|---:|---:|\n")
	for i, one := range s.Suites {
		if i == 5*mostListed {
			fmt.Fprintf(&b, "| … %d suites more | | | | | |\n", len(s.Suites)-i)
			break
		}
		c := one.Counts
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", markdownText(one.Name), c.Tests, c.Passed(), c.Failures, c.Errors, c.Skipped)
	}
	c := s.Counts
	fmt.Fprintf(&b, "| **all** | %d | %d | %d | %d | %d |\n", c.Tests, c.Passed(), c.Failures, c.Errors, c.Skipped)
	if len(s.Red) > 0 {
		b.WriteString("\n| red | says |\n|---|---|\n")
	}
	for _, r := range s.Red {
		fmt.Fprintf(&b, "| %s | %s |\n", markdownText(r.Classname+"."+r.Name), markdownText(r.Message))
	}
	if more := c.Red() - len(s.Red); more > 0 {
		fmt.Fprintf(&b, "| … %d more | |\n", more)
	}
	for _, problem := range broken(s) {
		fmt.Fprintf(&b, "\n- broken: %s", markdownText(problem))
	}
	for _, warning := range s.Warnings[:min(len(s.Warnings), mostListed)] {
		fmt.Fprintf(&b, "\n- warning: %s", markdownText(warning))
	}
	return b.String() + "\n"
}

// markdownText is text from a file that Markdown takes for nothing but text.
func markdownText(s string) string {
	var b strings.Builder
	for _, r := range consoleLine(s) {
		if strings.ContainsRune("&\"'\\`*_{}[]<>()#+-.!|~:@", r) {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
