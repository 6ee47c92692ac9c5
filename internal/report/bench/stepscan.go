package bench

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
)

// step is one iteration line of a generation server's log, as
//
//	… iter = 7, global_rank = 0, rank = 0, num_scheduled_requests = 4, …,
//	prev_device_step_time = 6.94ms, …, states = {…, 'num_generation_tokens': 4}
//
// The value is the time of the iteration before. What does not parse is -1.
type step struct {
	iter, rank, scheduled, tokens int64
	value                         float64 // ms; -1 = not a number (N/A)
	line                          int
}

// The words of an iteration line; their order differs between versions.
const (
	wordStep      = "prev_device_step_time"
	wordIter      = "iter"
	wordRank      = "global_rank"
	wordScheduled = "num_scheduled_requests"
	wordTokens    = "'num_generation_tokens'"
)

// parseStep reads a line; false = not an iteration line, for wordStep is not in
// it.
func parseStep(line []byte) (step, bool) {
	if s, ok := parseUsual(line); ok {
		return s, true
	}
	if !bytes.Contains(line, []byte(wordStep)) {
		return step{}, false
	}
	return parseAny(line), true
}

// parseUsual reads a line that is laid out as current versions print it. A log
// of gigabytes is nearly all such lines, and this is several times as fast as
// searching for every word.
func parseUsual(line []byte) (s step, ok bool) {
	pos := s.usualStart(line)
	if pos == 0 {
		return s, false
	}
	i := bytes.Index(line[pos:], []byte(wordStep))
	if i < 0 {
		return s, false
	}
	if s.value = milliseconds(line, pos+i+len(wordStep)); s.value < 0 {
		return s, false
	}
	s.tokens = lastNumber(line)
	return s, s.tokens >= 0
}

// parseAny reads a line of any layout, word by word: what the regular
// expressions in the test say.
func parseAny(line []byte) step {
	s := step{iter: -1, value: -1, rank: numberOf(line, wordRank, "="), tokens: numberOf(line, wordTokens, ":"), scheduled: -1}
	start := -1
	eachWord(line, wordIter, func(end int) bool {
		n, after, ok := assigned(line, end, "=")
		if ok = ok && after < len(line) && line[after] == ','; ok { // "iter = 7," and not "max_iter = 7;"
			s.iter, start = n, after
		}
		return ok
	})
	if start < 0 {
		return s
	}
	rest := line[start:]
	s.scheduled = numberOf(rest, wordScheduled, "=:") // older versions write a colon
	eachWord(rest, wordStep, func(end int) bool {
		s.value = milliseconds(rest, end)
		return s.value >= 0
	})
	return s
}

// eachWord calls found with the end of every occurrence until it is satisfied.
func eachWord(line []byte, word string, found func(end int) bool) {
	for pos := 0; ; {
		i := bytes.Index(line[pos:], []byte(word))
		if i < 0 {
			return
		}
		if pos += i + 1; found(pos - 1 + len(word)) {
			return
		}
	}
}

// numberOf is the number behind a word and one of the signs, -1 = none.
func numberOf(line []byte, word, signs string) int64 {
	out := int64(-1)
	eachWord(line, word, func(end int) bool {
		n, _, ok := assigned(line, end, signs)
		if ok {
			out = n
		}
		return ok
	})
	return out
}

// lastNumber is the number of generation tokens if it ends the line, as current
// versions print it: 'num_generation_tokens': 4}; -1 = it does not.
func lastNumber(line []byte) int64 {
	end := len(line)
	for end > 0 && (line[end-1] == '}' || line[end-1] == '\r') {
		end--
	}
	at := end
	for at > 0 && line[at-1]-'0' <= 9 {
		at--
	}
	colon := at
	for colon > 0 && line[colon-1] == ' ' {
		colon--
	}
	if colon == 0 || line[colon-1] != ':' || !hasSuffix(line[:colon-1], wordTokens) {
		return -1
	}
	n, _, ok := literalNumber(line, at, "")
	if !ok {
		return -1
	}
	return n
}

// usualStart takes the first fields if they stand as current versions print
// them, and says where they end; 0 = they do not, and the walk begins there.
func (s *step) usualStart(line []byte) int {
	first := bytes.IndexByte(line, '=')
	if first < len(wordIter)+1 || string(line[first-len(wordIter)-1:first]) != wordIter+" " {
		return 0
	}
	iter, pos, ok := assigned(line, first, "=")
	if !ok {
		return 0
	}
	rank, pos, ok := literalNumber(line, pos, ", "+wordRank+" = ")
	if !ok {
		return 0
	}
	if _, pos, ok = literalNumber(line, pos, ", rank = "); !ok {
		return 0
	}
	scheduled, pos, ok := literalNumber(line, pos, ", "+wordScheduled+" = ")
	if !ok {
		return 0
	}
	s.iter, s.rank, s.scheduled = iter, rank, scheduled
	return pos
}

// literalNumber reads a number behind a fixed text at the byte at. A number too
// large for anything is none.
func literalNumber(b []byte, at int, text string) (n int64, end int, ok bool) {
	end = at + len(text)
	if end > len(b) || string(b[at:end]) != text {
		return 0, at, false
	}
	at = end
	for end < len(b) && b[end]-'0' <= 9 {
		if n > math.MaxInt64/20 {
			return 0, at, false
		}
		n = n*10 + int64(b[end]-'0')
		end++
	}
	return n, end, end > at
}

func hasSuffix(b []byte, word string) bool {
	n := len(b) - len(word)
	return n >= 0 && b[len(b)-1] == word[len(word)-1] && string(b[n:]) == word
}

// assigned reads a whole number behind one of the signs, with spaces around the
// sign, and says where it ends.
func assigned(b []byte, at int, signs string) (n int64, end int, ok bool) {
	at = skipSpace(b, at)
	if at >= len(b) || strings.IndexByte(signs, b[at]) < 0 {
		return 0, at, false
	}
	return literalNumber(b, skipSpace(b, at+1), "")
}

// milliseconds reads "= 6.94ms" at the byte at; -1 = not a number.
//
// A mantissa below 2^53 and a power of ten up to 10^22 are exact, so for nearly
// all values one division rounds correctly; the rest is left to strconv.
func milliseconds(b []byte, at int) float64 {
	if at = skipSpace(b, at); at >= len(b) || b[at] != '=' {
		return -1
	}
	at = skipSpace(b, at+1)
	end, digits, point, plain := at, 0, -1, true
	var mantissa uint64
	for ; end < len(b) && end-at < 40; end++ {
		if c := b[end]; c-'0' <= 9 {
			mantissa = mantissa*10 + uint64(c-'0')
			digits++
		} else if c == '.' && point < 0 {
			point = end
		} else if c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-' {
			plain = false
		} else {
			break
		}
	}
	unit := skipSpace(b, end)
	if digits == 0 || unit+1 >= len(b) || b[unit] != 'm' || b[unit+1] != 's' {
		return -1
	}
	if plain && digits <= 18 && mantissa < 1<<53 {
		if point < 0 {
			return float64(mantissa)
		}
		return float64(mantissa) / powersOfTen[end-1-point]
	}
	v, err := strconv.ParseFloat(string(b[at:end]), 64)
	if err != nil || v < 0 || math.IsInf(v, 0) {
		return -1
	}
	return v
}

//nolint:gochecknoglobals // immutable table
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t') {
		at++
	}
	return at
}

// chunkSize is what is read and parsed at once. A line longer than that is not
// an iteration line.
const chunkSize = 1 << 18

// chunk is a piece of the log, of whole lines, on its way from the reader over
// a parser to the rule.
type chunk struct {
	buf    [chunkSize]byte
	n      int
	lines  int    // newlines in it
	steps  []step // their line counted from this chunk
	tables bool   // a table's title stands in it
	parsed chan struct{}
}

// scanSteps calls each for every iteration line of r, in order. The chunks are
// parsed in parallel; memory is a few chunks. cut says that the end of r is not
// the end of the log, so that a last line without newline is left out. tables
// says that there is a client's or lm_eval's table among the lines.
func scanSteps(r io.Reader, cut bool, each func(step)) (tables bool, err error) {
	parsers := max(1, min(4, runtime.GOMAXPROCS(0)))
	free := make(chan *chunk, parsers+2)
	for range cap(free) {
		free <- &chunk{parsed: make(chan struct{}, 1)}
	}
	jobs, ordered := make(chan *chunk, cap(free)), make(chan *chunk, cap(free))
	for range parsers {
		go func() {
			for c := range jobs {
				c.parse()
				c.parsed <- struct{}{}
			}
		}()
	}
	fault := make(chan error, 1)
	go func() {
		fault <- readChunks(r, cut, free, jobs, ordered)
		close(jobs)
		close(ordered)
	}()
	lines := 0
	for c := range ordered {
		<-c.parsed
		for i := range c.steps {
			c.steps[i].line += lines
			each(c.steps[i])
		}
		lines += c.lines
		tables = tables || c.tables
		free <- c
	}
	return tables, <-fault
}

// readChunks cuts the stream behind the last newline of every chunk.
func readChunks(r io.Reader, cut bool, free <-chan *chunk, jobs, ordered chan<- *chunk) error {
	c := <-free
	c.n = 0
	skipping := false // inside a line longer than a chunk
	for {
		n, err := io.ReadFull(r, c.buf[c.n:])
		c.n += n
		atEnd := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !atEnd {
			return err
		}
		if skipping {
			end := bytes.IndexByte(c.buf[:c.n], '\n')
			if end < 0 && !atEnd {
				c.n = 0
				continue
			}
			if end < 0 {
				end = c.n
			}
			c.n = copy(c.buf[:], c.buf[end:c.n]) // the newline stays and counts
			skipping = false
			if !atEnd {
				continue
			}
		}
		whole := bytes.LastIndexByte(c.buf[:c.n], '\n') + 1
		switch {
		case atEnd && !cut:
			whole = c.n
		case atEnd:
		case whole == 0:
			skipping, c.n = true, 0
			continue
		}
		next := c
		if !atEnd {
			next = <-free
			next.n = copy(next.buf[:], c.buf[whole:c.n])
		}
		c.n = whole
		jobs <- c
		ordered <- c
		if atEnd {
			return nil
		}
		c = next
	}
}

// parse finds the iteration lines of a chunk.
func (c *chunk) parse() {
	c.steps, c.lines = c.steps[:0], 0
	c.tables = false
	for rest := c.buf[:c.n]; len(rest) > 0; c.lines++ {
		line := rest
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		if s, ok := parseStep(line); ok {
			s.line = c.lines + 1
			c.steps = append(c.steps, s)
		} else if bytes.Contains(line, []byte("Serving Benchmark Result")) || bytes.Contains(line, []byte("|Stderr|")) {
			c.tables = true
		}
	}
}
