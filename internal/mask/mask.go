package mask

import (
	"bytes"
	"slices"
)

// MinLength is the length in bytes of the shortest value that is masked: a shorter one
// is found in too many texts that have nothing to do with it.
const MinLength = 6

// Marker stands where a value stood.
const Marker = "[masked]"

// Masker masks a set of values. A nil *Masker masks nothing. It is safe for concurrent
// use.
type Masker struct {
	auto *automaton
}

// New masks values in all their forms. Values shorter than MinLength are left out.
func New(values []string) *Masker {
	var all [][]byte
	for _, v := range values {
		if len(v) >= MinLength {
			all = append(all, forms(v)...)
		}
	}
	slices.SortFunc(all, bytes.Compare)
	all = slices.CompactFunc(all, bytes.Equal)
	if len(all) == 0 {
		return nil
	}
	return &Masker{auto: compile(all)}
}

// Bytes is b with every value masked; b itself where there is none.
func (m *Masker) Bytes(b []byte) []byte {
	if !m.Find(b) {
		return b
	}
	var out bytes.Buffer
	w := m.Writer(&out)
	_, _ = w.Write(b) // a buffer takes everything
	_ = w.Flush()
	return out.Bytes()
}

// String is s with every value masked.
func (m *Masker) String(s string) string {
	if m == nil || !m.Find([]byte(s)) {
		return s
	}
	return string(m.Bytes([]byte(s)))
}

// Find reports whether b holds a value in one of its forms.
func (m *Masker) Find(b []byte) bool {
	if m == nil {
		return false
	}
	_, found := m.auto.scan(0, b, nil)
	return found
}
