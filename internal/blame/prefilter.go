package blame

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// Logs of a serving run come in megabytes, and the agent looks at every line
// while the run is being measured. A regular expression costs about a
// microsecond per byte; looking for a few fixed strings costs a hundredth of
// that. So each pattern is first reduced to its literals: strings of which every
// match contains at least one.

// minLiteral is the length from which a literal is worth looking for.
const minLiteral = 3

// prefilter is a set of patterns with their literals. Literals are found in one pass
// over the line, by their first three bytes.
type prefilter struct {
	buckets [4096][]string   // literals in lower case, by the hash of their first three bytes
	always  []*regexp.Regexp // patterns without literals: every line is held against them
}

func (f *prefilter) add(re *regexp.Regexp) {
	parsed, err := syntax.Parse(re.String(), syntax.Perl)
	if err == nil {
		if found, ok := literals(parsed.Simplify()); ok {
			for _, n := range found {
				h := hash(n[0], n[1], n[2])
				f.buckets[h] = append(f.buckets[h], n)
			}
			return
		}
	}
	f.always = append(f.always, re)
}

func hash(a, b, c byte) uint32 {
	return (uint32(a)*961 + uint32(b)*31 + uint32(c)) % 4096
}

// may reports whether one of the patterns may match the line.
func (f *prefilter) may(line string) bool {
	if len(line) >= minLiteral {
		a, b := lower(line[0]), lower(line[1])
		for i := minLiteral - 1; i < len(line); i++ {
			c := lower(line[i])
			for _, n := range f.buckets[hash(a, b, c)] {
				if hasFold(line[i-minLiteral+1:], n) {
					return true
				}
			}
			a, b = b, c
		}
	}
	for _, re := range f.always {
		if re.MatchString(line) {
			return true
		}
	}
	return false
}

// hasFold reports whether s begins with n, which is in lower case.
func hasFold(s, n string) bool {
	if len(s) < len(n) {
		return false
	}
	for i := range len(n) {
		if lower(s[i]) != n[i] {
			return false
		}
	}
	return true
}

// lower is ASCII only, as the literals are: a line that spells a word with one of
// the two other letters that fold to ASCII ones (ſ and the Kelvin sign) is not
// found.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// literals gives strings of which every match of re contains at least one.
func literals(re *syntax.Regexp) ([]string, bool) {
	switch re.Op {
	case syntax.OpLiteral:
		s := string(re.Rune)
		for _, r := range s {
			if r >= 0x80 {
				return nil, false
			}
		}
		return []string{strings.ToLower(s)}, len(s) >= minLiteral
	case syntax.OpCapture, syntax.OpPlus:
		return literals(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min == 0 {
			return nil, false
		}
		return literals(re.Sub[0])
	case syntax.OpConcat:
		return rarest(re.Sub)
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			n, ok := literals(sub)
			if !ok {
				return nil, false
			}
			all = append(all, n...)
		}
		return all, true
	default:
		return nil, false
	}
}

// rarest picks the part of a sequence whose literals are the longest: any part
// will do, since all of them must be there.
func rarest(parts []*syntax.Regexp) ([]string, bool) {
	var best []string
	length := 0
	for _, p := range parts {
		n, ok := literals(p)
		if !ok {
			continue
		}
		shortest := len(n[0])
		for _, s := range n {
			shortest = min(shortest, len(s))
		}
		if shortest > length || shortest == length && len(n) < len(best) {
			best, length = n, shortest
		}
	}
	return best, length > 0
}
