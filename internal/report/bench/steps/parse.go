package steps

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// row is one iteration line of a generation server's log, as
//
//	… iter = 7, global_rank = 0, rank = 0, num_scheduled_requests = 4, …,
//	prev_device_step_time = 6.94ms, …, states = {…, 'num_generation_tokens': 4}
//
// The value is the time of the iteration before. What does not parse is -1.
type row struct {
	iter, rank, scheduled, tokens int64
	value                         float64 // ms; -1 = not a number (N/A)
}

// The words of an iteration line; their order differs between versions.
const (
	wordStep      = "prev_device_step_time"
	wordIter      = "iter"
	wordRank      = "global_rank"
	wordScheduled = "num_scheduled_requests"
	wordTokens    = "'num_generation_tokens'"
)

// parse reads a line; false = not an iteration line, for wordStep is not in it.
func parse(line []byte) (row, bool) {
	if !bytes.Contains(line, []byte(wordStep)) {
		return row{}, false
	}
	r := row{iter: -1, value: -1, scheduled: -1, rank: numberOf(line, wordRank, "=")}
	start := -1
	eachWord(line, wordIter, func(end int) bool {
		n, after, ok := assigned(line, end, "=")
		if ok = ok && after < len(line) && line[after] == ','; ok { // "iter = 7," and not "max_iter = 7;"
			r.iter, start = n, after
		}
		return ok
	})
	r.tokens = numberOf(line, wordTokens, ":")
	if start < 0 {
		return r, true
	}
	rest := line[start:]
	r.scheduled = numberOf(rest, wordScheduled, "=:") // older versions write a colon
	eachWord(rest, wordStep, func(end int) bool {
		r.value = milliseconds(rest, end)
		return r.value >= 0
	})
	return r, true
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

// assigned reads a whole number behind one of the signs, with spaces around the
// sign, and says where it ends. A number too large for anything is none.
func assigned(b []byte, at int, signs string) (n int64, end int, ok bool) {
	at = skipSpace(b, at)
	if at >= len(b) || strings.IndexByte(signs, b[at]) < 0 {
		return 0, at, false
	}
	at = skipSpace(b, at+1)
	for end = at; end < len(b) && b[end]-'0' <= 9; end++ {
		if n > math.MaxInt64/20 {
			return 0, at, false
		}
		n = n*10 + int64(b[end]-'0')
	}
	return n, end, end > at
}

// milliseconds reads "= 6.94ms" at the byte at; -1 = not a number.
func milliseconds(b []byte, at int) float64 {
	if at = skipSpace(b, at); at >= len(b) || b[at] != '=' {
		return -1
	}
	at = skipSpace(b, at+1)
	end := at
	for end < len(b) && end-at < 40 && ofNumber(b[end]) {
		end++
	}
	if unit := skipSpace(b, end); unit+1 >= len(b) || b[unit] != 'm' || b[unit+1] != 's' {
		return -1
	}
	v, err := strconv.ParseFloat(string(b[at:end]), 64)
	if err != nil || !(v >= 0) || math.IsInf(v, 0) {
		return -1
	}
	return v
}

func ofNumber(c byte) bool {
	return c-'0' <= 9 || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t') {
		at++
	}
	return at
}
