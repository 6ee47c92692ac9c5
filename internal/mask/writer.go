package mask

import "io"

// Writer masks what passes through it. It holds back what may be the beginning of a
// value, never more than the longest form, until the next bytes or Flush tell. It is
// not safe for concurrent use.
type Writer struct {
	to    io.Writer
	m     *Masker
	row   uint32 // state of the automaton
	held  []byte // may be the beginning of a value
	spans []span // that begin in held
	over  int    // so many bytes of held belong to a value whose marker is written
	inner bool   // the last byte that left belonged to a value
}

// Writer masks on the way to another writer.
func (m *Masker) Writer(to io.Writer) *Writer { return &Writer{to: to, m: m} }

// writeChunk bounds what is remembered of one call.
const writeChunk = 64 << 10

// Write implements io.Writer. What is held back counts as written.
func (w *Writer) Write(b []byte) (int, error) {
	if w.m == nil {
		return w.to.Write(b)
	}
	for at := 0; at < len(b); at += writeChunk {
		if err := w.take(b[at:min(at+writeChunk, len(b))]); err != nil {
			return at, err
		}
	}
	return len(b), nil
}

func (w *Writer) take(b []byte) error {
	known := len(w.spans)
	w.row, _ = w.m.auto.scan(w.row, b, &w.spans)
	data := b
	if before := len(w.held); before > 0 {
		w.held = append(w.held, b...)
		data = w.held
		for i := known; i < len(w.spans); i++ {
			w.spans[i] = span{w.spans[i].from + before, w.spans[i].to + before}
		}
	}
	cut := len(data) - w.m.auto.open(w.row)
	err := w.emit(data, cut)
	w.held = append(w.held[:0], data[cut:]...)
	return err
}

// Flush writes what is held back: nothing more comes, or nothing that belongs to it.
func (w *Writer) Flush() error {
	if w.m == nil || len(w.held) == 0 {
		return nil
	}
	err := w.emit(w.held, len(w.held))
	w.held, w.row = w.held[:0], 0
	return err
}

// emit writes data up to cut: no value that is still open begins before it.
func (w *Writer) emit(data []byte, cut int) error {
	var err error
	write := func(b []byte) {
		if err == nil && len(b) > 0 {
			_, err = w.to.Write(b)
		}
	}
	done := w.over
	spans := united(w.spans)
	for len(spans) > 0 && spans[0].from < cut {
		s := spans[0]
		spans = spans[1:]
		if s.from > done || !w.inner { // else it goes on where the last one stopped
			write(data[done:max(done, s.from)])
			write([]byte(Marker))
			w.inner = true
		}
		done = max(done, s.to)
	}
	if cut > done {
		write(data[done:cut])
		done, w.inner = cut, false
	}
	w.over = done - cut
	for i := range spans {
		w.spans[i] = span{spans[i].from - cut, spans[i].to - cut}
	}
	w.spans = w.spans[:len(spans)]
	return err
}

// united makes one of spans that touch, in place. They come in the order of their ends;
// a later one may begin before an earlier.
func united(spans []span) []span {
	to := len(spans)
	for i := len(spans) - 1; i >= 0; i-- {
		if to < len(spans) && spans[i].to >= spans[to].from {
			spans[to].from = min(spans[to].from, spans[i].from)
			continue
		}
		to--
		spans[to] = spans[i]
	}
	return spans[to:]
}
