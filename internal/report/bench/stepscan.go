package bench

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"strconv"
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
	tokensRare    = 5 // from here on it begins with a letter that is rare in the line
)

// parseStep reads a line; false = not an iteration line, for wordStep is not in
// it. Up to there it walks along the equals signs and looks at the word before
// each, which is faster than searching for every word: a log of gigabytes is
// nearly all such lines.
func parseStep(line []byte) (step, bool) {
	s := step{iter: -1, rank: -1, scheduled: -1, tokens: -1, value: -1}
	pos, at := 0, -1
	for s.scheduled < 0 || s.rank < 0 {
		i := bytes.IndexByte(line[pos:], '=')
		if i < 0 {
			break
		}
		end := pos + i
		pos = end + 1
		for end > 0 && line[end-1] == ' ' {
			end--
		}
		switch word := line[:end]; {
		case at < 0 && s.iter < 0 && hasSuffix(word, wordIter):
			// A comma must follow: "iter = 7," and not "max_iter = 7;".
			if n, after, ok := assigned(line, pos-1, '='); ok && after < len(line) && line[after] == ',' {
				s.iter = n
			}
		case hasSuffix(word, wordRank) && s.rank < 0:
			s.rank = number(line, pos-1, '=')
		case hasSuffix(word, wordScheduled) && s.iter >= 0:
			s.scheduled = number(line, pos-1, '=')
		case at < 0 && hasSuffix(word, wordStep):
			at = pos
		}
	}
	if at < 0 {
		i := bytes.Index(line[pos:], []byte(wordStep))
		if i < 0 {
			return s, false
		}
		at = skipSpace(line, pos+i+len(wordStep))
		if at >= len(line) || line[at] != '=' {
			return s, true
		}
		at++
	}
	s.value = milliseconds(line, at)
	if s.scheduled < 0 && s.iter >= 0 { // older versions write a colon
		s.scheduled = after(line, wordScheduled)
	}
	i := at + max(0, bytes.Index(line[at:], []byte(wordTokens[tokensRare:]))) - tokensRare
	if i >= at && hasSuffix(line[:i+len(wordTokens)], wordTokens) {
		s.tokens = number(line, i+len(wordTokens), ':')
	} else {
		s.tokens = after(line, wordTokens)
	}
	return s, true
}

func hasSuffix(b []byte, word string) bool {
	n := len(b) - len(word)
	return n >= 0 && b[len(b)-1] == word[len(word)-1] && string(b[n:]) == word
}

// after is the number behind a word and a colon, -1 = none.
func after(line []byte, word string) int64 {
	i := bytes.Index(line, []byte(word))
	if i < 0 {
		return -1
	}
	return number(line, i+len(word), ':')
}

// number is assigned without the details, -1 = none.
func number(b []byte, at int, sign byte) int64 {
	n, _, ok := assigned(b, at, sign)
	if !ok {
		return -1
	}
	return n
}

// assigned reads a whole number behind a sign, with spaces around the sign, and
// says where it ends.
func assigned(b []byte, at int, sign byte) (n int64, end int, ok bool) {
	at = skipSpace(b, at)
	if at >= len(b) || b[at] != sign {
		return 0, at, false
	}
	at = skipSpace(b, at+1)
	end = at
	for end < len(b) && b[end]-'0' <= 9 && n < math.MaxInt64/20 {
		n = n*10 + int64(b[end]-'0')
		end++
	}
	return n, end, end > at
}

// milliseconds reads "6.94ms" at the byte at; -1 = not a number.
//
// A mantissa below 2^53 and a power of ten up to 10^22 are exact, so for nearly
// all values one division rounds correctly; the rest is left to strconv.
func milliseconds(b []byte, at int) float64 {
	at = skipSpace(b, at)
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
	c.tables = bytes.Contains(c.buf[:c.n], []byte("Serving Benchmark Result")) || bytes.Contains(c.buf[:c.n], []byte("|Stderr|"))
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
		}
	}
}
