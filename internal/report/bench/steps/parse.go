package steps

import (
	"bytes"
	"iter"
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

// wordStep makes a line an iteration line. The order of its words differs between versions.
const wordStep = "prev_device_step_time"

// parse reads a line; false = not an iteration line, for wordStep is not in it.
func parse(line []byte) (row, bool) {
	if !bytes.Contains(line, []byte(wordStep)) {
		return row{}, false
	}
	r := row{iter: -1, value: -1, scheduled: -1, rank: whole(line, "global_rank", "="), tokens: whole(line, "'num_generation_tokens'", ":")}
	for rest := range behind(line, "iter", "=") {
		if n, after := digits(rest); n >= 0 && bytes.HasPrefix(after, []byte{','}) { // "iter = 7," and not "max_iter = 7;"
			r.iter, line = n, after
			break
		}
	}
	if r.iter < 0 {
		return r, true
	}
	r.scheduled = whole(line, "num_scheduled_requests", "=:") // older versions write a colon
	for rest := range behind(line, wordStep, "=") {
		if r.value = milliseconds(rest); r.value >= 0 {
			break
		}
	}
	return r, true
}

// behind yields what follows each occurrence of a word and one of the signs, with spaces around the sign.
func behind(line []byte, word, signs string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for found := true; found; {
			_, line, found = bytes.Cut(line, []byte(word))
			rest := bytes.TrimLeft(line, " \t")
			if len(rest) > 0 && strings.IndexByte(signs, rest[0]) >= 0 && !yield(bytes.TrimLeft(rest[1:], " \t")) {
				return
			}
		}
	}
}

// whole is the first whole number behind a word and one of the signs, -1 = none.
func whole(line []byte, word, signs string) int64 {
	for rest := range behind(line, word, signs) {
		if n, _ := digits(rest); n >= 0 {
			return n
		}
	}
	return -1
}

// digits is the number that b begins with, and what follows; -1 = none. A number too large for anything is none.
func digits(b []byte) (int64, []byte) {
	rest := bytes.TrimLeft(b, "0123456789")
	n, err := strconv.ParseInt(string(b[:len(b)-len(rest)]), 10, 64)
	if err != nil {
		return -1, b
	}
	return n, rest
}

// milliseconds reads "6.94ms"; -1 = not a number.
func milliseconds(b []byte) float64 {
	unit := bytes.TrimLeft(b, "0123456789.eE+-")
	v, err := strconv.ParseFloat(string(b[:len(b)-len(unit)]), 64)
	if err != nil || !(v >= 0) || math.IsInf(v, 0) || !bytes.HasPrefix(bytes.TrimLeft(unit, " \t"), []byte("ms")) {
		return -1
	}
	return v
}
