package bench

import "errors"

// Worker is the log of one generation server, or the part of it that belongs
// to one client: the bytes From up to To.
type Worker struct {
	File string
	From int64
	To   int64 // 0 = to the end
}

// Steps is the distribution of the device step time over all workers: each
// statistic is that of a worker, averaged over the workers, unweighted.
type Steps struct {
	MeanMS, MedianMS, StdMS, P75MS, P99MS float64
	Workers                               []WorkerSteps
}

// WorkerSteps is what one worker's log yielded.
type WorkerSteps struct {
	File                                  string
	Tokens                                int64 // generation tokens of the bucket that counts; -1 = no line says it, all rows count
	Used                                  int64 // rows in it
	Rows                                  int64 // usable rows
	Idle                                  int64 // rows dropped because the iteration they time had nothing to do
	MeanMS, MedianMS, StdMS, P75MS, P99MS float64
}

// ErrNoSteps says that no log held a usable iteration.
var ErrNoSteps = errors.New("no usable iteration in any generation server log")

// DeviceSteps reads the workers' logs and yields the device step time.
func DeviceSteps(workers []Worker) (Steps, error) {
	_ = workers
	return Steps{}, ErrNoSteps
}
