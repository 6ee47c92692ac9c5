package jsondoc

import (
	"bufio"
	"fmt"
	"slices"
)

// Limits of a JSON document. A benchmark's JSON may hold every generated text
// and every inter-token time: hundreds of megabytes that are passed over, never
// kept.
const (
	maxDepth  = 100
	maxString = 4096
	maxWord   = 512 // of a number or a bare word
)

// What the bare words NaN and Infinity become: numbers that no JSON writer
// writes.
const (
	nan      = "0e999"
	infinity = "1e999"
)

// filter turns what Python's json module writes into standard JSON of
// bounded size, so that encoding/json can read it: NaN and Infinity become
// numbers, strings are cut to maxString bytes, and a list inside a list
// (the time of every token of every request) is passed on empty.
type filter struct {
	r    *bufio.Reader
	line int // of the input, 1-based
	err  error

	stack   []byte // the open brackets
	skip    int    // open brackets inside a list that is passed over
	text    bool   // inside a string
	escaped bool   // behind a backslash
	hex     int    // hexadecimal digits of \u still to come
	cut     bool   // the string has reached its limit
	length  int    // bytes of the string, or of the number or word
	word    []byte // letters outside of strings, held back until they end
	alone   bool   // the word begins a value, or follows its minus sign
	last    byte   // that was translated

	ready    []byte  // translated but not handed out yet
	offset   int64   // bytes translated so far
	newlines []int64 // where newlines stand in the output, behind the last lineAt
	passed   int     // newlines before it
}

func newFilter(r *bufio.Reader) *filter { return &filter{r: r, line: 1} }

// Read hands out translated bytes.
func (f *filter) Read(p []byte) (int, error) {
	for len(f.ready) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.fill()
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

// fill translates some of what the input has buffered.
func (f *filter) fill() {
	f.ready = f.ready[:0]
	if _, err := f.r.Peek(1); err != nil {
		f.endWord()
		f.err = err
		return
	}
	chunk, _ := f.r.Peek(min(f.r.Buffered(), 4096))
	for _, c := range chunk {
		switch {
		case f.text:
			f.inString(c)
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			f.letter(c)
		default:
			f.endWord()
			f.outside(c)
		}
		if f.err != nil {
			return
		}
	}
	_, _ = f.r.Discard(len(chunk))
}

// inString takes a byte of a string, its closing quote included.
func (f *filter) inString(c byte) {
	if !f.escaped && f.hex == 0 {
		if c == '"' {
			f.text, f.length = false, 0
			f.put(c)
			return
		}
		f.cut = f.length >= maxString
	}
	switch {
	case f.escaped && c == 'u':
		f.escaped, f.hex = false, 4
	case f.escaped:
		f.escaped = false
	case f.hex > 0:
		f.hex--
	case c == '\\':
		f.escaped = true
	case c == '\n':
		f.newline()
	}
	if !f.cut {
		f.length++
		f.put(c)
	}
}

// letter takes a letter outside of strings: of a word, or an exponent.
func (f *filter) letter(c byte) {
	if len(f.word) == 0 {
		f.alone = f.length == 0 || f.length == 1 && f.last == '-'
	}
	f.word = append(f.word, c)
	f.grow()
}

// endWord passes on the letters that were held back.
func (f *filter) endWord() {
	if len(f.word) == 0 {
		return
	}
	text := string(f.word)
	f.word = f.word[:0]
	switch {
	case !f.alone:
	case text == "NaN", text == "nan":
		text = nan
	case text == "Infinity", text == "inf":
		text = infinity
	}
	for i := range len(text) {
		f.put(text[i])
	}
}

// outside takes a byte that is neither in a string nor a letter.
func (f *filter) outside(c byte) {
	switch c {
	case '{', '[':
		f.length = 0
		f.open(c)
		return
	case '}', ']':
		f.length = 0
		f.close(c)
		return
	case '"':
		f.text, f.length = true, 0
	case '\n':
		f.length = 0
		f.newline()
	case ' ', '\t', '\r', ',', ':':
		f.length = 0
	default:
		f.grow()
	}
	f.put(c)
}

func (f *filter) open(c byte) {
	switch n := len(f.stack); {
	case f.skip > 0:
		f.skip++
	case c == '[' && n > 0 && f.stack[n-1] == '[':
		f.put(c)
		f.skip = 1
	case n >= maxDepth:
		f.fail("nested deeper than %d", maxDepth)
	default:
		f.stack = append(f.stack, c)
		f.put(c)
	}
}

func (f *filter) close(c byte) {
	switch n := len(f.stack); {
	case f.skip > 0:
		f.skip--
	case n > 0:
		f.stack = f.stack[:n-1]
	}
	f.put(c) // dropped as long as something is passed over
}

// grow counts a byte of a number or a word.
func (f *filter) grow() {
	if f.length++; f.length > maxWord {
		f.fail("a number or word of more than %d bytes is not a JSON value", maxWord)
	}
}

func (f *filter) fail(format string, args ...any) {
	f.err = &Fault{Line: f.line, Text: fmt.Sprintf(format, args...)}
}

func (f *filter) newline() {
	f.line++
	f.newlines = append(f.newlines, f.offset)
}

func (f *filter) put(c byte) {
	if f.skip == 0 {
		f.ready, f.last = append(f.ready, c), c
		f.offset++
	}
}

// lineAt is the line of the input that the byte before offset in the output
// stands in. Offsets must not decrease.
func (f *filter) lineAt(offset int64) int {
	n, _ := slices.BinarySearch(f.newlines, offset)
	f.newlines = f.newlines[n:]
	f.passed += n
	return 1 + f.passed
}
