package junit

import "runtime"

const (
	bigText   = 16 << 10 // from here on a text is kept out of the batch
	hugeText  = 8 << 20  // from here on memory is worth a collection
	chunkSize = 256 << 10
)

// textBuf collects one text of any length without ever holding it twice while
// it grows.
type textBuf struct {
	small  []byte
	chunks [][]byte
	n      int
}

func (t *textBuf) reset() { t.small, t.chunks, t.n = t.small[:0], nil, 0 }

// tail is the buffer to append to; put gives it back.
func (t *textBuf) tail() []byte {
	if t.chunks == nil {
		return t.small
	}
	last := t.chunks[len(t.chunks)-1]
	if len(last) < chunkSize/2 {
		return last
	}
	t.chunks = append(t.chunks, make([]byte, 0, chunkSize))
	return t.chunks[len(t.chunks)-1]
}

func (t *textBuf) put(b []byte) {
	if t.chunks != nil {
		last := &t.chunks[len(t.chunks)-1]
		t.n += len(b) - len(*last)
		*last = b
		return
	}
	t.n = len(b)
	t.small = b
	if len(b) >= bigText {
		// the first chunk takes the small text over; the next text starts small again
		t.chunks = append(t.chunks, b)
		t.small = nil
	}
}

// skip counts text that nobody wants.
func (t *textBuf) skip(n int) { t.n += n }

// big reports whether the text is too large for a batch.
func (t *textBuf) big() bool { return t.n >= bigText }

// take gives the text as a string and empties t.
func (t *textBuf) take() string {
	if t.chunks == nil {
		s := string(t.small)
		t.reset()
		return s
	}
	all := make([]byte, 0, t.n)
	for i, c := range t.chunks {
		all = append(all, c...)
		t.chunks[i] = nil
	}
	huge := t.n >= hugeText
	t.reset()
	s := ownString(all)
	if huge {
		runtime.GC() // the chunks are as large as the text: give them back before it is copied again
	}
	return s
}
