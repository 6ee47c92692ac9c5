package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Worker is the log of one generation server, or the part of it that belongs
// to one client: the bytes From up to To. A line across To is left out, because
// it may be half-written.
type Worker struct {
	File string
	From int64
	To   int64 // 0 = to the end
}

// Steps is the distribution of the device step time in ms over all workers:
// each statistic is that of a worker, averaged over the workers, unweighted, as
// upstream does. Std has one degree of freedom less than rows; percentiles are
// interpolated linearly.
type Steps struct {
	StepStats
	Workers  []WorkerSteps
	Problems []Problem // workers whose log held nothing usable
}

// StepStats are the statistics, in ms.
type StepStats struct {
	Mean, Median, Std, P75, P99 float64
}

// WorkerSteps is what one worker's log yielded.
type WorkerSteps struct {
	StepStats
	File   string
	Tokens int64 // num_generation_tokens of the rows that count; -1 = no row says it, so all count
	Used   int64 // rows that count
	Rows   int64 // usable rows
	Idle   int64 // rows left out because the iteration they time had nothing to do
	Line   int   // of the first usable row, 1-based; 0 = not known
	tables bool  // a client's or lm_eval's table stands in the log too
}

// ErrNoSteps says that no log held a usable iteration.
var ErrNoSteps = errors.New("no usable iteration in any generation server log")

// DeviceSteps reads the workers' logs and yields the device step time. Memory
// is bounded whatever their size; see stepStore for what that costs.
//
// The rule is upstream's (upstream-facts §6.3): rows of iteration 5 and later
// with a numeric prev_device_step_time; a row is left out if the line before it
// of the same rank is iteration N-1 and scheduled no request, because the value
// belongs to that idle iteration; of each worker only the rows with its most
// frequent num_generation_tokens count, the larger one where two are equally
// frequent, and all rows if none says it.
func DeviceSteps(workers []Worker) (Steps, error) {
	var out Steps
	for _, w := range workers {
		ws, err := workerSteps(w)
		if err != nil {
			return Steps{}, fmt.Errorf("%s: %w", w.File, err)
		}
		if ws.Used == 0 {
			out.Problems = append(out.Problems, Problem{File: w.File, Text: "no usable iteration: no device step time of this generation server"})
			continue
		}
		out.Workers = append(out.Workers, ws)
	}
	if len(out.Workers) == 0 {
		return out, ErrNoSteps
	}
	out.StepStats = averageSteps(out.Workers)
	return out, nil
}

func averageSteps(workers []WorkerSteps) StepStats {
	var s StepStats
	for _, w := range workers {
		s.Mean += w.Mean
		s.Median += w.Median
		s.Std += w.Std
		s.P75 += w.P75
		s.P99 += w.P99
	}
	n := float64(len(workers))
	return StepStats{s.Mean / n, s.Median / n, s.Std / n, s.P75 / n, s.P99 / n}
}

// Samples are the statistics as samples of their metrics.
func (s StepStats) Samples() []Sample {
	return []Sample{
		{Metric: "gen_device_step_time_mean_ms", Value: s.Mean},
		{Metric: "gen_device_step_time_median_ms", Value: s.Median},
		{Metric: "gen_device_step_time_std_ms", Value: s.Std},
		{Metric: "gen_device_step_time_p75_ms", Value: s.P75},
		{Metric: "gen_device_step_time_p99_ms", Value: s.P99},
	}
}

func workerSteps(w Worker) (ws WorkerSteps, err error) {
	f, err := os.Open(w.File)
	if err != nil {
		return ws, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if w.To > 0 && w.To <= w.From {
		return WorkerSteps{File: w.File, Tokens: -1}, nil
	}
	if _, err := f.Seek(w.From, io.SeekStart); err != nil {
		return ws, err
	}
	var r io.Reader = f
	cut := false
	if info, err := f.Stat(); err == nil && w.To > 0 && w.To < info.Size() {
		r, cut = io.LimitReader(f, w.To-w.From), true
	}
	var rule stepRule
	tables, err := scanSteps(r, cut, rule.add)
	if err != nil {
		return ws, err
	}
	ws, err = rule.result()
	ws.File, ws.tables = w.File, tables
	return ws, err
}

// IsGenLog reports whether a file is named as the log of a generation server.
func IsGenLog(path string) bool {
	for _, pattern := range []string{"gen_server_[0-9]*.log", "output_gen_[0-9]*.log"} {
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok {
			return true
		}
	}
	return false
}

// stepRule decides which rows count.
type stepRule struct {
	byRank   map[int64]*predecessor
	last     *predecessor // of lastRank, as nearly every line is of the same rank
	lastRank int64
	store    stepStore
	idle     int64
	line     int
	err      error
}

// predecessor is the line of a rank that came before; iter -1 = it said nothing.
type predecessor struct{ iter, scheduled int64 }

// Bounds on what a broken log can make us remember.
const (
	firstStep = 5 // iterations 0 and 1 wait for the KV cache, 2 to 4 warm up
	maxRanks  = 1 << 16
)

// add takes the iteration lines of a log in their order.
func (r *stepRule) add(s step) {
	p := r.rank(s.rank)
	if p == nil {
		return
	}
	before := *p
	*p = predecessor{-1, -1}
	if s.iter >= 0 && s.scheduled >= 0 {
		*p = predecessor{s.iter, s.scheduled}
	}
	switch {
	case s.iter < firstStep || s.value < 0:
	case before.scheduled == 0 && before.iter == s.iter-1:
		r.idle++
	default:
		if r.store.rows == 0 {
			r.line = s.line
		}
		if err := r.store.add(s.tokens, s.value); err != nil {
			r.err = err
		}
	}
}

// rank finds the predecessor of a rank; nil = there are too many ranks.
func (r *stepRule) rank(rank int64) *predecessor {
	if r.last != nil && r.lastRank == rank {
		return r.last
	}
	if r.byRank == nil {
		r.byRank = make(map[int64]*predecessor)
	}
	p := r.byRank[rank]
	if p == nil {
		if len(r.byRank) >= maxRanks {
			r.err = fmt.Errorf("more than %d ranks in one log", maxRanks)
			return nil
		}
		p = &predecessor{-1, -1}
		r.byRank[rank] = p
	}
	r.last, r.lastRank = p, rank
	return p
}

// result is the outcome for the worker; Used is 0 if no row was usable.
func (r *stepRule) result() (WorkerSteps, error) {
	if r.err != nil {
		return WorkerSteps{}, r.err
	}
	tokens, b := r.store.mode()
	w := WorkerSteps{Tokens: tokens, Rows: r.store.rows, Idle: r.idle, Line: r.line}
	if b != nil {
		w.Used = b.n
		w.StepStats = b.stats()
	}
	return w, nil
}

// asResult is the log of one worker, for a reader that does not know of the
// other workers.
func (w WorkerSteps) asResult(t metric.Table) Result {
	r := Result{Format: FormatSteps, File: w.File, Line: w.Line, Steps: &w}
	if w.Used == 0 {
		return r
	}
	for _, s := range w.Samples() {
		if m, ok := t.Lookup(s.Metric); ok {
			r.add(m, s.Value, 0)
		}
	}
	return r
}
