// Package terminal says what an output is: a terminal, of which size; and makes outputs whose loss ends nothing.
//
// In: a writer. Out: what is known of it.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Lossy is an output whose reader may die (`run … | head`) or whose disk may be full:
// what cannot be written is dropped. A run has jobs to see to and a report to write,
// and its exit code says how that went, not how its log did.
type Lossy struct{ W io.Writer }

// Write implements io.Writer.
func (l Lossy) Write(b []byte) (int, error) {
	_, _ = l.W.Write(b)
	return len(b), nil
}

// file is the file behind an output, nil = it is none.
func file(w io.Writer) *os.File {
	if l, ok := w.(Lossy); ok {
		w = l.W
	}
	f, _ := w.(*os.File)
	return f
}

// Size is the size of the terminal that w is, 80 × 24 where it does not say.
func Size(w io.Writer) (width, height int) {
	if f := file(w); f != nil {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width, height
		}
	}
	return 80, 24
}

// Is reports whether w is a terminal.
func Is(w io.Writer) bool {
	f := file(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}
