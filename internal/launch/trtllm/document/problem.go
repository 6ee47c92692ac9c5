package document

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the input.
type Problem struct {
	File string // "" = command line or environment
	Line int    // 0 = the whole file
	Pos  string // file:line:column where it is known better than by File and Line
	Key  string
	Text string // what is wrong, and how to fix it
}

// String is file:line: key: text, without the parts that are not known.
func (p Problem) String() string {
	var b strings.Builder
	if p.Pos != "" {
		b.WriteString(p.Pos + ": ")
	} else if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Text
}

// Problems is everything that is wrong, in the order of the files.
type Problems []Problem

// Error lists all problems, one per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err is nil when there is no problem. Repeats, which cases that share a
// config file cause, are dropped.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	seen := map[Problem]bool{}
	var out Problems
	for _, p := range ps {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	return out
}

// AsProblems is an error of reading a file as what is wrong with it.
func AsProblems(file string, err error) Problems {
	var ps Problems
	if errors.As(err, &ps) {
		return ps
	}
	return Problems{{File: file, Text: fmt.Sprintf("cannot be read: %v", err)}}
}
