package merge

import (
	"strings"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// maxCollapsed bounds the warnings about names that Jenkins cannot tell apart.
const maxCollapsed = 3

// warnCollapsed warns of cases whose classes and names are the same for Jenkins,
// in whatever suites they are: it numbers them in the order of their occurrence,
// so that they swap histories when one is gone.
func (b *book) warnCollapsed() error {
	n := 0
	for _, s := range b.suites {
		n += s.entries.n
	}
	hashes := make([]uint64, 0, n)
	for _, s := range b.suites {
		for _, e := range s.entries.all {
			hashes = append(hashes, e.safeBits())
		}
	}
	collapsed := make(map[uint64]bool)
	for h := range repeated(hashes) {
		collapsed[h] = true
	}
	if len(collapsed) == 0 {
		return nil
	}
	pairs := b.collapsedPairs(collapsed)
	err := b.reread(flatten(pairs.entries), func(next func() (*junit.Case, error)) error {
		for i := range pairs.entries {
			x, err := next()
			if err != nil {
				return err
			}
			y, err := next()
			if err != nil {
				return err
			}
			if safeName(x) == safeName(y) { // and not by chance of the hash
				b.warnPair(x, y, pairs.suites[i])
			}
		}
		return nil
	})
	if more := len(collapsed) - len(pairs.entries); more > 0 {
		b.warn("Jenkins cannot tell %d more names from others", more)
	}
	return err
}

// collapsedPairs are the first two cases of each of the first names.
type collapsedPairs struct {
	entries [][]*entry
	suites  [][2]string
}

func (b *book) collapsedPairs(collapsed map[uint64]bool) collapsedPairs {
	type place struct {
		e     *entry
		suite string
	}
	first := make(map[uint64]place)
	done := make(map[uint64]bool)
	var out collapsedPairs
	for _, s := range b.suites {
		for _, e := range s.entries.all {
			h := e.safeBits()
			if !collapsed[h] || done[h] {
				continue
			}
			one, seen := first[h]
			if !seen {
				first[h] = place{e, s.name}
				continue
			}
			done[h] = true
			out.entries = append(out.entries, []*entry{one.e, e})
			out.suites = append(out.suites, [2]string{one.suite, s.name})
			if len(out.entries) == maxCollapsed {
				return out
			}
		}
	}
	return out
}

func (b *book) warnPair(x, y *junit.Case, suites [2]string) {
	one, other := x.Classname+"."+x.Name, y.Classname+"."+y.Name
	switch {
	case suites[0] != suites[1]:
		b.warn("Jenkins cannot tell %q of suite %q from %q of suite %q", one, suites[0], other, suites[1])
	case one == other:
		b.warn("Jenkins cannot tell %q from another of the same name", one)
	default:
		b.warn("Jenkins cannot tell %q from %q", one, other)
	}
}

func (e *entry) safeBits() uint64 { return uint64(e.safeHi)<<32 | uint64(e.safe) }

// safeHash is a hash of safeName, the same in every run of the program.
func safeHash[T string | []byte](class, name T) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(class) {
		h = (h ^ uint64(safeClassByte(class[i]))) * prime
	}
	h *= prime // as a NUL between them
	for i := range len(name) {
		h = (h ^ uint64(safeByte(name[i]))) * prime
	}
	return h
}

// safeName is what Jenkins makes of a class and a name in a URL.
func safeName(c *junit.Case) string {
	var b strings.Builder
	for i := range len(c.Classname) {
		b.WriteByte(safeClassByte(c.Classname[i]))
	}
	b.WriteByte(0)
	for i := range len(c.Name) {
		b.WriteByte(safeByte(c.Name[i]))
	}
	return b.String()
}

// safeByte is what Jenkins makes of a byte of a test's name: "_" of what cannot
// be part of a Java name. Bytes of letters outside ASCII stay apart, as the
// letters do.
func safeByte(c byte) byte {
	if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80 {
		return c
	}
	return '_'
}

// safeClassByte is what Jenkins makes of a byte of a class: "_" of what a URL
// does not take.
func safeClassByte(c byte) byte {
	if strings.IndexByte(" \"#%/:<>?[\\]^{|}`", c) >= 0 {
		return '_'
	}
	return c
}
