// Package steps reads the device step time from the iteration log of a
// generation server.
//
// In: the lines of one log. Out: a Log, with the statistics of the rows that
// count. Memory is bounded whatever the log's size.
package steps

import "fmt"

// Stats are the statistics of the device step time, in ms. Std has one degree of
// freedom less than rows; percentiles are interpolated linearly.
type Stats struct {
	Mean, Median, Std, P75, P99 float64
}

// Log is what the log of one generation server yielded.
type Log struct {
	Stats
	Tokens int64 // num_generation_tokens of the rows that count; -1 = no row gives it, so all count
	Used   int64 // rows that count
	Rows   int64 // usable rows
	Idle   int64 // rows left out because the iteration they time had nothing to do
	Line   int   // of the first usable row, 1-based; 0 = there is none
}

// Average is the mean of each statistic over the servers, unweighted.
func Average(logs []Log) Stats {
	var s Stats
	for _, l := range logs {
		s.Mean += l.Mean
		s.Median += l.Median
		s.Std += l.Std
		s.P75 += l.P75
		s.P99 += l.P99
	}
	n := float64(len(logs))
	return Stats{s.Mean / n, s.Median / n, s.Std / n, s.P75 / n, s.P99 / n}
}

// Scanner decides which iteration lines of a log count. The zero value is ready.
//
// Rows are the lines of iteration 5 and later with a numeric
// prev_device_step_time. A row is left out if the line before it of the same
// rank is the iteration before and scheduled no request, because the value
// belongs to that idle iteration (docs/facts/trtllm.md#iteration-log). Of the rows only those with the most frequent
// num_generation_tokens count, the larger one where two are equally frequent,
// and all rows if none gives it.
type Scanner struct {
	ranks map[int64]*predecessor
	rank  int64 // of the line before: nearly always of this one too
	last  *predecessor

	byTokens map[int64]*distribution
	tokens   int64 // of the row before
	current  *distribution
	kept     int // values in all distributions

	log Log
	err error
}

// predecessor is the line of a rank that came before; iter -1 = it said nothing.
type predecessor struct{ iter, scheduled int64 }

// More bounds on what a broken log can make us remember.
const (
	firstStep = 5 // iterations 0 and 1 wait for the KV cache, 2 to 4 warm up
	maxRanks  = 1 << 16
	maxTokens = 1 << 14
)

// Line takes the next line of the log, number counted from 1, and reports
// whether it is an iteration line.
func (s *Scanner) Line(text []byte, number int) bool {
	row, ok := parse(text)
	if ok && s.err == nil {
		s.err = s.add(row, number)
	}
	return ok
}

func (s *Scanner) add(row row, number int) error {
	p, err := s.predecessor(row.rank)
	if err != nil {
		return err
	}
	before := *p
	*p = predecessor{-1, -1}
	if row.iter >= 0 && row.scheduled >= 0 {
		*p = predecessor{row.iter, row.scheduled}
	}
	switch {
	case row.iter < firstStep || row.value < 0:
		return nil
	case before.scheduled == 0 && before.iter == row.iter-1:
		s.log.Idle++
		return nil
	}
	if s.log.Rows++; s.log.Rows == 1 {
		s.log.Line = number
	}
	return s.keep(row.tokens, row.value)
}

// predecessor finds the line before of a rank.
func (s *Scanner) predecessor(rank int64) (*predecessor, error) {
	if s.last != nil && s.rank == rank {
		return s.last, nil
	}
	if s.ranks == nil {
		s.ranks = make(map[int64]*predecessor)
	}
	p := s.ranks[rank]
	if p == nil {
		if len(s.ranks) >= maxRanks {
			return nil, fmt.Errorf("more than %d ranks in one log", maxRanks)
		}
		p = &predecessor{-1, -1}
		s.ranks[rank] = p
	}
	s.rank, s.last = rank, p
	return p, nil
}

func (s *Scanner) keep(tokens int64, v float64) error {
	if s.current == nil || s.tokens != tokens {
		if s.byTokens == nil {
			s.byTokens = make(map[int64]*distribution)
		}
		d := s.byTokens[tokens]
		if d == nil {
			if len(s.byTokens) >= maxTokens {
				return fmt.Errorf("more than %d different num_generation_tokens in one log", maxTokens)
			}
			d = &distribution{}
			s.byTokens[tokens] = d
		}
		s.tokens, s.current = tokens, d
	}
	exact := s.current.classes == nil
	err := s.current.add(v)
	if exact {
		if s.kept++; s.kept > maxExact {
			s.foldLargest()
		}
	}
	return err
}

// foldLargest makes room: the most values go first.
func (s *Scanner) foldLargest() {
	largest := s.current
	for _, d := range s.byTokens {
		if len(d.values) > len(largest.values) {
			largest = d
		}
	}
	s.kept -= len(largest.values)
	largest.fold()
}

// Log is the outcome; its Used is 0 if no row was usable.
func (s *Scanner) Log() (Log, error) {
	if s.err != nil {
		return Log{}, s.err
	}
	out := s.log
	tokens, d := s.mode()
	out.Tokens = tokens
	if d != nil {
		out.Used, out.Stats = d.n, d.stats()
	}
	return out, nil
}

// mode is the most frequent token count with its rows, the larger one of two
// equally frequent. Rows without a token count (-1) only count when there are
// no others.
func (s *Scanner) mode() (int64, *distribution) {
	tokens, best := int64(-1), s.byTokens[-1]
	for t, d := range s.byTokens {
		if t >= 0 && (tokens < 0 || d.n > best.n || d.n == best.n && t > tokens) {
			tokens, best = t, d
		}
	}
	return tokens, best
}
