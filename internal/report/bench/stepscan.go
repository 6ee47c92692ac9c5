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
)

// parseStep reads a line that contains wordStep at the byte at.
func parseStep(line []byte, at int) step {
	s := step{iter: -1, rank: -1, scheduled: -1, tokens: -1, value: -1}
	head := line[:at]
	// iter, then a comma: "iter = 7," and not "max_iter = 7;".
	pos := 0
	for pos < len(head) {
		i := bytes.Index(head[pos:], []byte(wordIter))
		if i < 0 {
			return s.withRank(line)
		}
		pos += i + len(wordIter)
		if n, end, ok := assigned(head, pos, '='); ok && end < len(head) && head[end] == ',' {
			s.iter, pos = n, end
			break
		}
	}
	s = s.withRank(line)
	if i := bytes.Index(line[pos:], []byte(wordScheduled)); i >= 0 {
		from := pos + i + len(wordScheduled)
		if n, _, ok := assigned(line, from, '='); ok {
			s.scheduled = n
		} else if n, _, ok := assigned(line, from, ':'); ok { // older versions
			s.scheduled = n
		}
	}
	s.value = milliseconds(line, at+len(wordStep))
	tail := line[at:]
	i := bytes.Index(tail, []byte(wordTokens))
	if i < 0 {
		tail = head
		i = bytes.Index(tail, []byte(wordTokens))
	}
	if i >= 0 {
		if n, _, ok := assigned(tail, i+len(wordTokens), ':'); ok {
			s.tokens = n
		}
	}
	return s
}

// withRank looks for the rank anywhere in the line.
func (s step) withRank(line []byte) step {
	if i := bytes.Index(line, []byte(wordRank)); i >= 0 {
		if n, _, ok := assigned(line, i+len(wordRank), '='); ok {
			s.rank = n
		}
	}
	return s
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

// milliseconds reads "= 6.94ms" at the byte at; -1 = not a number.
func milliseconds(b []byte, at int) float64 {
	at = skipSpace(b, at)
	if at >= len(b) || b[at] != '=' {
		return -1
	}
	at = skipSpace(b, at+1)
	end := at
	for end < len(b) && end-at < 40 && numeric(b[end]) {
		end++
	}
	unit := skipSpace(b, end)
	if end == at || unit+1 >= len(b) || b[unit] != 'm' || b[unit+1] != 's' {
		return -1
	}
	v, err := strconv.ParseFloat(string(b[at:end]), 64)
	if err != nil || v < 0 || math.IsInf(v, 0) {
		return -1
	}
	return v
}

func numeric(c byte) bool {
	return c-'0' <= 9 || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t') {
		at++
	}
	return at
}

// chunkSize is what is read and parsed at once. A line longer than that is not
// an iteration line.
const chunkSize = 1 << 20

// chunk is a piece of the log, of whole lines, on its way from the reader over
// a parser to the rule.
type chunk struct {
	buf    [chunkSize]byte
	n      int
	lines  int // before this chunk
	steps  []step
	parsed chan struct{}
}

// scanSteps calls each for every iteration line of r, in order. The chunks are
// parsed in parallel; memory is a few chunks. cut says that the end of r is not
// the end of the log, so that a last line without newline is left out.
func scanSteps(r io.Reader, cut bool, each func(step)) error {
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
	for c := range ordered {
		<-c.parsed
		for i := range c.steps {
			each(c.steps[i])
		}
		free <- c
	}
	return <-fault
}

// readChunks cuts the stream behind the last newline of every chunk.
func readChunks(r io.Reader, cut bool, free <-chan *chunk, jobs, ordered chan<- *chunk) error {
	c := <-free
	c.n = 0
	lines, skipping := 0, false // skipping: inside a line longer than a chunk
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
		c.n, c.lines = whole, lines
		lines += bytes.Count(c.buf[:c.n], []byte{'\n'})
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
	c.steps = c.steps[:0]
	rest := c.buf[:c.n]
	line, base := c.lines+1, 0
	for {
		i := bytes.Index(rest[base:], []byte(wordStep))
		if i < 0 {
			return
		}
		at := base + i
		start := bytes.LastIndexByte(rest[base:at], '\n') + 1 + base
		end := bytes.IndexByte(rest[at:], '\n')
		if end < 0 {
			end = len(rest)
		} else {
			end += at
		}
		s := parseStep(rest[start:end], at-start)
		line += bytes.Count(rest[base:start], []byte{'\n'})
		s.line = line
		line++
		c.steps = append(c.steps, s)
		if base = end + 1; base >= len(rest) {
			return
		}
	}
}
