package mask

// automaton finds all of a set of patterns in one pass (Aho and Corasick, 1975), as a
// table: one row per state, one column per class of bytes that the patterns tell apart.
type automaton struct {
	class   [256]uint16
	classes uint32
	next    []uint32 // row + class → row of the next state; matched is set where a pattern ends there
	depth   []uint16 // by state: how many of the last bytes may be the beginning of a pattern
	longest []uint16 // by state: the longest pattern that ends there
}

const matched = 1 << 31

// span is a piece of the bytes, from its first to behind its last.
type span struct{ from, to int }

func compile(patterns [][]byte) *automaton {
	a := &automaton{classes: 1}
	for _, p := range patterns {
		for _, b := range p {
			if a.class[b] == 0 {
				a.class[b] = uint16(a.classes) //nolint:gosec // at most 256
				a.classes++
			}
		}
	}
	a.tree(patterns)
	a.link()
	return a
}

// tree makes a state for every beginning of a pattern.
func (a *automaton) tree(patterns [][]byte) {
	n := a.classes
	a.next, a.depth, a.longest = make([]uint32, n), []uint16{0}, []uint16{0}
	for _, p := range patterns {
		at := uint32(0)
		for i, b := range p {
			edge := at*n + uint32(a.class[b])
			if a.next[edge] == 0 {
				a.next[edge] = uint32(len(a.depth)) //nolint:gosec // bounded by maxForm and the number of values
				a.next = append(a.next, make([]uint32, n)...)
				a.depth, a.longest = append(a.depth, uint16(i+1)), append(a.longest, 0) //nolint:gosec // at most maxForm
			}
			at = a.next[edge]
		}
		a.longest[at] = a.depth[at]
	}
}

// link completes the table: where no pattern goes on, the longest end of what has been
// seen that begins one does. Then it turns the numbers of states into places of rows.
func (a *automaton) link() {
	n := a.classes
	fail := make([]uint32, len(a.depth))
	queue := make([]uint32, 0, len(a.depth))
	for c := range n {
		if s := a.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		a.longest[s] = max(a.longest[s], a.longest[fail[s]])
		for c := range n {
			t := a.next[s*n+c]
			if t == 0 {
				a.next[s*n+c] = a.next[fail[s]*n+c]
				continue
			}
			fail[t] = a.next[fail[s]*n+c]
			queue = append(queue, t)
		}
	}
	for i, s := range a.next {
		a.next[i] = s * n
		if a.longest[s] > 0 {
			a.next[i] |= matched
		}
	}
}

// scan goes on from a state over b. Where patterns end, it adds their spans to found,
// relative to b (the beginning may lie before it), or stops at the first when found is
// nil. It gives the state behind b, and whether it stopped.
func (a *automaton) scan(row uint32, b []byte, found *[]span) (uint32, bool) {
	next, class := a.next, &a.class
	for i, c := range b {
		if row == 0 && class[c] == 0 {
			continue // most bytes of most logs
		}
		row = next[row+uint32(class[c])]
		if row&matched == 0 {
			continue
		}
		row &^= matched
		if found == nil {
			return row, true
		}
		length := int(a.longest[row/a.classes])
		*found = append(*found, span{i + 1 - length, i + 1})
	}
	return row, false
}

// open is how many of the bytes before may be the beginning of a pattern.
func (a *automaton) open(row uint32) int { return int(a.depth[row/a.classes]) }
